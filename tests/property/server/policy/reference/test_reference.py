"""What every policy we compare with keeps to, whatever waits, whichever arms there are."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.policy.decision import (
    ArmProfile,
    Decision,
    Finished,
    Idle,
    Outlook,
    Policy,
    Run,
    Ticket,
)
from server.policy.queueing.tickets import Queue
from server.policy.registry import names, policy
from tests.support.strategies import NOW_S, arm_sets, queues

OURS = {"adaptive", "largest", "static"}
PLANNERS = {"infaas", "model_switching", "proteus", "proteus_eager", "ramsis"}  # test_planners.py
REFERENCES = [n for n in names() if n.split(":")[0] not in OURS | PLANNERS]


rates = st.floats(0.0, 1e4)


@pytest.mark.parametrize("name", REFERENCES)
@given(arms=arm_sets(4, 20), waiting=queues(1, 25), rate_rps=rates)
@settings(max_examples=15, deadline=None)
def test_serving_a_queue_to_its_end_answers_or_drops_every_ticket_exactly_once(
    name: str, arms: list[ArmProfile], waiting: list[Ticket], rate_rps: float
):
    gone: list[Ticket] = []

    for decision in _served(name, arms, waiting, rate_rps):
        gone += [drop.ticket for drop in decision.dropped]
        gone += decision.tickets if isinstance(decision, Run) else ()

    assert sorted(ticket.id for ticket in gone) == sorted(ticket.id for ticket in waiting)


@pytest.mark.parametrize("name", REFERENCES)
@given(arms=arm_sets(4, 20), waiting=queues(1, 25), rate_rps=rates)
@settings(max_examples=15, deadline=None)
def test_every_batch_fits_its_arm_and_every_member_accepts_it(
    name: str, arms: list[ArmProfile], waiting: list[Ticket], rate_rps: float
):
    for decision in _served(name, arms, waiting, rate_rps):
        if isinstance(decision, Run):
            assert decision.profile in arms
            assert 1 <= decision.rows <= decision.profile.max_batch
            assert all(ticket.accepts(decision.profile) for ticket in decision.tickets)


@pytest.mark.parametrize("name", REFERENCES)
@given(arms=arm_sets(4, 20), waiting=queues(1, 25), rate_rps=rates)
@settings(max_examples=8, deadline=None)
def test_two_policies_of_a_name_that_saw_the_same_decide_the_same(
    name: str, arms: list[ArmProfile], waiting: list[Ticket], rate_rps: float
):
    once, again = (list(_served(name, arms, waiting, rate_rps)) for _ in range(2))

    assert once == again


@pytest.mark.parametrize("name", [name for name in REFERENCES if name.endswith("+drop")])
@given(arms=arm_sets(4, 20), waiting=queues(1, 25))
@settings(max_examples=15, deadline=None)
def test_what_early_drop_calls_late_no_arm_of_the_policy_answers_in_time(
    name: str, arms: list[ArmProfile], waiting: list[Ticket]
):
    kept = arms[:1] if "VARIANT" in name else arms
    kept = [max(arms, key=lambda a: (a.accuracy, a.mean_s[1]))] if name == "clipper+drop" else kept

    step = _built(name, arms)(Queue.of(waiting), Outlook(), NOW_S)

    late = [drop.ticket for drop in step.dropped if drop.reason == "late"]
    assert not any(_can_be_in_time(ticket, kept) for ticket in late)


def _served(
    name: str, arms: Sequence[ArmProfile], waiting: Sequence[Ticket], rate_rps: float
) -> Iterator[Decision]:
    """The policy's decisions on one worker until nothing waits, told of each batch that ends."""
    decide, queue, now_s = _built(name, arms), Queue.of(waiting), NOW_S
    outlook = Outlook(rate_rps, 1, queue.rows)
    while queue:
        decision = decide(queue, outlook, now_s)
        queue.pop([drop.ticket for drop in decision.dropped])
        yield decision
        if isinstance(decision, Run):
            queue.pop(decision.tickets)
            busy_s = decision.profile.mean_s[decision.rows]
            now_s += busy_s
            finished = (Finished(decision.profile.arm, decision.rows, busy_s),)
            outlook = Outlook(rate_rps, 1, len(waiting), finished)
        elif isinstance(decision, Idle):
            assert not queue, "idle while tickets wait"
        else:
            assert decision.at_s > now_s, "waits for a time that has passed"
            now_s = decision.at_s


def _built(name: str, arms: Sequence[ArmProfile]) -> Policy:
    return policy(name.replace("VARIANT", "v0"))(arms)


def _can_be_in_time(ticket: Ticket, arms: Sequence[ArmProfile]) -> bool:
    return any(
        ticket.accepts(arm)
        and ticket.rows <= arm.max_batch
        and NOW_S + arm.upper_s[ticket.rows] <= ticket.deadline_s
        for arm in arms
    )
