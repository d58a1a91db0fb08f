"""How much cheaper one selector gets to the same test error as another, and how sure that is. Pure.

Speed-up at an error level: cost of theirs over cost of ours, each read off the mean curve of its seeds. Every point is
a run of its own whose learning rate ends at its budget (none is read half-way), as Kaddour et al. ask for in "No Train
No Gain" (NeurIPS 2023, arXiv 2307.06440).
"""

import math
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import NDArray

from trainer.compare.curves import ErrorCurve, Reach, backprops_at, reach, shape, student

RESAMPLES = 1000
"""Of the bootstrap: its standard error is then known to about 2 %."""

OPEN_SHARE = 0.05
"""If more of the resamples have no common level, their side of the interval is open."""


@dataclass(frozen=True, slots=True)
class Level:
    """At `error`: costs in units, `ratio` theirs over ours. `side` 0: so; 1: the ratio is at least that; -1: at most.

    `backprops_ratio`: backpropagated examples, theirs over ours, where both reach the level.
    """

    error: float
    cost: float
    their_cost: float
    ratio: float
    side: int
    backprops_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Speedup:
    """Of one selector against another: `ratio` and `span` are median and range over the levels that both reach.

    `interval`: over seeds, 0 or infinity where that side is open; None of a single seed. All three are None where no
    level is reached by both: then `at_least` or `at_most` bound the ratio if one curve lies wholly below the other.
    """

    levels: tuple[Level, ...]
    ratio: float | None
    span: tuple[float, float] | None
    interval: tuple[float, float] | None
    at_least: float | None
    at_most: float | None
    seeds: int

    @property
    def backprops_ratio(self) -> float | None:
        """Backprops saved at equal error: median over the levels that both reach."""
        found = [v.backprops_ratio for v in self.levels if v.backprops_ratio is not None]
        return median(found) if found else None

    @property
    def verdict(self) -> int | None:
        """1: ours is cheaper, -1: dearer, 0: the interval has 1 in it, None: there is no telling."""
        if self.interval is None:
            return None
        return int(self.interval[0] > 1.0) - int(self.interval[1] < 1.0)


def levels(ours: ErrorCurve, theirs: ErrorCurve) -> tuple[Level, ...]:
    """At every knot of either mean curve, from the largest error to the smallest."""
    found = list[Level]()
    for error, a, b in _reached(ours, theirs):
        cost, their_cost = math.exp(a.log_cost), math.exp(b.log_cost)
        side = _side(a, b)
        saved = None if side else _saved(ours, theirs, (a.log_cost, b.log_cost))
        found.append(Level(error, cost, their_cost, their_cost / cost, side, saved))
    return tuple(found)


def speedup(ours: ErrorCurve, theirs: ErrorCurve, rng: np.random.Generator) -> Speedup:
    """Ours against theirs at equal test error, with an interval from a bootstrap over their common seeds."""
    if ours.seeds != theirs.seeds:
        raise ValueError("curves of different seeds cannot be resampled together")
    found = levels(ours, theirs)
    exact = [v.ratio for v in found if not v.side]
    have = np.flatnonzero(_any_run(ours) & _any_run(theirs))
    return Speedup(
        levels=found,
        ratio=median(exact) if exact else None,
        span=(min(exact), max(exact)) if exact else None,
        interval=_interval(ours, theirs, have, rng) if len(have) > 1 else None,
        at_least=max((v.ratio for v in found if v.side > 0), default=None),
        at_most=min((v.ratio for v in found if v.side < 0), default=None),
        seeds=len(have),
    )


def log_speedup(ours: ErrorCurve, theirs: ErrorCurve) -> float:
    """Log of the median ratio over common levels; infinite where one curve lies wholly below, NaN without runs."""
    found = _reached(ours, theirs)
    exact = [b.log_cost - a.log_cost for _, a, b in found if not _side(a, b)]
    if exact:
        return median(exact)
    sides = {_side(a, b) for _, a, b in found}
    return sides.pop() * math.inf if len(sides) == 1 else math.nan


def _reached(ours: ErrorCurve, theirs: ErrorCurve) -> list[tuple[float, Reach, Reach]]:
    """What ours and theirs cost at every knot of either, from the largest error to the smallest."""
    mine, other = shape(ours), shape(theirs)
    if mine is None or other is None:
        return []
    errors = sorted({*mine.errors, *other.errors}, reverse=True)
    return [(error, reach(mine, error), reach(other, error)) for error in errors]


def _side(ours: Reach, theirs: Reach) -> int:
    """Of the ratio theirs over ours. No level lies beyond both curves: it is a knot of one of them."""
    return max(-1, min(1, theirs.side - ours.side))


def _interval(
    ours: ErrorCurve, theirs: ErrorCurve, have: NDArray[np.intp], rng: np.random.Generator
) -> tuple[float, float] | None:
    """Log ratio, plus and minus Student's t times the bootstrap's standard error times sqrt(n / (n - 1)).

    Seeds are drawn with all their budgets, for both curves alike, since runs of one seed go together. Percentiles of so
    few seeds would be far too narrow (three have 27 resamples, and the outermost cover 75 %); this is the "t interval
    with bootstrap standard error", corrected for narrowness (Hesterberg, "What Teachers Should Know About the
    Bootstrap", The American Statistician 69(4), 2015); of a mean it is Student's interval.
    """
    middle, n = log_speedup(ours, theirs), len(have)
    drawn = rng.choice(have, size=(RESAMPLES, n))
    logs = np.array([log_speedup(ours.columns(p), theirs.columns(p)) for p in drawn])
    finite = logs[np.isfinite(logs)]
    if not math.isfinite(middle) or len(finite) < 2:
        return None
    half = student(n - 1) * float(np.std(finite)) * (n / (n - 1)) ** 0.5
    low = 0.0 if np.mean(logs == -np.inf) > OPEN_SHARE else math.exp(middle - half)
    high = math.inf if np.mean(logs == np.inf) > OPEN_SHARE else math.exp(middle + half)
    return low, high


def _any_run(curve: ErrorCurve) -> NDArray[np.bool_]:
    """Of each seed, whether it has a run at any budget."""
    return np.any(~np.isnan(curve.errors), axis=0)


def _saved(ours: ErrorCurve, theirs: ErrorCurve, log_costs: tuple[float, float]) -> float | None:
    mine, other = backprops_at(ours, log_costs[0]), backprops_at(theirs, log_costs[1])
    return other / mine if mine and other else None
