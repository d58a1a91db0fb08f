"""What a comparison's runs say: each selector's curve and figures, against the baseline and every control. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.compare.curves import ErrorCurve, Summary, curve_of, differences, summary
from trainer.compare.outcomes import Cell, Finished, Outcome
from trainer.compare.speedups import Speedup, speedup


@dataclass(frozen=True, slots=True)
class Match:
    """One selector against another: speed-up at equal error, differences of error at each budget (ours less theirs)."""

    ours: str
    theirs: str
    speedup: Speedup
    differences: tuple[Summary | None, ...]

    @property
    def verdict(self) -> int | None:
        """1: ours is significantly better, -1: worse, 0: neither, None: there is no telling.

        By the speed-up; where the curves have no error in common, by the differences, if all say the same.
        """
        if self.speedup.ratio is not None:
            return self.speedup.verdict
        signs = {_sign(d.interval) for d in self.differences if d is not None and d.interval}
        return None if not signs else signs.pop() if len(signs) == 1 else 0

    @property
    def rank(self) -> float:
        """By which selectors are ordered: the ratio, or the bound on it where there is but one; 0 without runs."""
        found = self.speedup
        return found.ratio or found.at_least or found.at_most or 0.0


@dataclass(frozen=True, slots=True)
class Findings:
    """`matches`: every selector against the baseline, then against each control. `of_best`: the best one's.

    `best` is None if no selector ranks above the baseline. `absent`: runs that have no outcome, and why.
    """

    budgets: tuple[float, ...]
    baseline: str
    curves: Mapping[str, ErrorCurve]
    runs: tuple[Finished, ...]
    matches: tuple[Match, ...]
    best: str | None
    of_best: tuple[Match, ...]
    absent: Mapping[Cell, str]

    def figure(
        self, selector: str, budget: float | None, of: Callable[[Outcome], float | None]
    ) -> Summary | None:
        """A figure of the selector's runs at one budget, or (None) at all."""
        found = [
            of(run.outcome)
            for run in self.runs
            if run.cell.selector == selector and budget in (None, run.cell.budget)
        ]
        return summary([value for value in found if value is not None])


def findings(
    planned: Sequence[Cell],
    runs: Sequence[Finished],
    absent: Mapping[Cell, str],
    against: Sequence[str],
    rng: np.random.Generator,
) -> Findings:
    """`against`: the baseline, then the controls. `planned`: every run that was to be; `rng` is for the bootstrap."""
    budgets = tuple(sorted({p.budget for p in planned}))
    seeds = tuple(sorted({p.seed for p in planned}))
    curves = {
        s: curve_of(s, budgets, seeds, runs) for s in dict.fromkeys(p.selector for p in planned)
    }

    def match(ours: str, theirs: str) -> Match:
        a, b = curves[ours], curves[theirs]
        return Match(ours, theirs, speedup(a, b, rng), differences(a, b))

    matches = [match(ours, theirs) for theirs in against for ours in curves if ours != theirs]
    of_baseline = [m for m in matches if m.theirs == against[0]]
    first = max(of_baseline, key=lambda m: m.rank, default=None)
    best = first.ours if first is not None and first.rank > 1.0 else None
    return Findings(
        budgets=budgets,
        baseline=against[0],
        curves=curves,
        runs=tuple(runs),
        matches=tuple(matches),
        best=best,
        of_best=tuple(match(best, other) for other in curves if other != best) if best else (),
        absent=absent,
    )


def _sign(interval: tuple[float, float]) -> int:
    """Of a difference of errors: 1 if ours is surely the lower one."""
    return int(interval[1] < 0.0) - int(interval[0] > 0.0)
