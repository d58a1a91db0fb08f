"""How far a queue can be reached, and who must go when not all can be served."""

import numpy as np
import pytest

from server.policy.dispatch.shed import Line, kept


def of(*values: float) -> np.ndarray:
    return np.array(values)


def shed(due: np.ndarray, own: np.ndarray, values: np.ndarray, limit_s: float) -> list[int]:
    """Who goes, where those worth as much for their time are of one kind."""
    density, kind = np.unique(values / own, return_inverse=True)
    ranked = range(len(density) - 1, -1, -1)
    stays = kept(due - limit_s, own, kind, ranked, None)
    return np.flatnonzero(~stays).tolist()


def test_the_spare_time_is_that_of_the_tightest_ticket_behind():
    line = Line([1.0, 1.05, 1.055], 0, [0.01, 0.02, 0.03], 0.0, 0.9)

    assert line.first == 0
    assert line.beyond_s(1, 1.035) == 0.0
    assert line.beyond_s(1, 1.045) == pytest.approx(0.01)  # 1.055 less two rows' time
    assert line.beyond_s(2, 1.050) == pytest.approx(0.005)


def test_a_batch_that_ends_as_a_whole_leaves_less_to_spare():
    whole, alone = (Line([1.0, 1.05], 0, [0.01, 0.02], lag_s, 0.9) for lag_s in (0.005, 0.0))

    assert whole.beyond_s(1, 1.05) == pytest.approx(alone.beyond_s(1, 1.05) + 0.005)


def test_of_those_that_are_alike_as_few_go_as_leave_the_rest_in_reach():
    assert Line([1.02] * 4, 0, [0.01, 0.02, 0.03, 0.04], 0.0, 1.0).first == 2
    assert Line([0.9, *[1.02] * 4], 1, [0.01, 0.02, 0.03, 0.04], 0.0, 1.0).first == 2
    assert Line([1.02] * 4, 0, [0.1, 0.2, 0.3, 0.4], 0.0, 1.0).first == 3


def test_one_by_one_or_many_at_once_it_is_as_late():
    line = Line([1.0, 1.05, 1.055, 1.2], 0, [0.01, 0.02, 0.03, 0.04], 0.001, 0.9)

    ends = ((1, 1.05), (2, 1.06), (3, 1.3))
    one_by_one = [line.beyond_s(*end) for end in ends]
    each = line.beyond_by_each(np.array([1, 2, 3, 4]), of(1.05, 1.06, 1.3, 9.0))

    assert each.tolist() == [*one_by_one, 0.0]
    assert [line.beyond_s(*end) for end in ends] == one_by_one


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
