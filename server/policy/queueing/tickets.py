"""The queue of waiting tickets, earliest deadline first. It orders, finds and counts; it decides and bounds nothing."""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Self, overload

from server.policy.decision import Ticket

Demand = tuple[int, float, str | None, str]
"""What sets a ticket apart from its neighbours besides its deadline: rows, least accuracy, pinned variant, class."""


class Queue(Sequence[Ticket]):
    """Tickets sorted by (deadline_s, id). Policies read it as a sequence, without a copy."""

    def __init__(self) -> None:
        self._keys: list[tuple[float, int]] = []
        self._tickets: list[Ticket] = []
        self.rows = 0
        """Rows waiting, over all tickets."""
        self.deadlines: list[float] = []
        """The tickets' deadlines (s), in order. To be read only."""
        self.demands: dict[Demand, int] = {}
        """How many tickets make each demand; none of them zero. To be read only."""
        self.demand_of: list[Demand] = []
        """The tickets' demands, in order. To be read only."""

    @classmethod
    def of(cls, tickets: Iterable[Ticket]) -> Self:
        """A queue that holds `tickets`. Raises ValueError as `push` does."""
        queue = cls()
        for ticket in tickets:
            queue.push(ticket)
        return queue

    def __len__(self) -> int:
        return len(self._tickets)

    def __iter__(self) -> Iterator[Ticket]:
        return iter(self._tickets)

    @overload
    def __getitem__(self, index: int) -> Ticket: ...
    @overload
    def __getitem__(self, index: slice) -> list[Ticket]: ...
    def __getitem__(self, index: int | slice) -> Ticket | list[Ticket]:
        return self._tickets[index]

    def __contains__(self, ticket: object) -> bool:
        return isinstance(ticket, Ticket) and self._at(ticket) is not None

    def push(self, ticket: Ticket) -> None:
        """Add a ticket. Raises ValueError if one with its deadline and id already waits."""
        key = (ticket.deadline_s, ticket.id)
        demand = (ticket.rows, ticket.min_accuracy, ticket.variant, ticket.slo_class)
        if not self._keys or key > self._keys[-1]:
            self._keys.append(key)
            self._tickets.append(ticket)
            self.deadlines.append(ticket.deadline_s)
            self.demand_of.append(demand)
        else:
            self._insert(key, ticket, demand)
        self.rows += ticket.rows
        self.demands[demand] = self.demands.get(demand, 0) + 1

    def extend(self, tickets: Sequence[Ticket]) -> None:
        """`push` each. Quicker where all make one demand and are due one after the other, after those that wait."""
        first = tickets[0]
        demand = (first.rows, first.min_accuracy, first.variant, first.slo_class)
        keys = [(one.deadline_s, one.id) for one in tickets]
        alike = [(one.rows, one.min_accuracy, one.variant, one.slo_class) for one in tickets]
        last = self._keys[-1:]
        if alike.count(demand) < len(alike) or any(a >= b for a, b in pairwise([*last, *keys])):
            for ticket in tickets:
                self.push(ticket)
            return
        self._keys += keys
        self._tickets += tickets
        self.deadlines += [one.deadline_s for one in tickets]
        self.demand_of += [demand] * len(keys)
        self.rows += demand[0] * len(keys)
        self.demands[demand] = self.demands.get(demand, 0) + len(keys)

    def remove(self, ticket: Ticket) -> bool:
        """Take one ticket out (a cancelled call). False if it does not wait here (any more)."""
        at = self._at(ticket)
        if at is None:
            return False
        self._cut(at, at + 1)
        return True

    def pop(self, tickets: Iterable[Ticket]) -> None:
        """Take out a decision's tickets. Raises KeyError, taking none, if one does not wait here or comes twice."""
        gone = list(tickets)
        if not gone:
            return
        start = self._index(gone[0])
        stop = start + len(gone)
        if self._tickets[start:stop] == gone:  # neighbours, as most batches are
            self._cut(start, stop)
        else:
            self._pop_scattered(gone)

    def _pop_scattered(self, tickets: Sequence[Ticket]) -> None:
        at = sorted(self._index(ticket) for ticket in tickets)
        if any(a == b for a, b in pairwise(at)):
            raise KeyError(
                "a ticket is named twice in one pop; a decision may hold each ticket once"
            )
        end = len(at)
        while end:
            start = end - 1
            while start and at[start - 1] == at[start] - 1:
                start -= 1
            self._cut(at[start], at[end - 1] + 1)
            end = start

    def _insert(self, key: tuple[float, int], ticket: Ticket, demand: Demand) -> None:
        at = bisect_left(self._keys, key)
        if self._keys[at] == key:
            raise ValueError(
                f"ticket {ticket.id} already waits; give every ticket an id of its own"
            )
        insort(self._keys, key)
        self._tickets.insert(at, ticket)
        self.deadlines.insert(at, ticket.deadline_s)
        self.demand_of.insert(at, demand)

    def _cut(self, start: int, stop: int) -> None:
        for demand in self.demand_of[start:stop]:
            self.rows -= demand[0]
            left = self.demands[demand] - 1
            if left:
                self.demands[demand] = left
            else:
                del self.demands[demand]
        for ordered in (self._keys, self._tickets, self.deadlines, self.demand_of):
            del ordered[start:stop]

    def _index(self, ticket: Ticket) -> int:
        at = self._at(ticket)
        if at is None:
            raise KeyError(f"ticket {ticket.id} does not wait here; pop only what the queue holds")
        return at

    def _at(self, ticket: Ticket) -> int | None:
        key = (ticket.deadline_s, ticket.id)
        at = bisect_left(self._keys, key)
        return at if at < len(self._keys) and self._keys[at] == key else None
