"""`gearshift train --compare`: selectors at equal cost budgets, as raw results, a plot and a report."""

import csv
import io
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TextIO

import numpy as np

from trainer.compare import plot, report
from trainer.compare.findings import Findings, findings
from trainer.compare.grid import Command, Failure, Lanes, run_all
from trainer.compare.outcomes import Cell, Outcome
from trainer.compare.report import About
from trainer.compare.runs import Runs
from trainer.compare.sentences import in_short
from trainer.errors import TrainError

RUNS, REPORT, PLOT, TABLE = "runs.jsonl", "report.md", "comparison.png", "table.csv"
"""What the folder `out` gets."""

_BOOTSTRAP_SEED = 20220901
"""Any will do; fixed, so that the same runs give the same report."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is compared: selectors by budgets (units) by seeds. `baseline` and `controls` are among the selectors.

    `at_once` runs at a time on `threads` threads each.
    """

    selectors: tuple[str, ...]
    budgets: tuple[float, ...]
    seeds: tuple[int, ...]
    out: Path
    at_once: int = 1
    threads: int = 1
    baseline: str = "uniform"
    controls: tuple[str, ...] = ()

    def cells(self) -> list[Cell]:
        """Every run."""
        return [Cell(s, b, n) for n in self.seeds for b in self.budgets for s in self.selectors]

    def check(self) -> None:
        """Raises TrainError with all that is wrong."""
        bad_budgets = [b for b in self.budgets if not 0 < b < math.inf]
        too_few = {name: n for name in _COUNTS if (n := getattr(self, name)) < 1}
        strangers = [s for s in (self.baseline, *self.controls) if s not in self.selectors]
        wrong = [
            *(f"{name} is empty: name at least one" for name in _LISTS if not getattr(self, name)),
            *(f"{name} has something twice" for name in _LISTS if _has_twice(getattr(self, name))),
            *(f"budget {b} is no positive number of units" for b in bad_budgets),
            *(f"{name} is {n}, not at least 1" for name, n in too_few.items()),
            *(
                f"{s} is not among the selectors compared: add it, or name another"
                for s in strangers
            ),
        ]
        if wrong:
            raise TrainError("cannot compare: " + "; ".join(wrong))


_LISTS = ("selectors", "budgets", "seeds")
_COUNTS = ("at_once", "threads")


def _has_twice(listed: Sequence[object]) -> bool:
    return len(set(listed)) < len(listed)


def compare(
    options: Comparison,
    command: Command,
    about: About,
    settings: str = "",
    show: TextIO = sys.stderr,
) -> int:
    """Run what is missing, then write table, plot and report of all that finished. Returns the exit code.

    0: all runs have a result; 1: some failed (the report says which); 130: interrupted, the finished runs are kept and
    the same call goes on with the others. `settings`: what outcomes hang on beside `command`'s arguments and threads,
    such as versions: results under others are not used. Raises TrainError for options that make no sense or a folder
    that cannot be written.
    """
    options.check()
    results = Runs(options.out / RUNS)
    lanes = Lanes(options.at_once, options.threads, settings)
    try:
        failures = run_all(options.cells(), command, lanes, results, show)
    except KeyboardInterrupt:
        kept = options.out / RUNS
        show.write(f"interrupted; finished runs are kept in {kept}, the same command goes on\n")
        return 130
    found = _found(options, command, lanes, results, failures)
    _write(options, about, found)
    lines = [*in_short(found), f"report: {options.out / REPORT}"]
    show.write("".join(f"{line}\n" for line in lines))
    return 1 if failures else 0


def _found(
    options: Comparison, command: Command, lanes: Lanes, results: Runs, failures: Sequence[Failure]
) -> Findings:
    finished = [results.find(p, lanes.fingerprint(command(p))) for p in options.cells()]
    against = tuple(dict.fromkeys((options.baseline, *options.controls)))
    runs = [run for run in finished if run is not None]
    absent = {failure.cell: failure.reason for failure in failures}
    rng = np.random.default_rng(_BOOTSTRAP_SEED)
    return findings(options.cells(), runs, absent, against, rng)


def _write(options: Comparison, about: About, found: Findings) -> None:
    baseline = found.curves[options.baseline]
    curves = [baseline, *(c for c in found.curves.values() if c is not baseline)]
    picture = io.BytesIO()
    plot.draw(curves, about.title, picture)
    files = {
        PLOT: picture.getvalue(),
        TABLE: _table(found).encode(),
        REPORT: report.markdown(about, found, PLOT).encode(),
    }
    try:
        for name, content in files.items():
            _replace(options.out / name, content)
    except OSError as error:
        raise TrainError(
            f"cannot write to {options.out}: {error}; the runs are kept in {RUNS}: free some space and go on"
        ) from error


def _replace(path: Path, content: bytes) -> None:
    """By a temporary file and a rename: `path` is whole, or as it was."""
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _table(found: Findings) -> str:
    """Every finished run as CSV, for a reader's own tools."""
    text = io.StringIO()
    rows = [{**asdict(r.cell), **asdict(r.outcome)} for r in found.runs]
    names = [f.name for kind in (Cell, Outcome) for f in fields(kind)]
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
