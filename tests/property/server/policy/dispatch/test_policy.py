"""What every decision of the policy keeps to, whatever waits, whichever arms there are."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from server.policy.decision import ArmProfile, Idle, Outlook, Run, Ticket
from server.policy.dispatch.choose import adaptive
from tests.support.builders import an_outlook, three_arms, tickets
from tests.support.strategies import NOW_S, arm_sets, queues

outlooks = st.builds(Outlook, st.floats(0.0, 1e5), st.integers(1, 8))


@given(arm_sets(5, 40, most_more_s=0.05), queues(0, 30), outlooks)
@settings(max_examples=200, deadline=None)
def test_every_ticket_is_run_or_dropped_at_most_once_and_none_is_invented(
    arms: list[ArmProfile], waiting: list[Ticket], outlook: Outlook
):
    decision = adaptive(arms)(waiting, outlook, NOW_S)

    gone = [d.ticket for d in decision.dropped]
    gone += decision.tickets if isinstance(decision, Run) else ()
    assert len({t.id for t in gone}) == len(gone)
    assert set(gone) <= set(waiting)


@given(arm_sets(5, 40, most_more_s=0.05), queues(0, 30), outlooks)
@settings(max_examples=200, deadline=None)
def test_a_batch_fits_its_arm_suits_its_members_and_is_in_time_by_its_own_estimate(
    arms: list[ArmProfile], waiting: list[Ticket], outlook: Outlook
):
    decision = adaptive(arms)(waiting, outlook, NOW_S)

    if isinstance(decision, Run):
        assert decision.profile in arms
        assert 1 <= decision.rows <= decision.profile.max_batch
        assert all(t.accepts(decision.profile) for t in decision.tickets)
        finish_s = NOW_S + decision.profile.upper_s[decision.rows]
        assert all(finish_s <= t.deadline_s + 1e-9 for t in decision.tickets)


@given(arm_sets(5, 40, most_more_s=0.05), queues(0, 30), outlooks)
@settings(max_examples=200, deadline=None)
def test_it_never_idles_while_a_ticket_that_can_be_in_time_waits(
    arms: list[ArmProfile], waiting: list[Ticket], outlook: Outlook
):
    decision = adaptive(arms)(waiting, outlook, NOW_S)

    if isinstance(decision, Idle):
        assert not any(_can_be_in_time(t, arms) for t in waiting)


@given(arm_sets(5, 40, most_more_s=0.05), queues(0, 30), outlooks)
@settings(max_examples=200, deadline=None)
def test_what_is_called_late_is_late(
    arms: list[ArmProfile], waiting: list[Ticket], outlook: Outlook
):
    decision = adaptive(arms)(waiting, outlook, NOW_S)

    for drop in decision.dropped:
        assert _can_be_in_time(drop.ticket, arms) == (drop.reason == "shed")


@given(arm_sets(5, 40, most_more_s=0.05), queues(0, 30), outlooks)
@settings(max_examples=100, deadline=None)
def test_the_same_situation_gets_the_same_decision_from_a_used_policy_and_a_fresh_one(
    arms: list[ArmProfile], waiting: list[Ticket], outlook: Outlook
):
    used = adaptive(arms)
    used(waiting[::2], Outlook(1.0, 1), NOW_S - 0.01)

    assert used(waiting, outlook, NOW_S) == adaptive(arms)(waiting, outlook, NOW_S)


@given(st.integers(1, 30), st.lists(st.floats(0.0, 2000.0), min_size=2, max_size=6))
@settings(max_examples=100, deadline=None)
def test_more_load_never_lowers_the_chosen_throughput(count: int, rates: list[float]):
    policy = adaptive(three_arms())
    waiting = tickets(count)

    chosen = [_throughput_rps(policy(waiting, an_outlook(r), 0.0)) for r in sorted(rates)]

    assert all(b >= a * (1 - 1e-9) for a, b in pairwise(chosen))


def _throughput_rps(decision: object) -> float:
    assert isinstance(decision, Run)
    return decision.rows / decision.profile.mean_s[decision.rows]


def _can_be_in_time(ticket: Ticket, arms: Sequence[ArmProfile]) -> bool:
    return any(
        ticket.accepts(arm)
        and ticket.rows <= arm.max_batch
        and NOW_S + arm.upper_s[ticket.rows] <= ticket.deadline_s
        for arm in arms
    )
