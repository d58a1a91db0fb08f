"""Early drop around a policy that has none."""

from collections.abc import Sequence

import pytest

from server.policy.decision import Finished, Idle, Outlook, Run, Ticket
from server.policy.queueing.tickets import Queue
from server.policy.reference.aimd import clipper
from server.policy.reference.drop import with_early_drop
from server.policy.reference.maxbatch import maxbatch
from tests.support.builders import a_profile, a_ticket, an_outlook, three_arms

LATE_S, SPARE_S = 0.0031, 0.0033
"""The fastest arm's upper estimate for one row is 3.21 ms."""


@pytest.mark.parametrize("sort", [list[Ticket], Queue.of])
def test_what_no_arm_answers_in_time_is_dropped_before_the_policy_sees_the_queue(
    sort: type[list[Ticket]],
):
    waiting: Sequence[Ticket] = sort(
        [a_ticket(i, slo_s=LATE_S if i < 3 else SPARE_S) for i in range(5)]
    )

    step = with_early_drop(maxbatch())(three_arms())(waiting, an_outlook(), 0.0)

    assert isinstance(step, Run)
    assert [drop.ticket.id for drop in step.dropped] == [0, 1, 2]
    assert {drop.reason for drop in step.dropped} == {"late"}
    assert [ticket.id for ticket in step.tickets] == [3]


def test_without_a_late_ticket_the_decision_is_the_policys_own():
    waiting = Queue.of([a_ticket(i) for i in range(5)])

    step = with_early_drop(maxbatch())(three_arms())(waiting, an_outlook(), 0.0)

    assert step == maxbatch()(three_arms())(waiting, an_outlook(), 0.0)


def test_a_ticket_is_late_by_the_arms_it_accepts():
    waiting = Queue.of([a_ticket(0, slo_s=0.010), a_ticket(1, slo_s=0.011, min_accuracy=0.79)])

    step = with_early_drop(maxbatch())(three_arms())(waiting, an_outlook(), 0.0)

    assert [drop.ticket.id for drop in step.dropped] == [1]


def test_a_policy_left_with_nothing_idles_but_learns_what_has_finished():
    arm = a_profile("only")
    factory = with_early_drop(clipper())
    decide = factory([arm])
    decide([a_ticket()], Outlook(), 0.0)

    late = decide([a_ticket(1)], Outlook(finished=(Finished(arm.arm, 1, 0.003),)), 1.0)
    after = decide([a_ticket(i) for i in range(2, 9)], Outlook(), 0.0)

    assert isinstance(late, Idle)
    assert [drop.ticket.id for drop in late.dropped] == [1]
    assert isinstance(after, Run)
    assert after.rows == 2


def test_tickets_that_no_arm_suits_go_at_once():
    waiting = Queue.of([a_ticket(i, variant="gone") for i in range(3)])

    step = with_early_drop(maxbatch())(three_arms())(waiting, an_outlook(), 0.0)

    assert isinstance(step, Idle)
    assert len(step.dropped) == 3
