"""Those whose time is up and that are answered all the same: requests that state no bound of their own. Pure.

They have missed what they were promised and get nothing more for being quick: they run when nobody else wants a worker,
at the arm that costs least a row, and give way first where no more may wait.
"""

from collections.abc import Sequence

from server.policy.decision import ArmProfile, Run, Ticket

HELD_UP = 0.25
"""Share of the latency bound that a batch of theirs takes at most, if it has more than one of them: who comes meanwhile
waits for it."""
REASON = "late"
"""Why such a batch runs, as metrics call it."""


class LateQueue:
    """First in, first out."""

    def __init__(self) -> None:
        self._tickets: dict[int, Ticket] = {}
        self.rows = 0
        """Rows waiting, over all tickets."""

    def __len__(self) -> int:
        return len(self._tickets)

    def push(self, ticket: Ticket) -> None:
        """Add a ticket."""
        self._tickets[ticket.id] = ticket
        self.rows += ticket.rows

    def remove(self, ticket: Ticket) -> bool:
        """Take one ticket out. False if it does not wait here."""
        if self._tickets.pop(ticket.id, None) is None:
            return False
        self.rows -= ticket.rows
        return True

    def give_way(self, rows: int) -> list[Ticket]:
        """Take out those that came first, until so many rows have made room; none where all have not so many."""
        gone: list[Ticket] = []
        if rows <= self.rows:
            for ticket in self._tickets.values():
                if rows <= 0:
                    break
                gone.append(ticket)
                rows -= ticket.rows
        for ticket in gone:
            self.remove(ticket)
        return gone

    def batch(self, arms: Sequence[ArmProfile], slo_s: float) -> Run | None:
        """What to run now, for whom nobody else has use; None where no arm takes the first. They stay in the queue."""
        first = next(iter(self._tickets.values()), None)
        if first is None:
            return None
        able = [arm for arm in arms if first.accepts(arm) and first.rows <= arm.max_batch]
        if not able:
            return None
        rows, arm = min(
            ((self._most(arm, first.rows, slo_s), arm) for arm in able),
            key=lambda found: found[1].mean_s[found[0]] / found[0],
        )
        taken: list[Ticket] = []
        for ticket in self._tickets.values():
            if ticket.rows <= rows and ticket.accepts(arm) and (arm.separable or not taken):
                taken.append(ticket)
                rows -= ticket.rows
            if not rows:
                break
        return Run(arm, tuple(taken), REASON)

    def _most(self, arm: ArmProfile, rows: int, slo_s: float) -> int:
        """Rows of a batch on this arm that begins with a ticket of so many."""
        most = min(arm.max_batch, max(rows, self.rows))
        while most > rows and arm.mean_s[most] > HELD_UP * slo_s:
            most -= 1
        return most
