"""What is offered is what admission lets in: no more rows, no more requests."""

from math import inf

import pytest

from server.policy.queueing.admission import Admit, admission
from server.policy.queueing.offer import SPREAD, most_rows, most_waiting
from tests.support.builders import a_profile, a_ticket, three_arms


@pytest.mark.parametrize("within_s", [0.004, 0.01, 0.03, 0.05, 1.0])
@pytest.mark.parametrize(("variant", "least"), [(None, 0.0), (None, 0.72), ("large", 0.0)])
def test_as_many_rows_as_are_offered_are_admitted(
    within_s: float, variant: str | None, least: float
):
    arms = three_arms()
    admit = admission(arms, 100)

    most = most_rows(arms, variant, least, within_s)

    for rows in range(1, most + 1):
        ticket = a_ticket(slo_s=within_s, rows=rows, min_accuracy=least, variant=variant)
        assert admit(ticket, 0, 0.0) == Admit()


def test_with_all_the_time_the_largest_batch_of_an_acceptable_arm_is_offered():
    arms = [a_profile("few", 0.8, max_batch=4), a_profile("many", 0.6, max_batch=16)]

    assert most_rows(arms) == 16
    assert most_rows(arms, "few") == 4
    assert most_rows(arms, least=0.7) == 4
    assert most_rows(arms, "gone") == most_rows([]) == 0


def test_some_time_is_left_for_costs_that_move_unsaid():
    arm = a_profile(first_s=0.01)

    assert most_rows([arm], within_s=arm.upper_s[4]) == 3
    assert most_rows([arm], within_s=arm.upper_s[4] * SPREAD) == 4


def test_one_more_than_may_wait_is_refused_as_overloaded():
    arms, within_s = [a_profile(first_s=0.002)], 0.05
    admit = admission(arms, 1000, workers=2)

    most = int(most_waiting(arms, 2, within_s))

    assert admit(a_ticket(slo_s=within_s), most, 0.0, [within_s] * most) == Admit()
    assert admit(a_ticket(slo_s=within_s), most + 1, 0.0, [within_s] * (most + 1)) != Admit()


def test_without_arms_nothing_is_known_of_how_many_may_wait():
    assert most_waiting([], 2, 0.05) == inf
