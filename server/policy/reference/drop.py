"""Early drop, for policies that have none: what cannot be answered in time any more does not reach them."""

from bisect import bisect_left
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
from server.policy.reference.head import by_demand


def with_early_drop(factory: PolicyFactory) -> PolicyFactory:
    """The policy of `factory`, but first the tickets that no arm can answer in time are dropped as `late`.

    By the upper estimate, each ticket alone. Looked at are as many tickets as the largest batch could hold, and more
    where all demand the same. The policy still learns what has finished when nothing is left for it.
    """

    def build(arms: Sequence[ArmProfile]) -> Policy:
        inner, late = factory(arms), late_by(arms)

        def decide(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
            gone = late(tickets, now_s)
            if not gone:
                return inner(tickets, outlook, now_s)
            decision = inner(without(tickets, gone), outlook, now_s)
            drops = [Drop(ticket, "late") for ticket in gone]
            return replace(decision, dropped=(*drops, *decision.dropped))

        return decide

    return build


def late_by(arms: Sequence[ArmProfile]) -> Callable[[Sequence[Ticket], float], Sequence[Ticket]]:
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


def _least_s(arms: Sequence[ArmProfile]) -> list[float]:
    """Index = rows: the least time (s, upper estimate) in which one of `arms` answers that many rows."""
    sizes = range(max(arm.max_batch for arm in arms) + 1)
    return [min(arm.upper_s[b] for arm in arms if b <= arm.max_batch) for b in sizes]


def without(tickets: Sequence[Ticket], gone: Sequence[Ticket]) -> Sequence[Ticket]:
    """`tickets` without `gone`, which come in the same order and are mostly the first of them."""
    if tickets[len(gone) - 1] is gone[-1]:
        return tickets[len(gone) :]
    ids = {ticket.id for ticket in gone}
    return [ticket for ticket in tickets if ticket.id not in ids]
