"""Decisions where tickets differ."""

from dataclasses import replace

from server.policy.decision import Outlook, Run, Ticket
from server.policy.dispatch.choose import adaptive
from tests.support.builders import a_profile, a_ticket, three_arms


def of_class(name: str, *tickets: Ticket) -> list[Ticket]:
    return [replace(ticket, slo_class=name) for ticket in tickets]


def test_in_overload_those_worth_least_go_wherever_they_stand_in_the_queue():
    gold = of_class("gold", *(a_ticket(i, slo_s=0.03) for i in range(8)))
    plain = of_class("plain", *(a_ticket(i, slo_s=0.0301) for i in range(8, 40)))
    outlook = Outlook(1000.0, 1, values={"gold": 4.0, "plain": 1.0})

    step = adaptive([a_profile(first_s=0.003, more_s=0.002)])([*gold, *plain], outlook, 0.0)

    assert isinstance(step, Run)
    assert {d.ticket.slo_class for d in step.dropped} == {"plain"}
    assert set(gold) <= set(step.tickets)


def test_without_overload_values_change_nothing():
    waiting = of_class("gold", a_ticket(0)) + of_class("plain", a_ticket(1), a_ticket(2))
    weighed = Outlook(50.0, 1, values={"gold": 4.0, "plain": 1.0})

    policy = adaptive(three_arms())

    assert policy(waiting, weighed, 0.0) == policy(waiting, Outlook(50.0, 1), 0.0)


def test_a_ticket_that_was_passed_over_is_not_made_late_by_a_batch_behind_it():
    arms = [a_profile("fast", 0.7, 0.004, 0.004), a_profile("fine", 0.8, 0.008, 0.008)]
    waiting = [
        a_ticket(0, slo_s=0.030),
        a_ticket(1, slo_s=0.031, variant="fine"),
        *(a_ticket(i, slo_s=0.1) for i in range(2, 8)),
    ]

    step = adaptive(arms)(waiting, Outlook(), 0.0)

    assert isinstance(step, Run)
    if 1 not in {t.id for t in step.tickets}:
        assert step.profile.mean_s[step.rows] + arms[1].upper_s[1] <= 0.031


def test_the_arms_of_a_batch_suit_its_first_ticket():
    waiting = [a_ticket(0, slo_s=0.025, min_accuracy=0.8), *(a_ticket(i) for i in range(1, 12))]

    step = adaptive(three_arms())(waiting, Outlook(500.0, 1), 0.0)

    assert isinstance(step, Run)
    assert step.tickets[0].id == 0
    assert step.profile.accuracy >= 0.8


def test_where_there_is_time_for_all_many_undemanding_go_before_a_demanding_first_one():
    waiting = [a_ticket(0, min_accuracy=0.8), *(a_ticket(i) for i in range(1, 12))]

    step = adaptive(three_arms())(waiting, Outlook(500.0, 1), 0.0)

    assert isinstance(step, Run)
    assert {t.id for t in step.tickets} == set(range(1, 12))
    assert step.profile.arm.variant == "small"
    assert not step.dropped


def test_a_request_of_any_number_of_rows_gets_the_best_arm_that_there_is_time_for():
    coarse = a_profile("coarse", 0.6, 0.001, 0.0001, max_batch=40)
    policy = adaptive([coarse, a_profile("fine", 0.9, 0.002, 0.0002, max_batch=40)])

    steps = [policy([a_ticket(rows=rows, slo_s=1.0)], Outlook(), 0.0) for rows in range(1, 41)]

    chosen = [step.profile.arm.variant for step in steps if isinstance(step, Run)]
    assert chosen == ["fine"] * 40
