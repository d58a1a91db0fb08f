"""Early drop, for policies that have none: what cannot be answered in time any more does not reach them.

Two kinds: plain, each ticket by itself, and Nexus' (Shen et al., SOSP 2019), for the sake of larger batches.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import accumulate

from server.policy.decision import (
    ArmProfile,
    Decision,
    Drop,
    Outlook,
    Policy,
    PolicyFactory,
    Ticket,
    drops,
)
from server.policy.queueing.tickets import Queue
from server.policy.reference.head import by_demand

Table = Sequence[float]
"""Index = rows: the least time (s, upper estimate) in which an arm answers that many."""


def with_early_drop(factory: PolicyFactory) -> PolicyFactory:
    """The policy of `factory`, but first the tickets that no arm can answer in time are dropped as `late`.

    By the upper estimate, each ticket alone. Looked at are as many tickets as the largest batch could hold, and more
    where all demand the same. The policy still learns what has finished when nothing is left for it.
    """

    def build(arms: Sequence[ArmProfile]) -> Policy:
        inner, late = factory(arms), _late_by(arms)

        def decide(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
            gone = late(tickets, now_s)
            if not gone:
                return inner(tickets, outlook, now_s)
            decision = inner(_without(tickets, gone), outlook, now_s)
            return replace(decision, dropped=(*drops(gone, "late"), *decision.dropped))

        return decide

    return build


def _late_by(arms: Sequence[ArmProfile]) -> Callable[[Sequence[Ticket], float], Sequence[Ticket]]:
    """A look-up of the tickets that none of `arms` can answer in time, in the queue's order."""
    least_of, reach = by_demand(arms, _least_s), max(arm.max_batch for arm in arms)

    def is_late(ticket: Ticket, now_s: float) -> bool:
        least_s = least_of(ticket)
        return least_s is None or ticket.deadline_s < now_s + least_s[ticket.rows]

    def late(tickets: Sequence[Ticket], now_s: float) -> Sequence[Ticket]:
        if not isinstance(tickets, Queue) or len(tickets.demands) != 1:
            return [ticket for ticket in tickets[:reach] if is_late(ticket, now_s)]
        least_s = least_of(tickets[0])
        if least_s is None:
            return tickets[:]
        return tickets[: bisect_left(tickets.deadlines, now_s + least_s[tickets[0].rows])]

    return late


def _least_s(arms: Sequence[ArmProfile]) -> Table:
    """Index = rows: the least time (s, upper estimate) in which one of `arms` answers that many rows."""
    sizes = range(max(arm.max_batch for arm in arms) + 1)
    return [min(arm.upper_s[b] for arm in arms if b <= arm.max_batch) for b in sizes]


def _without(tickets: Sequence[Ticket], gone: Sequence[Ticket]) -> Sequence[Ticket]:
    """`tickets` without `gone`, which come in the same order and are mostly the first of them."""
    if tickets[len(gone) - 1] is gone[-1]:
        return tickets[len(gone) :]
    ids = {ticket.id for ticket in gone}
    return [ticket for ticket in tickets if ticket.id not in ids]


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
            gone = gone_of(tickets, now_s)
            if not gone:
                return inner(tickets, outlook, now_s)
            left = _without(tickets, [drop.ticket for drop in gone])
            decision = inner(left, outlook, now_s)
            return replace(decision, dropped=(*gone, *decision.dropped))

        return decide

    return build


def _gone(arms: Sequence[ArmProfile]) -> Callable[[Sequence[Ticket], float], Sequence[Drop]]:
    late, table_of = _late_by(arms), by_demand(arms, _rising_s)

    def gone(tickets: Sequence[Ticket], now_s: float) -> Sequence[Drop]:
        found = drops(late(tickets, now_s), "late")
        least_s = table_of(tickets[0]) if tickets else None
        if least_s is None or not isinstance(tickets, Queue) or len(tickets.demands) != 1:
            return found
        start = _start(tickets, least_s, now_s)
        return found + drops(tickets[len(found) : start], "shed")

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


def _rising_s(arms: Sequence[ArmProfile]) -> Table:
    """The same, never falling, so that it can be searched: fewer rows may come in a larger batch."""
    least_s = _least_s(arms)
    return list(accumulate(reversed(least_s), min))[::-1]
