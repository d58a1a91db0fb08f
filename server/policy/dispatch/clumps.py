"""What a long batch risks: rows that come all at once while it runs have less time left when it ends."""

from dataclasses import dataclass
from math import exp

import numpy as np

from server.policy.decision import Outlook
from server.policy.dispatch.menu import Floats

CALM_ROWS = 1.3
"""Clumps smaller than this are what independent arrivals look like: no risk is reckoned with."""
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


def clumping(outlook: Outlook, row_s: float, slo_s: float) -> Clumping | None:
    """How rows come, where they come in clumps; `row_s` is the time all workers need for one at best."""
    if outlook.clump_rows < CALM_ROWS:
        return None
    return Clumping(outlook.rate_rps / outlook.workers, outlook.clump_rows, row_s, ROOM * slo_s)
