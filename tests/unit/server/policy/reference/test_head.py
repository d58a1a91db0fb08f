"""Serving the head of the queue: fixed, MaxAcc and MaxBatch. Small, middle and large take 3, 6 and 12 ms a row,
a third less for each further one; upper estimates are 7 % above."""

from collections.abc import Sequence

import pytest

from server.policy.decision import Idle, PolicyFactory, Run, Ticket
from server.policy.dispatch.static import pinned
from server.policy.reference.fixed import fixed
from server.policy.reference.maxacc import maxacc
from server.policy.reference.maxbatch import maxbatch
from tests.support.builders import a_ticket, an_outlook, three_arms, tickets


def _run(factory: PolicyFactory, waiting: Sequence[Ticket], now_s: float = 0.0) -> tuple[str, int]:
    """What the policy runs: the variant and the rows."""
    step = factory(three_arms())(waiting, an_outlook(), now_s)
    assert isinstance(step, Run)
    return step.profile.arm.variant, step.rows


def test_fixed_takes_what_finishes_before_the_heads_deadline():
    small = pinned("small", fixed())

    assert _run(small, tickets(9, slo_s=0.0151)) == (
        "small",
        6,
    )  # 13 ms x 1.07 = 13.9; 15 x 1.07 = 16.05
    assert _run(small, tickets(2, slo_s=0.0151)) == ("small", 2)


def test_fixed_serves_a_head_that_is_late_alone():
    assert _run(pinned("small", fixed()), tickets(9), now_s=0.2) == ("small", 1)


def test_maxacc_takes_the_most_accurate_arm_in_time_and_fills_it():
    assert _run(maxacc(), tickets(9, slo_s=0.022)) == ("large", 2)
    assert _run(maxacc(), tickets(9, slo_s=0.0128)) == ("middle", 2)


def test_maxbatch_takes_the_largest_batch_in_time_and_the_most_accurate_arm_for_it():
    assert _run(maxbatch(), tickets(9, slo_s=0.022)) == ("small", 9)
    assert _run(maxbatch(), tickets(4, slo_s=0.022)) == ("middle", 4)
    assert _run(maxbatch(), tickets(2, slo_s=0.022)) == ("large", 2)


@pytest.mark.parametrize("factory", [maxacc(), maxbatch()], ids=["maxacc", "maxbatch"])
def test_a_head_nothing_fits_runs_alone_on_the_fastest_arm(factory: PolicyFactory):
    assert _run(factory, tickets(9), now_s=0.0999) == ("small", 1)


def test_a_head_of_many_rows_gets_a_batch_that_holds_it():
    assert _run(maxacc(), [a_ticket(rows=3, slo_s=0.001)]) == ("small", 3)
    assert _run(maxbatch(), [a_ticket(rows=3, slo_s=0.001)]) == ("small", 3)


def test_the_heads_company_accepts_the_same_arm():
    waiting = [a_ticket(0, min_accuracy=0.72), a_ticket(1, variant="small"), a_ticket(2)]

    step = pinned("middle", fixed())(three_arms())(waiting, an_outlook(), 0.0)

    assert isinstance(step, Run)
    assert [ticket.id for ticket in step.tickets] == [0, 2]
    assert step.reason == "partial"


def test_a_head_that_no_arm_suits_is_dropped_and_the_next_is_served():
    waiting = [a_ticket(0, variant="gone"), a_ticket(1)]

    step = maxbatch()(three_arms())(waiting, an_outlook(), 0.0)

    assert isinstance(step, Run)
    assert [drop.ticket.id for drop in step.dropped] == [0]
    assert [ticket.id for ticket in step.tickets] == [1]


def test_nothing_that_can_be_served_is_left_when_a_policy_idles():
    step = maxacc()(three_arms())([a_ticket(min_accuracy=0.9)], an_outlook(), 0.0)

    assert isinstance(step, Idle)
    assert len(step.dropped) == 1


def test_a_policy_without_arms_is_refused():
    with pytest.raises(ValueError, match="at least one profiled arm"):
        maxbatch()([])
