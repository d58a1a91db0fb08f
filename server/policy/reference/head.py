"""What the policies that serve the head of the queue share: who is at the head, which arms suit it, who joins it."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import TypeVar

from server.policy.decision import ArmProfile, Decision, Drop, Idle, Outlook, Policy, Run, Ticket
from server.policy.queueing.tickets import Queue

T = TypeVar("T")

Chooser = Callable[[Ticket, int, float], tuple[ArmProfile, int]]
"""(the head, rows waiting from it on, its slack in s) -> an arm, and the most rows to run there: at least the head's.

Rows beyond the largest batch may be left out of the count.
"""


def serve_head(
    arms: Sequence[ArmProfile], chooser: Callable[[Sequence[ArmProfile]], Chooser]
) -> Policy:
    """A policy that runs the ticket with the earliest deadline, with those behind it that accept the same arm.

    `chooser` makes the tables for the arms (at least one) that suit a head. A head that no arm suits is dropped; no
    other ticket is. Raises ValueError when there is no arm.
    """
    if not arms:
        raise ValueError("a policy needs at least one profiled arm; profile the family first")
    chooser_for, largest = by_demand(arms, chooser), max(arm.max_batch for arm in arms)

    def decide(tickets: Sequence[Ticket], _: Outlook, now_s: float) -> Decision:
        unservable: list[Drop] = []
        for at, head in enumerate(tickets):
            choose = chooser_for(head)
            if choose is None:
                unservable.append(Drop(head, "late"))
                continue
            near = tickets[at : at + largest]
            arm, most = choose(head, _rows(tickets, near), head.deadline_s - now_s)
            batch = company(near[:most], arm, most)
            reason = "drain" if at + len(batch) == len(tickets) else "partial"
            return Run(arm, batch, reason, tuple(unservable))
        return Idle(tuple(unservable))

    return decide


def by_demand(
    arms: Sequence[ArmProfile], build: Callable[[Sequence[ArmProfile]], T]
) -> Callable[[Ticket], T | None]:
    """A look-up from a ticket to what `build` makes of the arms that suit it; None where no arm does.

    Everything is built once, when first asked for: at most one for every set of arms.
    """
    floors = sorted({arm.accuracy for arm in arms})
    sizes = sorted({arm.max_batch for arm in arms})
    known: dict[tuple[str | None, int, int], T] = {}

    def of(ticket: Ticket) -> T | None:
        key = (
            ticket.variant,
            bisect_left(floors, ticket.min_accuracy),
            bisect_left(sizes, ticket.rows),
        )
        found = known.get(key)
        if found is None:
            suited = [a for a in arms if ticket.rows <= a.max_batch and ticket.accepts(a)]
            if suited:
                found = known[key] = build(suited)
        return found

    return of


def company(near: Sequence[Ticket], arm: ArmProfile, most: int) -> tuple[Ticket, ...]:
    """The first of `near`, and those behind it that accept `arm` too, of at most `most` rows together."""
    variant, accuracy = arm.arm.variant, arm.accuracy
    members: list[Ticket] = []
    for ticket in near:
        if (
            ticket.rows <= most
            and ticket.min_accuracy <= accuracy
            and (ticket.variant is None or ticket.variant == variant)
        ):
            members.append(ticket)
            most -= ticket.rows
    return tuple(members)


def _rows(tickets: Sequence[Ticket], near: Sequence[Ticket]) -> int:
    """Rows waiting in `near`, the tickets from the head on as far as a batch can reach."""
    if isinstance(tickets, Queue) and tickets.rows == len(tickets):
        return len(near)
    return sum(ticket.rows for ticket in near)
