"""Nexus' early drop (Shen et al., SOSP 2019): requests that would force a small batch give way to those behind them."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace

from server.policy.decision import (
    ArmProfile,
    Decision,
    Drop,
    Outlook,
    Policy,
    PolicyFactory,
    Ticket,
)
from server.policy.queueing.tickets import Queue
from server.policy.reference.drop import late_by, without
from server.policy.reference.head import by_demand

Table = Sequence[float]
"""Index = rows: the least time (s, upper estimate) in which an arm answers that many."""


def with_nexus_drop(factory: PolicyFactory) -> PolicyFactory:
    """The policy of `factory`, but first the head of the queue is dropped while a larger batch behind it would fit.

    The paper: a window as long as the batch that was planned slides over the queue; it stops at the first request that
    has time for a batch as long as the window, and all earlier ones are dropped. The planned batch is the largest that
    takes half the latency bound, so that a request that just missed one is in time with the next.

    Ours: the bound is the head's own; time is the least of the arms' upper estimates; where fewer wait than the
    window, the batch is the largest that any start of the queue leaves time for, and of equals the earliest start, so
    that nothing is dropped for a batch no larger. What no arm can answer in time is `late` as with plain early drop,
    the others are `shed`. Where demands differ, only the late ones are dropped: the paper has a queue for each.
    """

    def build(arms: Sequence[ArmProfile]) -> Policy:
        inner, gone_of = factory(arms), _gone(arms)

        def decide(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
            drops = gone_of(tickets, now_s)
            if not drops:
                return inner(tickets, outlook, now_s)
            left = without(tickets, [drop.ticket for drop in drops])
            decision = inner(left, outlook, now_s)
            return replace(decision, dropped=(*drops, *decision.dropped))

        return decide

    return build


def _gone(arms: Sequence[ArmProfile]) -> Callable[[Sequence[Ticket], float], Sequence[Drop]]:
    late, table_of = late_by(arms), by_demand(arms, _least_s)

    def gone(tickets: Sequence[Ticket], now_s: float) -> Sequence[Drop]:
        drops = [Drop(ticket, "late") for ticket in late(tickets, now_s)]
        least_s = table_of(tickets[0]) if tickets else None
        if least_s is None or not isinstance(tickets, Queue) or len(tickets.demands) != 1:
            return drops
        start = _start(tickets, least_s, now_s)
        return drops + [Drop(ticket, "shed") for ticket in tickets[len(drops) : start]]

    return gone


def _start(tickets: Queue, least_s: Table, now_s: float) -> int:
    """Where the largest batch of the queue begins; its end where nothing fits. Every ticket has as many rows."""
    head, deadlines = tickets[0], tickets.deadlines
    for count in range(min(_window(head, least_s), len(deadlines)), 0, -1):
        at = bisect_left(deadlines, now_s + least_s[count * head.rows])
        if at + count <= len(deadlines):
            return at
    return len(deadlines)


def _window(head: Ticket, least_s: Table) -> int:
    """Tickets in the planned batch, at least one."""
    rows = bisect_right(least_s, 0.5 * (head.deadline_s - head.arrival_s)) - 1
    return max(1, rows // head.rows)


def _least_s(arms: Sequence[ArmProfile]) -> Table:
    """Never falling, so that it can be searched."""
    sizes = range(max(arm.max_batch for arm in arms) + 1)
    least_s = [min(arm.upper_s[b] for arm in arms if b <= arm.max_batch) for b in sizes]
    for rows in reversed(sizes[:-1]):
        least_s[rows] = min(least_s[rows], least_s[rows + 1])
    return least_s
