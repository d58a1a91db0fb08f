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
from tests.support.strategies import NOW_S, arm_sets, queues

PLANNERS = [infaas, model_switching, proteus, ramsis]


outlooks = st.builds(Outlook, st.floats(0.0, 3e3), st.integers(1, 4))


@pytest.mark.parametrize("planner", PLANNERS)
@given(arms=arm_sets(3, 8, least_s=1e-4), waiting=queues(1, 20, most_rows=10), outlook=outlooks)
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
            assert 1 <= decision.rows <= decision.profile.max_batch
            finish_s = now_s + decision.profile.upper_s[decision.rows]
            assert all(t.accepts(decision.profile) for t in decision.tickets)
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
            now_s += decision.profile.mean_s[decision.rows]
        elif isinstance(decision, Idle):
            assert len(gone) == len(queue), "idle while tickets wait"
        else:
            assert decision.at_s > now_s, "waits for a time that has passed"
            now_s = decision.at_s
        queue = [ticket for ticket in queue if ticket.id not in gone]
