"""The steps a decision weighed, made again."""

from dataclasses import replace

from server.policy.decision import Outlook, Run
from server.policy.dispatch.choose import adaptive
from server.policy.dispatch.explain import alternatives
from tests.support.builders import a_ticket, an_outlook, three_arms, tickets


def test_the_best_candidate_is_what_was_decided():
    waiting, outlook = tickets(9, gap_s=0.002), an_outlook(200)

    step = adaptive(three_arms())(waiting, outlook, 0.03)
    best = alternatives(three_arms(), waiting, outlook, 0.03)[0]

    assert isinstance(step, Run)
    assert (best.variant, best.rows) == (step.profile.arm.variant, step.rows)


def test_it_is_so_among_tickets_that_differ_too():
    waiting = [a_ticket(0, rows=2), a_ticket(1, min_accuracy=0.75), a_ticket(2, variant="large")]

    step = adaptive(three_arms())(waiting, an_outlook(), 0.0)
    best = alternatives(three_arms(), waiting, an_outlook(), 0.0)[0]

    assert isinstance(step, Run)
    assert (best.variant, best.rows) == (step.profile.arm.variant, step.rows)


def test_it_is_so_where_not_all_can_be_served_and_some_are_worth_more():
    waiting = [a_ticket(i, slo_s=0.03 + i * 1e-4) for i in range(20)]
    waiting[::2] = [replace(ticket, slo_class="gold") for ticket in waiting[::2]]
    outlook = Outlook(1000.0, 1, values={"gold": 4.0, "default": 1.0})

    step = adaptive(three_arms())(waiting, outlook, 0.0)
    best = alternatives(three_arms(), waiting, outlook, 0.0)[0]

    assert isinstance(step, Run)
    assert step.reason == "overload"
    assert (best.variant, best.rows) == (step.profile.arm.variant, step.rows)


def test_what_would_be_late_comes_last_and_without_a_worth():
    listed = alternatives(three_arms(), tickets(4, slo_s=0.015), an_outlook(), 0.0)

    late = [c for c in listed if not c.in_time]
    assert late
    assert listed[-len(late) :] == tuple(late)
    assert {c.worth for c in late} == {0.0}


def test_where_all_are_late_there_is_nothing_to_weigh():
    assert alternatives(three_arms(), tickets(3, slo_s=0.001), an_outlook(), 0.0) == ()
    assert alternatives(three_arms(), [], an_outlook(), 0.0) == ()
