"""From runs to rows: per cell what ours delivered, the best reference, the gap between them and the share of the bound.

Pure. Differences between policies are taken seed by seed, on the same arrivals, and then their median.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median

from benchmarks.policies.cells import Cell
from benchmarks.policies.policies_run import OURS, Figures, Ran

NOISE_POINTS = 0.3
"""A reference counts as ahead beyond this many points (x 100) of awg."""
CONTENDS_POINTS, MOST_CONTENDERS = 3.0, 4
"""References further behind the best one in the screening run, or beyond so many, are not run at full length."""


@dataclass(frozen=True, slots=True)
class Row:
    """One cell. Awg and its bound are medians over seeds, `gaps` ours less each reference's, in points (x 100)."""

    cell: Cell
    bound: float
    ours: Figures
    spread: tuple[float, float]
    percent_of_bound: float
    references: Mapping[str, Figures]
    gaps: Mapping[str, float]

    @property
    def best(self) -> str:
        """The reference that comes closest to ours, or is furthest ahead."""
        return min(self.gaps, key=lambda name: self.gaps[name])

    @property
    def gap(self) -> float:
        """Ours less the best reference, in points."""
        return self.gaps[self.best]


@dataclass(frozen=True, slots=True)
class Screened:
    """A cell's screening run: who goes on, and by how much (points) ours was ahead of the others."""

    contenders: tuple[str, ...]
    left: Mapping[str, float]


def screened(run: Ran) -> Screened:
    """The MOST_CONTENDERS best references, if within CONTENDS_POINTS of the best, go on; of equals the last named.

    Equals did the very same: most often a policy that needed no early drop, which is named before itself with it.
    """
    awg = {name: 100.0 * figures["awg"] for name, figures in run["policies"].items()}
    ours = awg.pop(OURS)
    distinct = {round(points, 6): name for name, points in awg.items()}
    best = sorted(distinct, reverse=True)[:MOST_CONTENDERS]
    contenders = tuple(distinct[p] for p in best if p >= best[0] - CONTENDS_POINTS)
    return Screened(contenders, {n: ours - a for n, a in awg.items() if n not in contenders})


def row(cell: Cell, runs: Sequence[Ran], contenders: Sequence[str]) -> Row:
    """One cell from its runs, a seed each."""
    ours = [run["policies"][OURS] for run in runs]
    others = {name: [run["policies"][name] for run in runs] for name in contenders}
    bounds = [run["bound"] or 0.0 for run in runs]
    awg = [figures["awg"] for figures in ours]
    return Row(
        cell,
        median(bounds),
        _middle(ours),
        (min(awg), max(awg)),
        100.0 * median(a / b for a, b in zip(awg, bounds, strict=True)),
        {name: _middle(found) for name, found in others.items()},
        {name: _gap(ours, found) for name, found in others.items()},
    )


def summary(rows: Sequence[Row], screenings: Sequence[Screened]) -> dict[str, object]:
    """The figures the benchmark is about."""
    recorded = [row for row in rows if row.cell.is_recorded]
    behind = {str(r.cell): _ahead(r) for r in rows if r.gap < -NOISE_POINTS}
    worst = min(recorded, key=lambda r: r.percent_of_bound, default=None)
    return {
        "cells": len(rows),
        "mean_percent_of_bound": mean(r.percent_of_bound for r in rows),
        "worst_percent_of_bound": min(r.percent_of_bound for r in rows),
        "worst_recorded_percent_of_bound": worst.percent_of_bound if worst else None,
        "worst_recorded_cell": str(worst.cell) if worst else None,
        "mean_gap_points": mean(r.gap for r in rows),
        "worst_gap_points": min(r.gap for r in rows),
        "cells_with_a_reference_ahead": behind,
        "by_trace": {
            trace: _of(trace, rows) for trace in dict.fromkeys(r.cell.trace for r in rows)
        },
        "mean_gap_by_reference": _by_reference(rows, screenings),
    }


def _of(trace: str, rows: Sequence[Row]) -> dict[str, float]:
    """The same for one trace's cells."""
    own = [row for row in rows if row.cell.trace == trace]
    return {
        "cells": len(own),
        "mean_percent_of_bound": mean(r.percent_of_bound for r in own),
        "worst_percent_of_bound": min(r.percent_of_bound for r in own),
        "mean_gap_points": mean(r.gap for r in own),
        "worst_gap_points": min(r.gap for r in own),
        "cells_behind": sum(r.gap < -NOISE_POINTS for r in own),
    }


def _ahead(row: Row) -> dict[str, float]:
    """References ahead by more than noise, and our gap to them."""
    return {name: gap for name, gap in sorted(row.gaps.items()) if gap < -NOISE_POINTS}


def _by_reference(
    rows: Sequence[Row], screenings: Sequence[Screened]
) -> dict[str, dict[str, float]]:
    """Over all cells that know the reference, from its screening run where it went no further; the closest first."""
    gaps: dict[str, list[float]] = {}
    whole: dict[str, int] = {}
    for table, screening in zip(rows, screenings, strict=True):
        for name, gap in {**screening.left, **table.gaps}.items():
            gaps.setdefault(name, []).append(gap)
            whole[name] = whole.get(name, 0) + (name in table.gaps)
    found = {
        name: {"mean": mean(g), "worst": min(g), "cells": len(g), "whole": whole[name]}
        for name, g in gaps.items()
    }
    return dict(sorted(found.items(), key=lambda item: item[1]["mean"]))


def _gap(ours: Sequence[Figures], theirs: Sequence[Figures]) -> float:
    return 100.0 * median(a["awg"] - b["awg"] for a, b in zip(ours, theirs, strict=True))


def _middle(figures: Sequence[Figures]) -> Figures:
    return {
        "awg": median(f["awg"] for f in figures),
        "attainment": median(f["attainment"] for f in figures),
        "accuracy": median(f["accuracy"] for f in figures),
        "late": round(median(f["late"] for f in figures)),
    }
