"""The adaptive policy, one decision at a time."""

from dataclasses import replace

import pytest

from server.policy.decision import Haste, Idle, Outlook, Run
from server.policy.dispatch.choose import adaptive
from tests.support.builders import a_profile, a_ticket, an_outlook, three_arms, tickets


def test_nothing_waiting_is_idle():
    assert adaptive(three_arms())([], an_outlook(), 0.0) == Idle()


def test_without_arms_there_is_no_policy():
    with pytest.raises(ValueError, match="at least one profiled arm"):
        adaptive([])


def test_a_lone_ticket_with_time_gets_the_most_accurate_arm_at_once():
    step = adaptive(three_arms())(tickets(1), an_outlook(), 0.0)

    assert isinstance(step, Run)
    assert step.profile.arm.variant == "large"
    assert step.reason == "drain"


def test_a_tight_deadline_gets_the_best_arm_that_is_in_time():
    step = adaptive(three_arms())(tickets(1, slo_s=0.009), an_outlook(), 0.0)

    assert isinstance(step, Run)
    assert step.profile.arm.variant == "middle"


def test_a_heavy_load_gets_the_smallest_arm_and_a_batch():
    step = adaptive(three_arms())(tickets(20, gap_s=0.002), an_outlook(rate_rps=450), 0.04)

    assert isinstance(step, Run)
    assert step.profile.arm.variant == "small"
    assert step.rows > 1


def test_a_ticket_past_its_deadline_is_dropped_as_late_and_the_rest_served():
    step = adaptive(three_arms())(tickets(2, slo_s=0.05, gap_s=0.04), an_outlook(), 0.06)

    assert isinstance(step, Run)
    assert [(d.ticket.id, d.reason) for d in step.dropped] == [(0, "late")]
    assert [t.id for t in step.tickets] == [1]


def test_when_all_are_late_there_is_nothing_to_run():
    step = adaptive(three_arms())(tickets(3, slo_s=0.05), an_outlook(), 0.06)

    assert isinstance(step, Idle)
    assert len(step.dropped) == 3


def test_under_overload_those_with_least_slack_go_first():
    step = adaptive(three_arms())(tickets(80, gap_s=0.001), an_outlook(1000), 0.08)

    assert isinstance(step, Run)
    assert {d.reason for d in step.dropped} == {"shed"}
    assert max(d.ticket.id for d in step.dropped) < min(t.id for t in step.tickets)


def test_a_pin_and_a_demand_are_honoured_though_they_cost_more():
    waiting = [a_ticket(0, variant="middle"), a_ticket(1, min_accuracy=0.8)]
    policy = adaptive(three_arms())

    first = policy(waiting, an_outlook(400), 0.0)
    second = policy(waiting[1:], an_outlook(400), 0.0)

    assert isinstance(first, Run)
    assert (first.profile.arm.variant, [t.id for t in first.tickets]) == ("middle", [0])
    assert isinstance(second, Run)
    assert second.profile.arm.variant == "large"


def test_tickets_of_other_demands_join_a_batch_that_suits_them():
    arms = [a_profile("small", 0.7, 0.003, 0.0), a_profile("large", 0.8, 0.006, 0.0)]
    waiting = [a_ticket(0, variant="large"), a_ticket(1), a_ticket(2, min_accuracy=0.8)]

    step = adaptive(arms)(waiting, an_outlook(), 0.0)

    assert isinstance(step, Run)
    assert [t.id for t in step.tickets] == [0, 1, 2]


def test_rows_of_a_ticket_stay_together_and_within_the_largest_batch():
    waiting = [a_ticket(0, rows=10), a_ticket(1, rows=5), a_ticket(2, rows=3)]

    step = adaptive([a_profile(first_s=0.003, more_s=0.0)])(waiting, an_outlook(), 0.0)

    assert isinstance(step, Run)
    assert [t.id for t in step.tickets] == [0, 1]


def test_more_rows_than_any_arm_holds_are_dropped_not_waited_on():
    step = adaptive(three_arms())([a_ticket(rows=17)], an_outlook(), 0.0)

    assert isinstance(step, Idle)
    assert step.dropped[0].reason == "late"


def test_classes_that_no_arm_serves_are_dropped_as_late():
    queue = [replace(a_ticket(id=i, min_accuracy=0.99), slo_class="ab"[i]) for i in range(2)]
    told = Outlook(100.0, values={"a": 2.0, "b": 0.5}, haste=Haste(50.0, 0.01))

    decision = adaptive(three_arms())(queue, told, 0.0)

    assert isinstance(decision, Idle)
    assert [(drop.ticket.id, drop.reason) for drop in decision.dropped] == [
        (0, "late"),
        (1, "late"),
    ]


def test_a_batch_that_costs_no_more_takes_all_that_waits():
    step = adaptive([a_profile(first_s=0.003, more_s=0.0)])(tickets(16), an_outlook(), 0.0)

    assert isinstance(step, Run)
    assert step.rows == 16


def test_a_batch_dearer_than_its_rows_one_by_one_is_not_made():
    arm = a_profile(first_s=0.003, more_s=0.0035)

    step = adaptive([arm])(tickets(4), an_outlook(), 0.0)

    assert isinstance(step, Run)
    assert step.rows == 1


def test_a_ticket_without_a_deadline_is_served():
    step = adaptive(three_arms())([a_ticket(slo_s=float("inf"))], an_outlook(), 0.0)

    assert isinstance(step, Run)
    assert step.profile.arm.variant == "large"
