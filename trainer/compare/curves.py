"""Error against cost: a selector's runs as a curve, what the seeds say of each point, what an error costs. Pure."""

import math
import operator
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from trainer.compare.outcomes import Finished

Figures = NDArray[np.float64]

CONFIDENCE = 0.9
"""Of every interval here, two-sided."""

CONFIDENCE_TEXT = f"{100 * CONFIDENCE:g} %"


@dataclass(frozen=True, slots=True)
class ErrorCurve:
    """One selector's runs. `errors` (shares) and `backprops`: a row per budget, a column per seed, NaN where no run is.

    `budgets` (units) ascend.
    """

    selector: str
    budgets: tuple[float, ...]
    seeds: tuple[int, ...]
    errors: Figures
    backprops: Figures

    def columns(self, picks: Sequence[int] | NDArray[np.intp]) -> "ErrorCurve":
        """The curve of these seeds alone, by column, repeats allowed."""
        seeds = tuple(self.seeds[i] for i in picks)
        return ErrorCurve(
            self.selector, self.budgets, seeds, self.errors[:, picks], self.backprops[:, picks]
        )


@dataclass(frozen=True, slots=True)
class Summary:
    """Mean of `n` seeds; `sd`, their standard deviation (n - 1 below), None where there is but one."""

    mean: float
    sd: float | None
    n: int

    @property
    def interval(self) -> tuple[float, float] | None:
        """Student's interval of the mean; None of a single seed."""
        if self.sd is None:
            return None
        half = student(self.n - 1) * self.sd / self.n**0.5
        return self.mean - half, self.mean + half


@dataclass(frozen=True, slots=True)
class FallingCurve:
    """A mean curve made strictly falling: knots by log cost and error, from dear in error to dear in cost."""

    log_costs: tuple[float, ...]
    errors: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Reach:
    """What an error costs (log units): `side` 0 exactly so, -1 so much or less, 1 so much or more."""

    log_cost: float
    side: int


def curve_of(
    selector: str, budgets: Sequence[float], seeds: Sequence[int], runs: Sequence[Finished]
) -> ErrorCurve:
    """The selector's runs in order of budget and seed; other selectors' are left out."""
    mine = {(r.cell.budget, r.cell.seed): r.outcome for r in runs if r.cell.selector == selector}
    ascending = tuple(sorted(set(budgets)))
    errors = np.full((len(ascending), len(seeds)), np.nan)
    backprops = errors.copy()
    for row, budget in enumerate(ascending):
        for column, seed in enumerate(seeds):
            if (found := mine.get((budget, seed))) is not None:
                errors[row, column] = found.test_error
                backprops[row, column] = found.backprops
    return ErrorCurve(selector, ascending, tuple(seeds), errors, backprops)


def summary(figures: Sequence[float] | Figures) -> Summary | None:
    """Of what is not NaN; None where nothing is."""
    present = np.asarray(figures, float)
    present = present[~np.isnan(present)]
    if not len(present):
        return None
    sd = float(np.std(present, ddof=1)) if len(present) > 1 else None
    return Summary(float(np.mean(present)), sd, len(present))


def differences(ours: ErrorCurve, theirs: ErrorCurve) -> tuple[Summary | None, ...]:
    """At each budget: error of ours less theirs, seed by seed (common initial weights and order cancel out)."""
    if (ours.budgets, ours.seeds) != (theirs.budgets, theirs.seeds):
        raise ValueError("curves of different budgets or seeds cannot be paired")
    return tuple(summary(row) for row in ours.errors - theirs.errors)


def shape(curve: ErrorCurve) -> FallingCurve | None:
    """Pool adjacent means until they fall strictly; each pool stands at its mean log cost. None without any run.

    Least-squares isotonic regression by pool-adjacent-violators (Ayer et al., 1955; Barlow et al., 1972), weighted by
    the number of seeds. A pool at its middle, instead of flat over its width, has one cost per error, which favours
    neither the curve that is noisier nor the one that is less so.
    """
    counts = (~np.isnan(curve.errors)).sum(axis=1)
    means = np.nansum(curve.errors, axis=1) / np.maximum(counts, 1)
    pools = list[tuple[float, float, float]]()
    for budget, n, mean in zip(curve.budgets, counts.tolist(), means.tolist(), strict=True):
        if n:
            pools.append((n, math.log(budget), mean))
        while len(pools) > 1 and pools[-1][2] >= pools[-2][2]:
            pools.append(_pooled(pools.pop(), pools.pop()))
    if not pools:
        return None
    _, log_costs, errors = zip(*pools, strict=True)
    return FallingCurve(log_costs, errors)


def _pooled(
    one: tuple[float, float, float], other: tuple[float, float, float]
) -> tuple[float, float, float]:
    weight = one[0] + other[0]
    log_cost, error = ((one[0] * one[i] + other[0] * other[i]) / weight for i in (1, 2))
    return weight, log_cost, error


def reach(found: FallingCurve, error: float) -> Reach:
    """The cost at which the curve comes down to `error`, by linear interpolation of log cost over error."""
    costs, errors = found.log_costs, found.errors
    if error > errors[0]:
        return Reach(costs[0], -1)
    if error < errors[-1]:
        return Reach(costs[-1], 1)
    here = bisect_left(errors, -error, key=operator.neg)
    if errors[here] == error:
        return Reach(costs[here], 0)
    share = (errors[here - 1] - error) / (errors[here - 1] - errors[here])
    return Reach(costs[here - 1] + share * (costs[here] - costs[here - 1]), 0)


def backprops_at(curve: ErrorCurve, log_cost: float) -> float | None:
    """Mean number of backpropagated examples at this cost, log over log; None where none were counted."""
    counted = [(b, summary(row)) for b, row in zip(curve.budgets, curve.backprops, strict=True)]
    points = [(np.log(b), np.log(s.mean)) for b, s in counted if s is not None and s.mean > 0.0]
    if not points:
        return None
    log_budgets, log_counts = zip(*points, strict=True)
    return float(np.exp(np.interp(log_cost, log_budgets, log_counts)))


def student(freedom: int) -> float:
    """Quantile of Student's t that bounds a two-sided interval of `CONFIDENCE`."""
    return float(stdtrit(freedom, 0.5 + CONFIDENCE / 2.0))
