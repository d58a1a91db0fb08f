"""What tickets left waiting can still get: how accurate an arm their deadline leaves room for. Made once per table."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np

from server.policy.decision import ArmProfile
from server.policy.dispatch.costs import LEAST
from server.policy.dispatch.menu import Floats, Ints

BUCKETS = 64
"""Slack is told apart in this many steps of the SLO."""
NEARLY = 1.15
"""The batch in which an arm's rows cost nearly the least: this many times it. More rows than that can take turns."""


@dataclass(frozen=True, slots=True)
class WaitValue:
    """`best[rows, bucket]`: accuracy of the best arm that `rows` waiting rows have time for, slack rounded down.

    `least` is the worst of them: to rows held to be worth less, time makes no difference. `rows` are those of `best`.
    """

    best: Floats
    slo_s: float
    least: float
    rows: list[list[float]]

    def of(self, rows: int, slack_s: float) -> float:
        """The best accuracy for so many rows whose first deadline leaves so much time."""
        bucket = int(min(max(slack_s * (BUCKETS / self.slo_s), 0.0), BUCKETS))
        return self.rows[rows if rows < len(self.rows) else -1][bucket]

    def at(self, rows: Ints, slack_s: Floats) -> Floats:
        """The same of many at once."""
        bucket = np.minimum(np.maximum(slack_s * (BUCKETS / self.slo_s), 0.0), BUCKETS)
        return self.best[np.minimum(rows, len(self.best) - 1), bucket.astype(np.intp)]


def wait_value(arms: Sequence[ArmProfile], slo_s: float, share: float) -> WaitValue:
    """What waiting rows can get under about `slo_s` with `arms` (at least one), in batches of at most `share` of it.

    Where no arm is in time the least accuracy stands: somebody else may be given up.
    """
    most = max(arm.max_batch for arm in arms)
    least = min(max(arm.accuracy, LEAST) for arm in arms)
    best = np.full((most + 1, BUCKETS + 1), least)
    for arm in arms:
        nearly = _nearly_efficient(arm, slo_s * share)
        for rows in range(most + 1):
            start = ceil(arm.upper_s[max(1, min(rows, nearly))] / slo_s * BUCKETS)
            np.maximum(best[rows, start:], arm.accuracy, out=best[rows, start:])
    return WaitValue(best, slo_s, least, best.tolist())


def _nearly_efficient(arm: ArmProfile, limit_s: float) -> int:
    """The smallest batch whose rows cost at most NEARLY times what they cost in the best one below `limit_s`."""
    sizes = [b for b in range(1, arm.max_batch + 1) if arm.upper_s[b] <= limit_s] or [1]
    least_s = min(arm.mean_s[b] / b for b in sizes)
    return min(b for b in sizes if arm.mean_s[b] / b <= NEARLY * least_s)
