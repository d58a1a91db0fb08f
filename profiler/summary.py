"""From run times to points: medians of each size's own runs, tails pooled where those are few. Pure."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from profiler.profiles import Point, repaired

HICCUP = 2.0
"""In the mean a run counts as this many medians at most: another process's turn is not the arm's cost."""

LEAST_SETTLED = 32
"""No median is called known from fewer runs."""


def points_of(took_s: Mapping[int, Sequence[float]]) -> tuple[Point, ...]:
    """One repaired point per batch size from its run times (s).

    A tail needs runs beyond it: with fewer than 1 / (1 - quantile) of them, the quantile is the median
    times the same quantile of all runs of all batch sizes, each over its own median.
    """
    ratios = np.concatenate([np.asarray(runs) / np.median(runs) for runs in took_s.values()])
    return repaired([_point(batch, np.asarray(runs), ratios) for batch, runs in took_s.items()])


def is_settled(took_s: Sequence[float], precision: float) -> bool:
    """Whether the median's 95 % interval, by order statistics, is within `precision` of it."""
    n = len(took_s)
    if n < LEAST_SETTLED:
        return False
    ordered = sorted(took_s)
    reach = math.ceil(0.98 * math.sqrt(n))
    low, high = ordered[n // 2 - reach], ordered[n // 2 + reach - 1]
    return high - low <= 2 * precision * ordered[n // 2]


def _point(batch: int, runs: NDArray[np.float64], ratios: NDArray[np.float64]) -> Point:
    p50 = float(np.median(runs))
    p95 = max(p50, _tail(0.95, p50, runs, ratios))
    p99 = max(p95, _tail(0.99, p50, runs, ratios))
    return Point(batch, len(runs), p50, p95, p99, float(np.minimum(runs, HICCUP * p50).mean()))


def _tail(
    quantile: float, p50: float, runs: NDArray[np.float64], ratios: NDArray[np.float64]
) -> float:
    if len(runs) * (1 - quantile) >= 1 - 1e-9:
        return float(np.quantile(runs, quantile, method="higher"))
    return p50 * float(np.quantile(ratios, quantile))
