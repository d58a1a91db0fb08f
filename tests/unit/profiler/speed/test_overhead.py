"""The overhead line: found from batches of mixed sizes, flat for one size, unmoved by a stall."""

import pytest

from profiler.speed import overhead


def seen(batches: list[tuple[int, float]]) -> overhead.Overhead:
    state = overhead.Overhead()
    for rows, spent_s in batches:
        state = overhead.observe(state, rows, spent_s)
    return state


def test_nothing_seen_costs_nothing():
    assert overhead.line(overhead.Overhead()) == (0.0, 0.0)


def test_a_line_is_found_from_mixed_sizes():
    batches = [(rows, 0.0003 + 0.0002 * rows) for rows in (1, 2, 4, 8)] * 50

    per_batch_s, per_row_s = overhead.line(seen(batches))

    assert per_batch_s == pytest.approx(0.0003, rel=0.1)
    assert per_row_s == pytest.approx(0.0002, rel=0.1)


def test_batches_of_one_size_are_predicted_at_that_size():
    line = overhead.line(seen([(3, 0.0009)] * 40))

    assert overhead.at(line, 3) == pytest.approx(0.0009)
    assert min(line) >= 0.0


def test_a_falling_line_is_not_believed():
    line = overhead.line(seen([(1, 0.001), (8, 0.0002)] * 40))

    assert min(line) >= 0.0


def test_a_proportional_cost_goes_through_the_origin():
    line = overhead.line(seen([(rows, 0.0005 * rows) for rows in (1, 2, 4)] * 40))

    assert overhead.at(line, 4) == pytest.approx(0.002, rel=0.05)


def test_one_stall_is_not_overhead():
    calm = [(2, 0.001)] * 100

    stalled = overhead.at(overhead.line(seen([*calm, (2, 5.0)])), 2)

    assert stalled < 0.0011


def test_a_lasting_change_is_followed():
    before, after = [(2, 0.001)] * 100, [(2, 0.003)] * 600

    assert overhead.at(overhead.line(seen([*before, *after])), 2) == pytest.approx(0.003, rel=0.1)
