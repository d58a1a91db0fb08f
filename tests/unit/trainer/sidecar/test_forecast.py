"""Curves through what was trained and what is served: few points say little, many say what they show."""

import math

import pytest

from trainer.sidecar.forecast import Seen, fitted, line

BUDGET = 1e5


def test_nothing_seen_makes_no_curve():
    assert fitted([]) is None


def test_one_run_is_taken_for_what_it_was_and_more_work_for_better():
    curve = fitted([Seen(1e5, BUDGET, 0.2)])

    assert curve is not None
    known = curve.accuracy(1e5, BUDGET)
    assert 0.8 <= known < 0.85
    assert known < curve.accuracy(1e6, BUDGET) < curve.accuracy(1e7, BUDGET) < 1.0
    assert known < curve.accuracy(1e5, 10 * BUDGET)


def test_far_from_what_was_seen_it_hopes_more():
    curve = fitted([Seen(1e5, BUDGET, 0.2)])

    assert curve is not None
    expected = 0.2 * 1e4**-0.25
    assert 1 - curve.accuracy(1e9, BUDGET) < 0.5 * expected


def test_many_runs_of_a_power_law_are_continued():
    seen = [
        Seen(m, b, 2.0 * m**-0.2 * b**-0.1) for m in (1e4, 1e5, 1e6) for b in (1e4, 1e5, 1e6)
    ] * 20

    curve = fitted(seen)

    assert curve is not None
    expected = 2.0 * 1e7**-0.2 * 1e6**-0.1
    assert 1 - curve.accuracy(1e7, 1e6) == pytest.approx(expected, rel=0.08)


def test_networks_that_gained_nothing_by_size_are_not_hoped_to_later():
    flat = [Seen(m, BUDGET, 0.1) for m in (1e4, 1e5, 1e6)] * 20

    curve = fitted(flat)

    assert curve is not None
    assert curve.accuracy(1e7, BUDGET) < 0.92


def test_no_error_at_all_is_still_a_number():
    curve = fitted([Seen(1e5, BUDGET, 0.0)])

    assert curve is not None
    assert math.isfinite(curve.accuracy(1e6, BUDGET))
    assert curve.accuracy(1e6, BUDGET) <= 1.0


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([], (0.0, 0.0)),
        ([(1e9, 0.04)], (0.0, 4e-11)),
        ([(1e7, 0.003)], (0.002, 1e-10)),
        ([(1e7, 0.003), (1e7, 0.005)], (0.003, 1e-10)),
        ([(100.0, 2.0), (200.0, 3.0)], (1.0, 0.01)),
        ([(100.0, 2.0), (200.0, 2.0)], (2.0, 0.0)),
        ([(100.0, 3.0), (200.0, 1.0)], (2.0, 0.0)),
    ],
)
def test_a_line_has_a_fixed_part_and_a_slope_that_are_never_negative(
    points: list[tuple[float, float]], expected: tuple[float, float]
):
    assert line(points) == pytest.approx(expected)


def test_a_line_that_would_start_below_zero_starts_there():
    fixed_s, each_s = line([(100.0, 1.0), (200.0, 4.0)])

    assert fixed_s == 0.0
    assert each_s == pytest.approx(900.0 / 50_000.0)
