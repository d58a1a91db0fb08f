"""From run times to points: medians with intervals, tails and scatter pooled where runs are few. Pure."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import comb, exp, inf, log
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from profiler.profiles import Point, repaired

HICCUP = 2.0
"""In the mean a run counts as this many medians at most, and a wait for a CPU doubles a run at most: another process's
turn is not the arm's cost."""
OWN_TAIL = 20
"""Runs of its own from which on a batch size's p95 is its own; p99 takes five times as many."""
OWN_RATIOS = 60
"""Runs of an arm from which on its tails are its own, not all arms'; of a batch size, from which on its mean is."""
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

ALIKE = 100
"""Runs nearest in length from which it is read what waits add: a long run meets more of them, and minds each less."""
STEPS = 200
"""Quantiles that stand for a pool."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Pool:
    """What all arms of a session showed: runs over their batch sizes' medians (`ratios_of`); and for each run its own
    time (s), with how many times as long it took with its waits for a CPU, ascending."""

    ratios: tuple[float, ...] = ()
    slower: tuple[tuple[float, float], ...] = ()

    def slower_at(self, own_s: float) -> Floats:
        """How many times as long runs of about this time of their own took with their waits, ascending."""
        left = bisect_left(self.slower, (own_s, 0.0))
        middle = (left + bisect_right(self.slower, (own_s, inf))) // 2
        first = max(0, min(middle - ALIKE // 2, len(self.slower) - ALIKE))
        alike = [min(by, HICCUP) for _, by in self.slower[first : first + ALIKE]]
        return np.sort(np.asarray(alike or [1.0]))


@dataclass(frozen=True, slots=True)
class MedianSeen:
    """Of `n` runs at one batch size: the median and its 95 % interval (s)."""

    batch: int
    n: int
    p50_s: float
    low_s: float
    high_s: float


CERTAIN: Mapping[int, float] = {}
"""Of a machine whose speed is known throughout."""


def points_of(
    took_s: Mapping[int, Sequence[float]],
    pool: Pool = Pool(),
    doubts: Mapping[int, float] = CERTAIN,
) -> tuple[Point, ...]:
    """One repaired point per batch size from its run times (s), waits for a CPU left out.

    A tail needs runs beyond it. Where a batch size has too few, quantile and mean are its median times those of the
    pooled ratios: all runs of the arm, each over its own median (`ratios_of`), and those of all arms on the same
    machine, while the arm's own are few too. Where all these are few as well, as if runs scattered by UNKNOWN_SPREAD.
    Who waits for a CPU is chance: tails and means are longer by what all runs of that length waited. `doubts`: how
    far off (logarithm) the machine's speed may be that a batch size's times were corrected for; its interval is wider
    by that.
    """
    own = ratios_of(took_s)
    scatter = _scatter(own, pool)
    runs = {b: np.sort(np.asarray(took_s[b])) for b in sorted(took_s)}
    medians = medians_of(took_s, pool, doubts)
    return repaired([_point(m, runs[m.batch], scatter, pool.slower_at(m.p50_s)) for m in medians])


def medians_of(
    took_s: Mapping[int, Sequence[float]],
    pool: Pool = Pool(),
    doubts: Mapping[int, float] = CERTAIN,
) -> tuple[MedianSeen, ...]:
    """The medians alone, ascending by batch and not repaired: a planner looks for the bends."""
    ratios = _scatter(ratios_of(took_s), pool)
    enough = len(ratios) >= LEAST_ORDERED
    spread = max(LEAST_SPREAD, _spread(ratios)) if enough else UNKNOWN_SPREAD
    return tuple(
        _median(b, np.sort(np.asarray(took_s[b])), spread, exp(doubts.get(b, 0.0)))
        for b in sorted(took_s)
    )


def ratios_of(took_s: Mapping[int, Sequence[float]]) -> list[float]:
    """Every run over its batch size's median, of sizes with five runs at least: fewer lie too close to it."""
    few = LEAST_ORDERED - 1
    medians = [(runs, float(np.median(runs))) for runs in took_s.values() if len(runs) >= few]
    return [took / p50 for runs, p50 in medians for took in runs]


def median_interval(ordered: Floats, spread: float) -> tuple[float, float]:
    """The median's 95 % interval from ascending run times.

    By order statistics (no assumption on the distribution: David and Nagaraja, Order Statistics, 2003, 7.1); with fewer
    than six runs, for which there is none, log-normal with `spread` (standard deviation of the logarithm), and no
    narrower than the runs themselves: of two that disagree either may be the hiccup.
    """
    n, p50 = len(ordered), float(np.median(ordered))
    if n < LEAST_ORDERED:
        factor = exp(REACH * spread / n**0.5)
        return min(p50 / factor, float(ordered[0])), max(p50 * factor, float(ordered[-1]))
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


def _median(batch: int, ordered: Floats, spread: float, wider: float) -> MedianSeen:
    low_s, high_s = median_interval(ordered, spread)
    return MedianSeen(batch, len(ordered), float(np.median(ordered)), low_s / wider, high_s * wider)


def _scatter(own: Sequence[float], pool: Pool) -> Floats:
    """The ratios that an arm's tails are read from where a batch size's own runs are few."""
    return np.asarray([*own, *(pool.ratios if len(own) < OWN_RATIOS else ())] or [1.0])


def _point(median: MedianSeen, ordered: Floats, scatter: Floats, slower: Floats) -> Point:
    p50, n = median.p50_s, median.n
    own = ordered / p50
    p95 = max(p50, p50 * _tail(0.95, own if has_own(0.95, n) else scatter, slower))
    p99 = max(p95, p50 * _tail(0.99, own if has_own(0.99, n) else scatter, slower))
    taken = np.outer(_steps(own if n >= OWN_RATIOS else scatter), slower)
    mean = p50 * float(np.minimum(taken, HICCUP).mean())
    return Point(median.batch, n, p50, p95, p99, mean, median.low_s, median.high_s)


def _tail(quantile: float, scatter: Floats, slower: Floats) -> float:
    """The quantile of the product of both, each as it comes by chance; of few runs not below what is assumed."""
    if slower[-1] == 1.0:
        found = float(np.quantile(scatter, quantile, method="higher"))
    else:
        products = np.outer(_steps(scatter), slower)
        found = float(np.quantile(products, quantile, method="higher"))
    return found if has_own(quantile, len(scatter)) else max(found, assumed(quantile))


def has_own(quantile: float, n: int) -> bool:
    """Whether `n` runs are enough for the quantile: those of a batch size for its own, else those of all arms."""
    return n >= (OWN_TAIL if quantile <= 0.95 else 5 * OWN_TAIL)


def pooled_runs(runs: Iterable[int]) -> int:
    """Of batch sizes that ran so often: the runs that tails are read from where a size has too few of its own."""
    return sum(n for n in runs if n >= LEAST_ORDERED - 1)


def assumed(quantile: float) -> float:
    """A quantile over the median where too few runs tell: log-normal, scattered by UNKNOWN_SPREAD."""
    return exp(UNKNOWN_SPREAD * NormalDist().inv_cdf(quantile))


def _steps(values: Floats) -> Floats:
    """As many of the values, ascending, as stand for all."""
    if len(values) <= STEPS:
        return np.sort(values)
    return np.quantile(values, (np.arange(STEPS) + 0.5) / STEPS)


def _spread(ratios: Floats) -> float:
    """Standard deviation of the ratios' logarithm, by the median deviation: hiccups do not count."""
    return 1.4826 * float(np.median(np.abs([log(r) for r in ratios])))
