"""Serving a clump as a whole: what those left behind can still get where all of them are due at once.

Prices assume that more comes behind those who wait. Where rows come in step, with silence behind them, the time until
they are due is theirs alone, and the best step is the first of a plan for all of them. Such a plan leaves no room for
what does not come in step: it counts as much as promises have been kept with room to spare (`Outlook.boldness`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import log2
from typing import NamedTuple

import numpy as np

from server.policy.decision import ArmProfile, Outlook
from server.policy.dispatch.costs import LEAST
from server.policy.dispatch.menu import Floats, Ints

BUCKETS = 64
"""Time is told apart in this many steps of the SLO."""
TURNS = 8
"""Batches that a plan has a worker run one after the other, or as few as the rows allow."""
STEPS_PER_OCTAVE = 8
MOST_PRICES = 32
"""Prices are rounded, and so many tables kept."""
IN_STEP, AT_RANDOM = 0.5, 0.75
"""Unevenness over a bound, as a share of the clumps' size, up to which they come in step, and from which at random."""
LOAD_SHARE = 0.9
"""Share of the workers' time, between one clump and the next, that a plan may take."""


class ClumpPlan:
    """`accuracy[rows, bucket]`: of the best arm that serves so many rows on one worker in so much time, rounded down;
    less, in proportion, where even the fastest arm has time for a part of them only."""

    def __init__(self, accuracy: Floats, slo_s: float) -> None:
        self.accuracy = accuracy
        self._slo_s = slo_s
        self._at_price: dict[int, PlanAtPrice] = {}

    def at(self, price: float) -> "PlanAtPrice":
        """What rows are worth where a worker's second costs `price`, rounded to an eighth of an octave."""
        step = round(STEPS_PER_OCTAVE * log2(price))
        found = self._at_price.get(step)
        if found is None:
            if len(self._at_price) >= MOST_PRICES:
                self._at_price.clear()
            found = self._at_price[step] = self._priced(2.0 ** (step / STEPS_PER_OCTAVE))
        return found

    def _priced(self, price: float) -> "PlanAtPrice":
        used_s = np.arange(BUCKETS + 1) * (self._slo_s / BUCKETS)
        worth = self.accuracy * np.arange(len(self.accuracy))[:, None] - price * used_s
        best = np.maximum.accumulate(worth, axis=1)
        most = np.maximum.accumulate(best, axis=0)
        return PlanAtPrice(best.tolist(), most.tolist(), BUCKETS / self._slo_s)


@dataclass(frozen=True, slots=True, eq=False)
class PlanAtPrice:
    """`best[rows][bucket]`: what so many rows are worth to one worker with so much time, each bucket 1 / `per_s` long.

    `highest`: what so many or fewer are worth at most.
    """

    best: list[list[float]]
    highest: list[list[float]]
    per_s: float

    def worth(self, left: int, time_s: float, workers: int) -> float:
        """What `left` rows are worth that `workers` share and that have `time_s` each, taken where it is worth it."""
        each = -(-left // workers)
        bucket = int(min(max(time_s * self.per_s, 0.0), BUCKETS))
        return self.best[each][bucket] * (left / max(each, 1))

    def most(self, left: int, time_s: float, workers: int) -> float:
        """So many rows or fewer, with so much time or less, are not worth more."""
        bucket = int(min(max(time_s * self.per_s, 0.0), BUCKETS))
        return self.highest[-(-left // workers)][bucket] * workers


def in_step(outlook: Outlook) -> float:
    """How far, 0 to 1, clumps come in step and the policy may be bold: a plan for one counts so much.

    Clumps that come at random make counts over a bound as uneven as they are large. Those in step do not.
    """
    at_random = outlook.burst_rows / outlook.clump_rows
    return outlook.boldness * min(1.0, max(0.0, (AT_RANDOM - at_random) / (AT_RANDOM - IN_STEP)))


class PlannedClump(NamedTuple):
    """A plan on the terms of the moment; `weight`, 0 to 1: how much it counts beside prices."""

    plan: PlanAtPrice
    price: float
    workers: int
    weight: float

    def worth(self, accuracy: float, mean_s: float, left: int, left_s: float) -> float:
        """Of a step that earns `accuracy` in `mean_s` and leaves `left` rows behind, the last due `left_s` from now.

        Those left share all workers' time, or that of the others at once.
        """
        workers, plan = self.workers, self.plan
        after = plan.worth(left, left_s - mean_s / workers, workers)
        if workers > 1:
            after = max(after, plan.worth(left, left_s, workers - 1))
        return accuracy - self.price * mean_s + after

    def most(self, left: int, left_s: float) -> float:
        """What may be left behind by any step that leaves `left` rows or fewer is worth no more."""
        workers, plan = self.workers, self.plan
        after = plan.most(left, left_s, workers)
        return after if workers == 1 else max(after, plan.most(left, left_s, workers - 1))


def clump_plan(arms: Sequence[ArmProfile], slo_s: float, most: int) -> ClumpPlan:
    """The table for clumps of up to `most` rows, with `arms` (at least one) under about `slo_s`."""
    rows, steps = np.arange(1, most + 1), np.arange(BUCKETS + 1)
    needed = np.array([_time_s(arm, rows) for arm in arms])[:, :, None] * (BUCKETS / slo_s)
    accuracy = np.array([max(arm.accuracy, LEAST) for arm in arms])[:, None, None]
    whole = np.where(steps >= needed, accuracy, 0.0).max(axis=0)
    fastest = needed.argmin(axis=0)[:, 0]
    part = steps / np.min(needed, axis=0) * accuracy[fastest, 0]
    best = np.zeros((most + 1, BUCKETS + 1))
    best[1:] = np.where(whole > 0.0, whole, part)
    return ClumpPlan(best, slo_s)


def _time_s(arm: ArmProfile, rows: Ints) -> Floats:
    """The least time (s) for so many rows in batches of about equal size, one after the other."""
    mean_s, best_s = np.array(arm.mean_s), np.full(len(rows), np.inf)
    for turns in range(1, max(TURNS, -(-len(rows) // arm.max_batch)) + 1):
        size = -(-rows // turns)
        fits = size <= arm.max_batch
        best_s[fits] = np.minimum(best_s[fits], turns * mean_s[size[fits]])
    return best_s
