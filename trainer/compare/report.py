"""A comparison of selectors as Markdown. Pure: findings in, text out."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from trainer.compare.curves import CONFIDENCE, CONFIDENCE_TEXT, Summary
from trainer.compare.findings import Findings, Match
from trainer.compare.sentences import in_short
from trainer.compare.speedups import Level, Speedup

Table = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class About:
    """What the report says of the comparison itself; `protocol` is Markdown, `machine` one line."""

    title: str
    protocol: str
    command_line: str
    machine: str


def markdown(about: About, found: Findings, plot: str) -> str:
    """The whole report; `plot` is the picture's path as seen from the report."""
    lines = [
        f"# {about.title}\n",
        f"{about.protocol}\n",
        f"Machine: {about.machine}.\n",
        f"Command: `{about.command_line}`\n",
        "## In short\n",
        *(f"- {line}" for line in in_short(found)),
        f"\n![Test error against training cost]({plot})\n",
    ]
    for section in (_errors, _speedups, _differences, _levels, _absent, _reading):
        lines += section(found)
    return "\n".join(lines) + "\n"


def _errors(found: Findings) -> list[str]:
    head = [
        *("budget (units)", "selector", "test error, % ± sd (seeds)"),
        *("units", "forwards", "backprops", "keep rate", "f", "cpu s", "cpu s per million units"),
    ]
    rows = [_row(found, s, budget) for budget in found.budgets for s in found.curves]
    return ["## Error at equal cost\n", *_table(head, rows), ""]


def _row(found: Findings, selector: str, budget: float) -> list[str]:
    def mean(name: str, form: str) -> str:
        summary = found.figure(selector, budget, lambda o: getattr(o, name))
        return "" if summary is None else form.format(summary.mean)

    error = found.figure(selector, budget, lambda o: o.test_error)
    pace = found.figure(
        selector, budget, lambda o: 1e6 * o.cpu_seconds / o.units if o.units else None
    )
    return [
        f"{budget:,.0f}",
        f"`{selector}`",
        "no run" if error is None else _percent(error),
        *(mean(name, "{:,.0f}") for name in ("units", "forwards", "backprops")),
        *(mean(name, "{:.3f}") for name in ("keep_rate", "f")),
        mean("cpu_seconds", "{:,.1f}"),
        "" if pace is None else f"{pace.mean:,.1f}",
    ]


def _percent(error: Summary) -> str:
    spread = "" if error.sd is None else f" ± {100 * error.sd:.2f}"
    return f"{100 * error.mean:.2f}{spread} ({error.n})"


def _speedups(found: Findings) -> list[str]:
    head = [
        *("selector", "against", "speed-up, median", "range over levels"),
        *(f"{CONFIDENCE_TEXT} interval", "where only one gets"),
        *("backprops saved at equal error", "... at the largest budget"),
    ]
    rows = [
        [*_names(match), *_speedup(match.speedup), *map(_times, _saved(found, match))]
        for match in found.matches
    ]
    return ["## Speed-up at equal test error\n", *_table(head, rows), ""] if rows else []


def _speedup(s: Speedup) -> list[str]:
    exact = sum(not v.side for v in s.levels)
    return [
        "no common error" if s.ratio is None else f"**{s.ratio:.2f}x**",
        "" if s.span is None else f"{s.span[0]:.2f} to {s.span[1]:.2f} ({exact} levels)",
        "" if s.interval is None else _interval(s.interval),
        ", ".join(_bounds(s)),
    ]


def _bounds(s: Speedup) -> list[str]:
    """Those that say which of the two is cheaper; all where there is nothing else."""
    least, most = s.at_least, s.at_most
    return [
        *([f"more than {least:.2f}x"] if least and (least > 1.0 or s.ratio is None) else []),
        *([f"less than {most:.2f}x"] if most and (most < 1.0 or s.ratio is None) else []),
    ]


def _interval(interval: tuple[float, float]) -> str:
    high = "no limit" if math.isinf(interval[1]) else f"{interval[1]:.2f}"
    return f"{interval[0]:.2f} to {high}"


def _times(ratio: float | None) -> str:
    return "" if ratio is None else f"{ratio:.2f}x"


def _names(match: Match) -> tuple[str, str]:
    return f"`{match.ours}`", f"`{match.theirs}`"


def _saved(found: Findings, match: Match) -> tuple[float | None, float | None]:
    """Backprops of theirs over ours: at equal error, and at the largest budget."""
    ours, theirs = (
        found.figure(selector, found.budgets[-1], lambda o: o.backprops)
        for selector in (match.ours, match.theirs)
    )
    at_largest = theirs.mean / ours.mean if ours and theirs and ours.mean else None
    return match.speedup.backprops_ratio, at_largest


def _differences(found: Findings) -> list[str]:
    rows = [[*_names(m), *map(_difference, m.differences)] for m in found.matches]
    if not rows:
        return []
    head = ["selector", "against", *(f"{b:,.0f} units" for b in found.budgets)]
    return [
        "## Difference of error at equal cost\n",
        "Percentage points ± standard error, seed by seed (seeds); below zero: the selector is better. Bold: its "
        f"{CONFIDENCE_TEXT} interval leaves out zero.\n",
        *_table(head, rows),
        "",
    ]


def _difference(d: Summary | None) -> str:
    if d is None:
        return ""
    if d.sd is None or d.interval is None:
        return f"{100 * d.mean:+.2f} ({d.n})"
    text = f"{100 * d.mean:+.2f} ± {100 * d.sd / math.sqrt(d.n):.2f} ({d.n})"
    return f"**{text}**" if d.interval[0] > 0.0 or d.interval[1] < 0.0 else text


def _levels(found: Findings) -> list[str]:
    rows = [
        [f"`{m.ours}`", f"{100 * v.error:.2f}", f"{v.cost:,.0f}", f"{v.their_cost:,.0f}", _ratio(v)]
        for m in found.matches
        if m.theirs == found.baseline
        for v in m.speedup.levels
    ]
    head = ["selector", "test error, %", "its cost (units)", f"cost of `{found.baseline}`", "ratio"]
    return ["## Level by level\n", *_table(head, rows), ""] if rows else []


def _ratio(level: Level) -> str:
    return f"{('less than ', '', 'more than ')[level.side + 1]}{level.ratio:.2f}x"


def _absent(found: Findings) -> list[str]:
    rows = [
        [f"`{cell.selector}`", f"{cell.budget:,.0f}", str(cell.seed), _one_line(why)]
        for cell, why in found.absent.items()
    ]
    caveat = "Means above leave these out; where runs of one selector diverge, that flatters it."
    head = ["selector", "budget", "seed", "why"]
    return ["## Runs without a result\n", caveat, "", *_table(head, rows), ""] if rows else []


def _one_line(text: str) -> str:
    """As a table's cell may hold it."""
    return " ".join(text.replace("|", "/").split())


def _reading(found: Findings) -> list[str]:
    return [
        "## How to read it\n",
        "- Speed-up: ratio of budgets at equal test error, interpolated (log cost over error) on mean curves made "
        "falling (isotonic regression), at each mean error of either. Where one selector does not get to the other's "
        "error within the budgets, the ratio is bounded only: more than, less than.",
        f"- Intervals ({CONFIDENCE_TEXT}) are over seeds: Student's t with the bootstrap's standard error "
        "(`speedups.py`). They say how other seeds would fare on this test set, not on other data, and are not "
        "widened for the number of selectors compared: of "
        f"{len(found.matches)} comparisons, about {(1 - CONFIDENCE) * len(found.matches):.1f} would seem significant "
        "by chance alone.",
        "- The cheapest selector was picked on the same runs, which flatters it a little.",
        "- Backprops saved counts examples, not cost: the selection's own forward passes are in the units.",
    ]


def _table(head: Sequence[str], rows: Table) -> list[str]:
    return ["| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *rows)]
