"""From run times to points: medians with intervals, tails and scatter pooled where runs are few. Pure."""

from collections.abc import Mapping, Sequence
from functools import cache
from math import comb, exp, log

import numpy as np
from numpy.typing import NDArray

from profiler.profiles import Point, repaired

HICCUP = 2.0
"""In the mean a run counts as this many medians at most: another process's turn is not the arm's cost."""
OWN_TAIL = 20
"""Runs of its own from which on a batch size's mean and p95 are its own; p99 takes five times as many."""
OWN_RATIOS = 60
"""Runs of an arm from which on its tails are its own, not all arms'."""
LEAST_ORDERED = 6
"""Order statistics give no 95 % interval for fewer runs."""
MANY = 400
"""Runs beyond which the binomial is taken as normal."""
LEAST_SPREAD = 0.005
"""Half a per cent: no arm repeats better than that from one turn to the next, however few runs agree."""
UNKNOWN_SPREAD = 0.05
"""Before anything is known of the scatter: a machine that others use too."""
REACH = 1.96 * (np.pi / 2) ** 0.5
"""95 % interval of a median in standard deviations over root n, for normal scatter."""

Floats = NDArray[np.float64]


def points_of(
    took_s: Mapping[int, Sequence[float]], others: Sequence[float] = ()
) -> tuple[Point, ...]:
    """One repaired point per batch size from its run times (s).

    A tail needs runs beyond it. Where a batch size has too few, quantile and mean are its median times those of the
    pooled ratios: all runs of the arm, each over its own median (`ratios_of`), and `others`, those of all arms on the
    same machine, while the arm's own are few too.
    """
    return repaired(raw_points(took_s, others))


def raw_points(
    took_s: Mapping[int, Sequence[float]], others: Sequence[float] = ()
) -> tuple[Point, ...]:
    """The same, ascending by batch but not repaired: a planner looks for the bends."""
    own = ratios_of(took_s)
    pool = np.asarray([*own, *(others if len(own) < OWN_RATIOS else ())] or [1.0])
    spread = max(LEAST_SPREAD, _spread(pool)) if len(pool) >= LEAST_ORDERED else UNKNOWN_SPREAD
    return tuple(_point(b, np.sort(np.asarray(took_s[b])), pool, spread) for b in sorted(took_s))


def ratios_of(took_s: Mapping[int, Sequence[float]]) -> list[float]:
    """Every run over its batch size's median, of sizes with five runs at least: fewer lie too close to it."""
    few = LEAST_ORDERED - 1
    medians = [(runs, float(np.median(runs))) for runs in took_s.values() if len(runs) >= few]
    return [took / p50 for runs, p50 in medians for took in runs]


def median_interval(ordered: Floats, spread: float) -> tuple[float, float]:
    """The median's 95 % interval from ascending run times.

    By order statistics (no assumption on the distribution: David and Nagaraja, Order Statistics, 2003, 7.1); with fewer
    than six runs, for which there is none, log-normal with `spread` (standard deviation of the logarithm).
    """
    n, p50 = len(ordered), float(np.median(ordered))
    if n < LEAST_ORDERED:
        factor = exp(REACH * spread / n**0.5)
        return p50 / factor, p50 * factor
    rank = _rank(n)
    return float(ordered[rank]), float(ordered[n - 1 - rank])


@cache
def _rank(n: int) -> int:
    """The largest r for which the r-th smallest of n (from 0) is above the median with less than 2.5 %."""
    if n > MANY:
        return int(n / 2 - 0.98 * n**0.5)
    below, rank = 0, 0
    while below + comb(n, rank) <= 0.025 * 2**n:
        below += comb(n, rank)
        rank += 1
    return max(0, rank - 1)


def _point(batch: int, ordered: Floats, pool: Floats, spread: float) -> Point:
    p50, n = float(np.median(ordered)), len(ordered)
    p95 = max(p50, _tail(0.95, ordered, pool, OWN_TAIL))
    p99 = max(p95, _tail(0.99, ordered, pool, 5 * OWN_TAIL))
    scatter = ordered / p50 if n >= OWN_TAIL else pool
    mean = p50 * float(np.minimum(scatter, HICCUP).mean())
    return Point(batch, n, p50, p95, p99, mean, *median_interval(ordered, spread))


def _tail(quantile: float, ordered: Floats, pool: Floats, enough: int) -> float:
    if len(ordered) >= enough:
        return float(np.quantile(ordered, quantile, method="higher"))
    return float(np.median(ordered)) * float(np.quantile(pool, quantile))


def _spread(ratios: Floats) -> float:
    """Standard deviation of the ratios' logarithm, by the median deviation: hiccups do not count."""
    return 1.4826 * float(np.median(np.abs([log(r) for r in ratios])))
