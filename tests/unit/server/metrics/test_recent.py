"""The last seconds' results: what counts, what has faded."""

import pytest

from server.metrics.recent import WINDOW_S, Recent, Results


def test_before_anything_ended_all_is_zero():
    results = Recent().results(5.0)

    assert results == Results(0, 0, 0.0)
    assert (results.attainment, results.effective_accuracy) == (0.0, 0.0)


def test_results_add_up_over_the_window():
    recent = Recent()
    recent.ended(4, 3, 2.4, 100.2)
    recent.ended(1, 0, 0.0, 100.9)
    recent.ended(5, 5, 3.5, 103.0)

    results = recent.results(103.5)

    assert (results.offered, results.in_time) == (10, 8)
    assert results.attainment == pytest.approx(0.8)
    assert results.effective_accuracy == pytest.approx(5.9 / 8)


def test_what_is_older_than_the_window_has_faded():
    recent = Recent()
    recent.ended(7, 7, 7.0, 100.0)

    assert recent.results(99.9 + WINDOW_S).offered == 7
    assert recent.results(100.0 + WINDOW_S).offered == 0


def test_a_slot_is_used_again_without_what_it_held():
    recent = Recent()
    recent.ended(7, 7, 7.0, 100.0)
    recent.ended(1, 0, 0.0, 100.0 + WINDOW_S)

    assert recent.results(100.0 + WINDOW_S) == Results(1, 0, 0.0)
