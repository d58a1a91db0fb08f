"""What a long batch risks: that rows which come while it runs, or stalls, find no time left."""

from dataclasses import dataclass
from math import exp

import numpy as np

from server.policy.decision import Outlook
from server.policy.dispatch.menu import Floats
from server.policy.dispatch.pricing import Planner

CALM_ROWS = 1.3
"""Clumps smaller than this are what independent arrivals look like: no risk is reckoned with."""
ROOM = 0.9
"""Share of the SLO that a clump has where it meets an idle worker: the rest is kept for guard and a batch's end."""
EARLIEST, LATEST = 0.8, 1.2
"""Shares of the bound: of rows whose answers take so long on average none, or all, are late."""


@dataclass(frozen=True, slots=True)
class Clumping:
    """Rows come at `rate_rps` a worker, `rows` of them at once on average; all workers serve one in `row_s`."""

    rate_rps: float
    rows: float
    row_s: float
    room_s: float

    def lost(self, batch_s: float) -> float:
        """Rows expected to be lost because a batch of this length is running when they come, half-way through it.

        Clumps of exponential size with mean m, of which c rows can be served in time, lose m exp(-c/m) each.
        """
        clump_s = self.row_s * self.rows
        left = min((0.5 / clump_s) * batch_s - self.room_s / clump_s, 0.0)  # negative
        return self.rate_rps * batch_s * (exp(left) - exp(-self.room_s / clump_s))

    def lost_by_each(self, batch_s: Floats) -> Floats:
        """The same of many lengths."""
        clump_s = self.row_s * self.rows
        left = np.minimum((0.5 / clump_s) * batch_s - self.room_s / clump_s, 0.0)
        late = np.exp(left, out=left) - exp(-self.room_s / clump_s)
        return self.rate_rps * batch_s * late


@dataclass(frozen=True, slots=True)
class Barred:
    """Rows in haste come at `rate_rps`; each is in time if one of the `workers` is free within `room_s`.

    `shortest_s`: a batch takes so long at least.
    """

    rate_rps: float
    workers: int
    room_s: float
    shortest_s: float

    def lost(self, batch_s: float) -> float:
        """Rows expected to be lost because a batch of this length is running on every worker when they come.

        Of workers that are so far from being free as chance has it, all take longer than the room with probability
        (1 - room / length) to the power of their number. Who is barred by the shortest batches too is not lost by this.
        """
        over = max(1.0 - self.room_s / batch_s, 0.0) ** self.workers
        anyway = max(1.0 - self.room_s / self.shortest_s, 0.0) ** self.workers
        return self.rate_rps / self.workers * batch_s * max(over - anyway, 0.0)

    def lost_by_each(self, batch_s: Floats) -> Floats:
        """The same of many lengths."""
        over = np.maximum(1.0 - self.room_s / batch_s, 0.0) ** self.workers
        anyway = max(1.0 - self.room_s / self.shortest_s, 0.0) ** self.workers
        return self.rate_rps / self.workers * batch_s * np.maximum(over - anyway, 0.0)


@dataclass(frozen=True, slots=True)
class Stalling:
    """Rows come at `rate_rps` a worker; a `share` of the batches takes `factor` times as long. `together`: the chance
    that all others stall with it, so that nobody is served. `slo_s`: the bound; who waits longer than `room_s` is late.
    """

    rate_rps: float
    workers: int
    share: float
    together: float
    factor: float
    slo_s: float
    room_s: float

    def lost(self, batch_s: float) -> float:
        """Rows expected to be lost where a batch of this length stalls: its own, and those that come early meanwhile.

        Its rows are one and those that came while one as long ran; on average they have waited for half of that.
        """
        own = 1.0 + self.rate_rps * batch_s
        late = ((self.factor + 0.5) * batch_s / self.slo_s - EARLIEST) / (LATEST - EARLIEST)
        behind = self.rate_rps * self.workers * max(self.factor * batch_s - self.room_s, 0.0)
        return self.share * own * min(max(late, 0.0), 1.0) + self.together * behind

    def lost_by_each(self, batch_s: Floats) -> Floats:
        """The same of many lengths."""
        own = 1.0 + self.rate_rps * batch_s
        late = ((self.factor + 0.5) * batch_s / self.slo_s - EARLIEST) / (LATEST - EARLIEST)
        behind = self.rate_rps * self.workers * np.maximum(self.factor * batch_s - self.room_s, 0.0)
        return self.share * own * np.clip(late, 0.0, 1.0) + self.together * behind


Risk = Clumping | Barred | Stalling


def risks(
    outlook: Outlook, row_s: float, slo_s: float, planner: Planner, *, shed: bool = False
) -> tuple[Risk, ...]:
    """What a long batch risks: rows in clumps, in haste, or behind a stall. `row_s`: what all workers need for one.

    Where some are `shed`, others take the place of those that a stall makes late; and where all are worth the same,
    those in haste go first, however long batches are.
    """
    share, rate_rps = planner.stalls.share, outlook.haste.rate_rps
    calm = outlook.clump_rows < CALM_ROWS and outlook.burst_rows < CALM_ROWS
    if calm and not rate_rps and (shed or not share):
        return ()
    clumps, stalls = clumping(outlook, row_s, slo_s), stalling(outlook, slo_s, planner)
    found: tuple[Risk, ...] = () if clumps is None else (clumps,)
    if stalls is not None and not shed:
        found = (*found, stalls)
    hurried = rate_rps and not (shed and not outlook.values)
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


def stalling(outlook: Outlook, slo_s: float, planner: Planner) -> Stalling | None:
    """What stalls put at risk; None where there are none."""
    share, factor = planner.stalls
    if not share:
        return None
    workers = outlook.workers
    room_s = max(0.0, slo_s - planner.quickest_s(planner.all, 1))
    return Stalling(
        outlook.rate_rps / workers, workers, share, share**workers, factor, slo_s, room_s
    )
