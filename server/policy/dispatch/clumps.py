"""Rows that come at once: the first waits a moment for the rest; a long batch risks those that come meanwhile."""

from dataclasses import dataclass
from math import exp, inf

import numpy as np

from server.policy.decision import Outlook
from server.policy.dispatch.menu import Floats
from server.policy.dispatch.pricing import Planner
from server.policy.queueing.tickets import Queue

CALM_ROWS = 1.3
"""Clumps smaller than this are what independent arrivals look like: no risk is reckoned with."""
COMPANY_ROWS = 2.0
"""Where fewer rows than this come at once, nobody waits for company."""
COMPANY_SHARE = 0.03
"""Share of its bound that the first of a clump may wait for the rest."""
COMPANY_OF_ROW = 0.25
"""And share of the time that a row takes at least: where nobody comes, no client is slowed by more."""
ROOM = 0.9
"""Share of the SLO that a clump has where it meets an idle worker: the rest is kept for guard and a batch's end."""


@dataclass(frozen=True, slots=True)
class Clumping:
    """Rows come at `rate_rps` a worker, `rows` of them at once on average; all workers serve one in `row_s`."""

    rate_rps: float
    rows: float
    row_s: float
    room_s: float

    def lost(self, batch_s: Floats) -> Floats:
        """Rows expected to be lost because a batch of each length is running when they come, half-way through it.

        Clumps of exponential size with mean m, of which c rows can be served in time, lose m exp(-c/m) each.
        """
        clump_s = self.row_s * self.rows
        left_s = np.maximum(self.room_s - 0.5 * batch_s, 0.0)
        return self.rate_rps * batch_s * (np.exp(-left_s / clump_s) - exp(-self.room_s / clump_s))


@dataclass(frozen=True, slots=True)
class Barred:
    """Rows in haste come at `rate_rps`; each is in time if one of the `workers` is free within `room_s`.

    `shortest_s`: a batch takes so long at least.
    """

    rate_rps: float
    workers: int
    room_s: float
    shortest_s: float

    def lost(self, batch_s: Floats) -> Floats:
        """Rows expected to be lost because a batch of each length is running on every worker when they come.

        Of workers that are so far from being free as chance has it, all take longer than the room with probability
        (1 - room / length) to the power of their number. Who is barred by the shortest batches too is not lost by this.
        """
        over = np.maximum(1.0 - self.room_s / batch_s, 0.0) ** self.workers
        anyway = max(1.0 - self.room_s / self.shortest_s, 0.0) ** self.workers
        return self.rate_rps / self.workers * batch_s * np.maximum(over - anyway, 0.0)


Risk = Clumping | Barred


def company_until(queue: Queue, planner: Planner, outlook: Outlook) -> float:
    """Until when (s) those that wait should wait for more of their kind; in the past: not at all.

    Where rows come in clumps, the first of one has nearly all its time left and nobody beside it. They run once as many
    are there as a clump has that a row finds itself in, or the largest batch, or the oldest came a moment ago. Where
    demands differ, or the first has not twice the time left that an arm it accepts needs for all, nobody waits.
    """
    if outlook.clump_rows < COMPANY_ROWS or len(queue.demands) > 1:
        return -inf
    if queue.rows >= min(2.0 * outlook.clump_rows - 1.0, planner.most):
        return -inf
    first = queue[0]
    moment_s = COMPANY_SHARE * (first.deadline_s - first.arrival_s)
    moment_s = min(moment_s, COMPANY_OF_ROW * planner.least_s)
    until_s = min(ticket.arrival_s for ticket in queue) + moment_s
    mask = planner.mask(first.min_accuracy, first.variant)
    needs_s = planner.quickest_s(mask, queue.rows) if mask else inf
    return until_s if until_s + 2.0 * needs_s <= first.deadline_s else -inf


def risks(
    outlook: Outlook, row_s: float, slo_s: float, planner: Planner, *, shed: bool = False
) -> tuple[Risk, ...]:
    """What a long batch risks: rows in clumps, or in haste. `row_s`: what all workers need for one at best.

    Where some are `shed` and all are worth the same, those in haste go first, however long batches are.
    """
    clumps = clumping(outlook, row_s, slo_s)
    found: tuple[Risk, ...] = () if clumps is None else (clumps,)
    hurried = outlook.haste.rate_rps and not (shed and not outlook.values)
    return (*found, barred(outlook, planner)) if hurried else found


def clumping(outlook: Outlook, row_s: float, slo_s: float) -> Clumping | None:
    """How rows come, where they come in clumps; `row_s` is the time all workers need for one at best."""
    rows = outlook.uneven_rows
    if rows < CALM_ROWS:
        return None
    return Clumping(outlook.rate_rps / outlook.workers, rows, row_s, ROOM * slo_s)


def barred(outlook: Outlook, planner: Planner) -> Barred:
    """Who comes in haste. Those that come while a batch runs are answered together when it ends."""
    (hasty_rps, bound_s), workers = outlook.haste, outlook.workers
    together = min(planner.most, 1 + int(0.5 * hasty_rps * bound_s / workers))
    needs_s = planner.quickest_s(planner.all, together)
    return Barred(hasty_rps, workers, max(0.0, bound_s - needs_s), planner.least_s)
