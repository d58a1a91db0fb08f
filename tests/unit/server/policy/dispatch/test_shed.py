"""How far a queue can be reached, and who must go when not all can be served."""

import numpy as np

from server.policy.dispatch.shed import kept, spare


def of(*values: float) -> np.ndarray:
    return np.array(values)


def shed(due: np.ndarray, own: np.ndarray, values: np.ndarray, limit_s: float) -> list[int]:
    """Who goes, where those worth as much for their time are of one kind."""
    density, kind = np.unique(values / own, return_inverse=True)
    ranked = range(len(density) - 1, -1, -1)
    stays = kept(due - limit_s, own, kind, ranked, None)
    return np.flatnonzero(~stays).tolist()


def test_the_spare_time_is_that_of_the_tightest_ticket_behind():
    slack_s = spare(of(0.05, 0.055), of(0.01, 0.02), 0.0)

    assert slack_s.round(6).tolist() == [0.035, 0.045, np.inf]


def test_a_batch_that_ends_as_a_whole_leaves_less_to_spare():
    assert spare(of(0.05), of(0.01), 0.005)[0].round(6) == 0.035


def test_where_all_fit_nobody_goes():
    assert shed(of(1, 2, 3), of(1, 1, 1), of(1, 1, 1), 0.0) == []


def test_among_equals_as_many_go_as_are_too_many_and_the_earliest_first():
    assert shed(of(2, 2, 2, 2), of(1, 1, 1, 1), of(1, 1, 1, 1), 0.0) == [0, 1]


def test_one_always_stays():
    assert shed(of(1, 1, 1), of(5, 5, 5), of(1, 1, 1), 0.0) == [0, 1]


def test_those_worth_least_for_their_time_go_wherever_they_stand():
    assert shed(of(2, 2, 2), of(1, 1, 1), of(3, 1, 2), 0.0) == [1]
    assert shed(of(3, 3, 3), of(1, 2, 1), of(1, 1.5, 1), 0.0) == [1]


def test_those_worth_more_never_go_for_those_worth_less():
    stays = kept(of(2, 2, 3), of(1, 1, 2), np.array([0, 0, 1]), [1, 0], None)

    assert stays.tolist() == [False, True, True]


def test_those_worth_less_go_before_they_bring_others_close_to_their_deadlines():
    reserve_s = of(0, 1, 0, 0).reshape(2, 2)
    due_s, work_s, kind = of(1, 2), of(1, 1), np.array([0, 1])

    assert kept(due_s, work_s, kind, [1, 0], None).tolist() == [True, True]
    assert kept(due_s, work_s, kind, [1, 0], reserve_s).tolist() == [False, True]
