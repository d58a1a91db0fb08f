"""What every planner keeps to, whatever waits, whichever arms there are and however the load changes."""

from collections.abc import Callable, Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.policy.decision import ArmProfile, Decision, Idle, Outlook, PolicyFactory, Run, Ticket
from server.policy.reference.infaas import infaas
from server.policy.reference.model_switching import model_switching
from server.policy.reference.proteus import proteus
from server.policy.reference.ramsis import ramsis
from tests.builders import a_profile, a_ticket

NOW_S = 1.0
PLANNERS = [infaas, model_switching, proteus, ramsis]


@st.composite
def arm_sets(draw: st.DrawFn) -> list[ArmProfile]:
    """One to three arms of any accuracy, cost and size."""
    return [
        a_profile(
            f"v{i}",
            draw(st.floats(0.0, 1.0)),
            draw(st.floats(1e-4, 0.05)),
            draw(st.floats(0.0, 0.02)),
            draw(st.integers(1, 8)),
        )
        for i in range(draw(st.integers(1, 3)))
    ]


@st.composite
def queues(draw: st.DrawFn) -> list[Ticket]:
    """Up to 20 tickets, some of them with rows, demands, pins or deadlines long past."""
    plain = draw(st.booleans())
    waiting = [
        a_ticket(
            i,
            NOW_S - draw(st.floats(0.0, 0.1)),
            draw(st.sampled_from([0.02, 0.05, 0.1])),
            1 if plain else draw(st.integers(1, 10)),
            0.0 if plain else draw(st.sampled_from([0.0, 0.3, 0.6, 0.95])),
            None if plain else draw(st.sampled_from([None, None, None, "v0", "v1", "gone"])),
        )
        for i in range(draw(st.integers(1, 20)))
    ]
    return sorted(waiting, key=lambda t: (t.deadline_s, t.id))


outlooks = st.builds(Outlook, st.floats(0.0, 3e3), st.integers(1, 4))


@pytest.mark.parametrize("planner", PLANNERS)
@given(arms=arm_sets(), waiting=queues(), outlook=outlooks)
@settings(max_examples=25, deadline=None)
def test_every_ticket_is_answered_or_dropped_once_and_every_answer_is_in_time_and_as_demanded(
    planner: Callable[[], PolicyFactory],
    arms: list[ArmProfile],
    waiting: list[Ticket],
    outlook: Outlook,
):
    gone: list[int] = []

    for now_s, decision in _served(planner(), arms, waiting, outlook):
        gone += [drop.ticket.id for drop in decision.dropped]
        if isinstance(decision, Run):
            gone += [ticket.id for ticket in decision.tickets]
            assert 1 <= decision.rows <= decision.arm.max_batch
            finish_s = now_s + decision.arm.upper_s[decision.rows]
            assert all(t.accepts(decision.arm) for t in decision.tickets)
            assert all(finish_s <= t.deadline_s + 1e-9 for t in decision.tickets)

    assert sorted(gone) == [ticket.id for ticket in sorted(waiting, key=lambda t: t.id)]


def _served(
    factory: PolicyFactory, arms: Sequence[ArmProfile], waiting: Sequence[Ticket], outlook: Outlook
) -> Iterator[tuple[float, Decision]]:
    """The decisions on one worker, and when, until nothing waits."""
    decide, queue, now_s = factory(arms), list(waiting), NOW_S
    while queue:
        decision = decide(queue, outlook, now_s)
        yield now_s, decision
        gone = {drop.ticket.id for drop in decision.dropped}
        if isinstance(decision, Run):
            gone |= {ticket.id for ticket in decision.tickets}
            now_s += decision.arm.mean_s[decision.rows]
        elif isinstance(decision, Idle):
            assert len(gone) == len(queue), "idle while tickets wait"
        else:
            assert decision.at_s > now_s, "waits for a time that has passed"
            now_s = decision.at_s
        queue = [ticket for ticket in queue if ticket.id not in gone]
