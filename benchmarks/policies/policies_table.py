"""From runs to rows: per cell who keeps the promise, what ours delivered and how far the best of its rivals is.

Pure. Means over seeds; differences between policies are taken seed by seed, on the same arrivals and the same noise.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from statistics import mean, stdev
from typing import Any, Literal

from benchmarks.policies import promise
from benchmarks.policies.cells import Cell
from benchmarks.policies.policies_run import OURS, Figures, Ran

NOISE_POINTS = 0.3
"""A reference counts as ahead beyond this many points (x 100) of awg."""
CONTENDS_POINTS, MOST_CONTENDERS, MOST_FIXED = 3.0, 4, 3
"""References further behind the best one in the screening run, or beyond so many, are not run at full length."""
MAY_KEEP = 0.01
"""A short run's attainment may be so far below the promise and the whole run's yet keep it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One cell. Means over seeds; `gaps` ours less each reference's awg, in points (x 100).

    `spread` and `gap_spreads`: standard deviations over seeds, of our awg and of the gaps (points).
    """

    cell: Cell
    bound: float
    ours: Figures
    spread: float
    percent_of_bound: float
    references: Mapping[str, Figures]
    gaps: Mapping[str, float]
    gap_spreads: Mapping[str, float]

    @property
    def keepers(self) -> tuple[str, ...]:
        """The policies that keep the promise, ours first if it does."""
        ours = (OURS,) if promise.keeps(self.ours) else ()
        return (*ours, *promise.keepers(self.references))

    @property
    def verdict(self) -> promise.Verdict:
        """Whether ours keeps the promise where it can be kept."""
        return promise.verdict(self.ours, self.references)

    @property
    def fixed(self) -> str | None:
        """The most accurate fixed variant that keeps the promise in full."""
        return promise.best_fixed(self.references)

    @property
    def best(self) -> str | None:
        """Of the references that ours is compared with, the one with the most awg."""
        rivals = promise.rivals(self.ours, self.references)
        return min(rivals, key=lambda name: self.gaps[name], default=None)

    @property
    def gap(self) -> float | None:
        """Ours less the best of its rivals, in points; worth nothing where ours broke the promise."""
        return None if self.best is None else self.gaps[self.best]

    @property
    def behind(self) -> bool:
        """Whether a rival is ahead by more than noise, or ours broke a promise that can be kept."""
        return self.verdict == "broken" or (self.gap is not None and self.gap < -NOISE_POINTS)


@dataclass(frozen=True, slots=True)
class Screened:
    """A cell's screening run: who goes on, and by how much (points) ours was ahead of the others."""

    contenders: tuple[str, ...]
    left: Mapping[str, float]


def screened(run: Ran) -> Screened:
    """Who may decide a cell goes on: the best by awg, overall and of those that may keep the promise; the safest.

    Of each the MOST_CONTENDERS best within CONTENDS_POINTS of the best; besides them the MOST_FIXED most accurate
    fixed variants that may keep it, each as the policy that served most in time; and of those that served most of all
    the least accurate, which has most to spare: a short run shows few misses. Of equals the last named: they did the
    very same, most often a policy that needed no early drop, which is named before itself with it.
    """
    awg = {name: 100.0 * figures["awg"] for name, figures in run["policies"].items()}
    ours = awg.pop(OURS)
    distinct = {round(points, 6): name for name, points in awg.items()}
    found = {name: run["policies"][name] for name in distinct.values()}
    loose = promise.PERCENTILE - promise.SHORT - MAY_KEEP
    may_keep = {n: f for n, f in found.items() if f["attainment"] >= loose}
    pinned = {n: f for n, f in run["policies"].items() if promise.is_fixed(n)}
    fixed = _by_variant({n: f for n, f in pinned.items() if f["attainment"] >= loose})
    chosen = [*_closest(found), *_closest(may_keep), *_most(fixed, "accuracy", MOST_FIXED)]
    chosen += [max(found, key=lambda n: (found[n]["attainment"], -found[n]["accuracy"]))]
    contenders = tuple(dict.fromkeys(chosen))
    return Screened(contenders, {n: ours - a for n, a in awg.items() if n not in contenders})


def row(cell: Cell, runs: Sequence[Ran], contenders: Sequence[str]) -> Row:
    """One cell from its runs, a seed each."""
    ours = [run["policies"][OURS] for run in runs]
    others = {name: [run["policies"][name] for run in runs] for name in contenders}
    bounds = [run["bound"] or 0.0 for run in runs]
    awg = [figures["awg"] for figures in ours]
    gaps = {name: _gaps(ours, found) for name, found in others.items()}
    return Row(
        cell,
        mean(bounds),
        _average(ours),
        _spread(awg),
        100.0 * mean(a / b for a, b in zip(awg, bounds, strict=True)),
        {name: _average(found) for name, found in others.items()},
        {name: mean(found) for name, found in gaps.items()},
        {name: _spread(found) for name, found in gaps.items()},
    )


def read(told: Mapping[str, Any]) -> Row:
    """The row that `told` was made of."""
    values: dict[str, Any] = {f.name: told[f.name] for f in fields(Row)}
    values["cell"] = Cell(**told["cell"])
    return Row(**values)


def anew(row: Row, runs: Sequence[Ran]) -> Row:
    """The row with ours run anew under the same seeds, beside the references as they were.

    Means are what they would be if all were run; how far the gaps spread over seeds is not known then.
    """
    ours = [run["policies"][OURS] for run in runs]
    average, awg = _average(ours), [figures["awg"] for figures in ours]
    gaps = {n: 100.0 * (average["awg"] - f["awg"]) for n, f in row.references.items()}
    return replace(
        row,
        ours=average,
        spread=_spread(awg),
        percent_of_bound=100.0 * average["awg"] / row.bound,
        gaps=gaps,
        gap_spreads={},
    )


def told(row: Row) -> dict[str, object]:
    """A row with what follows from it, as plain values."""
    found = {key: getattr(row, key) for key in ("keepers", "verdict", "fixed", "best", "gap")}
    return {**asdict(row), **found, "behind": row.behind}


def summary(rows: Sequence[Row], screenings: Sequence[Screened]) -> dict[str, object]:
    """The figures the benchmark is about."""
    recorded = [row for row in rows if row.cell.is_recorded]
    worst = min(recorded, key=lambda r: r.percent_of_bound, default=None)
    return {
        **_of(rows),
        "worst_recorded_percent_of_bound": worst.percent_of_bound if worst else None,
        "worst_recorded_cell": str(worst.cell) if worst else None,
        "broken": _told(r for r in rows if r.verdict == "broken"),
        "less_accurate": _told(r for r in rows if r.verdict == "less accurate"),
        "cells_with_a_reference_ahead": {
            str(r.cell): _ahead(r) for r in rows if r.behind and r.verdict != "broken"
        },
        "by_condition": _grouped(rows, lambda r: r.cell.condition),
        "by_trace": _grouped(rows, lambda r: f"{r.cell.trace}, {r.cell.condition}"),
        "mean_gap_by_reference": _by_reference(rows, screenings),
    }


def _grouped(rows: Sequence[Row], key: Callable[[Row], str]) -> dict[str, dict[str, object]]:
    return {
        name: _of([r for r in rows if key(r) == name]) for name in dict.fromkeys(map(key, rows))
    }


def _of(rows: Sequence[Row]) -> dict[str, object]:
    """Counts and means of some cells; gaps of those in which ours may be compared."""
    gaps = [r.gap for r in rows if r.gap is not None and r.verdict != "broken"]
    verdicts = Counter(r.verdict for r in rows)
    fixed = [r for r in rows if r.fixed]
    return {
        "cells": len(rows),
        "verdicts": {name: verdicts[name] for name in promise.VERDICTS},
        "kept_by_a_fixed_variant": len(fixed),
        "of_these_broken": sum(r.verdict == "broken" for r in fixed),
        "mean_percent_of_bound": mean(r.percent_of_bound for r in rows),
        "worst_percent_of_bound": min(r.percent_of_bound for r in rows),
        "mean_gap_points": mean(gaps) if gaps else None,
        "worst_gap_points": min(gaps, default=None),
        "cells_behind": sum(r.behind and r.verdict != "broken" for r in rows),
    }


def _told(rows: Iterable[Row]) -> dict[str, dict[str, object]]:
    """What ours and the one it is measured by delivered."""
    return {
        str(r.cell): {"ours": r.ours, "reference": name, "its": r.references[name]}
        for r in rows
        if (name := r.fixed or r.best)
    }


def _ahead(row: Row) -> dict[str, float]:
    """Rivals ahead by more than noise, and our gap to them."""
    rivals = promise.rivals(row.ours, row.references)
    return {name: row.gaps[name] for name in sorted(rivals) if row.gaps[name] < -NOISE_POINTS}


def _by_reference(
    rows: Sequence[Row], screenings: Sequence[Screened]
) -> dict[str, dict[str, float]]:
    """Over all cells that know the reference, from its screening run where it went no further; the closest first."""
    gaps: dict[str, list[float]] = {}
    whole, kept = Counter[str](), Counter[str]()
    for table, screening in zip(rows, screenings, strict=True):
        for name, gap in {**screening.left, **table.gaps}.items():
            gaps.setdefault(name, []).append(gap)
        whole.update(list(table.gaps))
        kept.update(table.keepers)
    found = {
        name: {
            "mean": mean(g),
            "worst": min(g),
            "cells": len(g),
            "whole": whole[name],
            "kept": kept[name],
        }
        for name, g in gaps.items()
    }
    return dict(sorted(found.items(), key=lambda item: item[1]["mean"]))


def _closest(figures: Mapping[str, Figures]) -> list[str]:
    best = _most(figures, "awg", MOST_CONTENDERS)
    least = figures[best[0]]["awg"] - CONTENDS_POINTS / 100.0 if best else 0.0
    return [name for name in best if figures[name]["awg"] >= least]


def _by_variant(fixed: Mapping[str, Figures]) -> dict[str, Figures]:
    """Of each variant the one policy that served most in time."""
    chosen: dict[str, str] = {}
    for name in sorted(fixed, key=lambda n: fixed[n]["attainment"]):
        chosen[name.partition(":")[2].partition("+")[0]] = name
    return {name: fixed[name] for name in chosen.values()}


def _most(figures: Mapping[str, Figures], key: Literal["awg", "accuracy"], count: int) -> list[str]:
    return sorted(figures, key=lambda name: -figures[name][key])[:count]


def _gaps(ours: Sequence[Figures], theirs: Sequence[Figures]) -> list[float]:
    return [100.0 * (a["awg"] - b["awg"]) for a, b in zip(ours, theirs, strict=True)]


def _spread(values: Sequence[float]) -> float:
    return stdev(values) if len(values) > 1 else 0.0


def _average(figures: Sequence[Figures]) -> Figures:
    return {
        "awg": mean(f["awg"] for f in figures),
        "attainment": mean(f["attainment"] for f in figures),
        "accuracy": mean(f["accuracy"] for f in figures),
        "late": round(mean(f["late"] for f in figures)),
    }
