"""The learnt curve: right where batches told, as profiled elsewhere, and nothing that all sizes share."""

import random
from math import log, log2

import pytest

from profiler.speed.curve import FLAT, MOST, Curve, bend, bent, evidence, forgotten, observe, risen


def taught(truth: dict[int, float], rounds: int, sigma: float = 0.0) -> tuple[Curve, float]:
    """(curve, offset) after so many batches of each size, whose logarithms of measured over profiled are `truth`."""
    rng, curve, offset = random.Random(1), FLAT, 0.0
    for _ in range(rounds):
        for rows, off in truth.items():
            residual = off - offset - bend(curve, rows) + rng.gauss(0.0, sigma)
            curve, shift = observe(curve, rows, residual)
            offset += shift
    return curve, offset


def test_before_the_first_batch_it_is_flat():
    assert [bend(FLAT, rows) for rows in (1, 5, 64)] == [0.0, 0.0, 0.0]
    assert bent(FLAT, (0.0, 1.0, 2.0)) == (0.0, 1.0, 2.0)


@pytest.mark.parametrize("sigma", [0.0, 0.05])
def test_a_profile_that_is_wrong_at_one_size_is_put_right_there_alone(sigma: float):
    truth = {1: 0.0, 2: 0.0, 8: log(1.2), 16: 0.0}

    curve, offset = taught(truth, 200, sigma)

    for rows, off in truth.items():
        assert offset + bend(curve, rows) == pytest.approx(off, abs=0.01 + 0.4 * sigma)


def test_what_all_sizes_share_is_handed_back():
    curve, offset = taught({1: 0.3, 4: 0.3, 8: 0.3}, 100)

    assert offset == pytest.approx(0.3, abs=0.02)
    assert [bend(curve, rows) for rows in (1, 2, 4, 8)] == pytest.approx([0.0] * 4, abs=0.03)


def test_a_size_between_knots_is_read_linearly_in_the_logarithm():
    curve = Curve((0.0, 0.0, 0.2, 0.4), (1.0, 1.0, 1.0, 1.0))

    assert bend(curve, 4) == pytest.approx(0.2)
    assert bend(curve, 6) == pytest.approx(0.2 + 0.2 * log2(1.5))
    assert bend(curve, 32) == pytest.approx(0.4)


def test_one_batch_hardly_bends_a_curve():
    curve, _ = taught({1: 0.0, 8: 0.0}, 20)

    curve, shift = observe(curve, 8, 0.2)

    assert abs(shift + bend(curve, 8)) < 0.01


def test_a_bend_stays_within_its_bound():
    curve, _ = taught({1: -9.0, 32: 9.0}, 500)

    assert max(map(abs, curve.bends)) <= MOST


def test_evidence_is_that_of_the_weaker_knot_and_can_be_forgotten():
    curve, _ = taught({1: 0.1, 4: 0.0}, 10)

    assert evidence(curve, 1) > 5.0
    assert evidence(curve, 3) == evidence(curve, 16) == 0.0
    assert evidence(forgotten(curve), 1) == 0.0
    assert bend(forgotten(curve), 1) == bend(curve, 1)


def test_a_table_that_falls_is_made_to_rise_and_one_that_rises_is_kept():
    assert risen((0.0, 1.0, 3.0, 2.0, 4.0)) == (0.0, 1.0, 2.5, 2.5, 4.0)
    assert risen((0.0, 1.0, 2.0)) == (0.0, 1.0, 2.0)
