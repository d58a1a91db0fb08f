"""Every policy in the simulator over traces, loads, workers, conditions and two profiles; judged by the promise first.

    python benchmarks/policies/policies.py                 # all cells; goes on where an earlier run was broken off
    python benchmarks/policies/policies.py --quick         # a few cells of 20 s, to try it out
    python benchmarks/policies/policies.py --keep-references  # after a change of ours alone
    python benchmarks/policies/policies.py --references-from FILE  # ours alone, beside an earlier result
    python benchmarks/policies/policies.py --seeds 11 12 13 --trace bursts  # part of it

Writes benchmarks/results/policies.{json,md,png}. Which traces and seeds may be used to tune: traces.py. Who is compared
with whom: promise.py.
"""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig
from benchmarks.policies import (
    cells,
    decision_time,
    policies_oracle,
    policies_slow,
    policies_table,
    traces,
)
from benchmarks.policies.cells import Cell, Sources
from benchmarks.policies.policies_plot import draw
from benchmarks.policies.policies_report import markdown
from benchmarks.policies.policies_run import OURS, Job, on_all_cores, ran, shelf
from benchmarks.policies.policies_slow import Window
from benchmarks.policies.policies_table import Row, Screened
from server.policy import registry

T = TypeVar("T", bound="Weighed")
R = TypeVar("R")

QUICK_TRACES, QUICK_UTILISATIONS, QUICK_WORKERS = ("azure_conv", "bursts"), (0.75, 1.5), (1,)
QUICK_S, QUICK_SEEDS, WHOLE_S = 20.0, 2, 60.0
"""A cell of one worker runs so long, of more less (`Cell.run_s`)."""


class Weighed(Protocol):
    """A job that knows what it costs, roughly."""

    @property
    def weight(self) -> float:
        """In a unit of its own."""
        ...


@dataclass(frozen=True, slots=True)
class Scope:
    """What is run. `quicker` divides the durations of what runs longer than a cell."""

    grid: tuple[Cell, ...]
    seeds: tuple[int, ...]
    duration_s: float
    quicker: float
    processes: int
    sources: Sources


def main() -> int:
    """0, or 2 with one message where there is nothing to run on."""
    given = _parser().parse_args()
    sources = Sources(given.traces_folder, given.gpu_profile)
    if given.export_cpu_profile:
        print(f"{cells.CPU_PROFILE} written from {cells.export_cpu_profile()}")
        return 0
    scope = _scope(given, sources)
    if not scope.grid:
        print("no cell left: neither a profile nor a trace was found", file=sys.stderr)
        return 2
    began = time.monotonic()
    earlier = _earlier(given.references_from, scope)
    if isinstance(earlier, str):
        print(earlier, file=sys.stderr)
        return 2
    rows, screenings = _ours_anew(scope, given, earlier) if earlier else _rows(scope, given)
    result = _result(scope, rows, screenings)
    result["slow_down"] = {"rows": []} if given.cells_only else _slow_down(scope, rows, earlier)
    result["oracle_seeds"] = list(given.oracle_seeds or scope.seeds)
    result["oracle"] = [] if given.cells_only else _oracle(scope, result["oracle_seeds"])
    result["spent_s"] = time.monotonic() - began
    _write(result, given.output_dir)
    return 0


def _scope(given: argparse.Namespace, sources: Sources) -> Scope:
    profiles = sources.profiles()
    wanted = given.traces or (QUICK_TRACES if given.quick else cells.GRID_TRACES)
    there = cells.there(wanted, sources)
    for missing in [t for t in wanted if t not in there]:
        print(f"skipped: {missing}, no recording in {sources.traces}", file=sys.stderr)
    for missing in [p for p in given.profiles if p not in profiles]:
        print(f"skipped: profile {missing}, no table of it", file=sys.stderr)
    grid = cells.grid(
        [p for p in given.profiles if p in profiles],
        there,
        QUICK_UTILISATIONS if given.quick else cells.UTILISATIONS,
        QUICK_WORKERS if given.quick else cells.WORKERS,
    )
    grid += _rough(given, sources)
    seeds = given.seeds[:QUICK_SEEDS] if given.quick else given.seeds
    duration_s = QUICK_S if given.quick else given.duration_s
    quicker = max(1.0, WHOLE_S / duration_s)
    return Scope(tuple(grid), tuple(seeds), duration_s, quicker, given.processes, sources)


def _rough(given: argparse.Namespace, sources: Sources) -> list[Cell]:
    """The cells of machines that stray; of --trace those that it names."""
    profiles = [p for p in given.profiles if p in sources.profiles()]
    known = cells.rough(profiles, cells.there(cells.ROUGH_TRACES, sources))
    found = [cell for cell in known if not given.traces or cell.trace in given.traces]
    return found[:: len(cells.ROUGH_LOADS)] if given.quick else found


def _rows(scope: Scope, given: argparse.Namespace) -> tuple[list[Row], list[Screened]]:
    """Screen every reference in every cell, then run the contenders in full under every seed."""
    kept = shelf(given.cache, scope.sources, given.keep_references)
    whole_s = cells.SQUEEZED_S / scope.quicker
    screens = [
        Job(c, scope.seeds[0], whole_s, _names(c, scope), scope.sources, kept, excerpt=True)
        for c in scope.grid
    ]
    screenings = [policies_table.screened(run) for run in _all(screens, "screening", scope, ran)]
    whole = [
        Job(c, seed, c.run_s(scope.duration_s), (OURS, *s.contenders), scope.sources, kept)
        for c, s in zip(scope.grid, screenings, strict=True)
        for seed in scope.seeds
    ]
    runs, count = _all(whole, "in full", scope, ran), len(scope.seeds)
    rows = [
        policies_table.row(cell, runs[i * count : (i + 1) * count], screenings[i].contenders)
        for i, cell in enumerate(scope.grid)
    ]
    return rows, screenings


def _earlier(path: Path | None, scope: Scope) -> dict[str, Any] | str | None:
    """An earlier result of the same runs, or why it cannot be used."""
    if path is None:
        return None
    earlier = json.loads(path.read_text())
    if (earlier["seeds"], earlier["duration_s"]) != (list(scope.seeds), scope.duration_s):
        return f"--references-from {path}: it is of other seeds or durations; run all instead"
    known = {str(policies_table.read(told).cell) for told in earlier["cells"]}
    missing = [str(cell) for cell in scope.grid if str(cell) not in known]
    return f"--references-from {path}: it lacks {', '.join(missing)}" if missing else earlier


def _ours_anew(
    scope: Scope, given: argparse.Namespace, earlier: Mapping[str, Any]
) -> tuple[list[Row], list[Screened]]:
    """Run ours alone in full, beside the references of an earlier result: no code that they are made of has changed."""
    kept = shelf(given.cache, scope.sources, keep_references=True)
    known = {str(row.cell): row for row in map(policies_table.read, earlier["cells"])}
    left = {told["cell"]: told["ahead_by"] for told in earlier["screened_out"]}
    before = [known[str(cell)] for cell in scope.grid]
    jobs = [
        Job(c, seed, c.run_s(scope.duration_s), (OURS,), scope.sources, kept, bounded=False)
        for c in scope.grid
        for seed in scope.seeds
    ]
    runs, count = _all(jobs, "ours anew", scope, ran), len(scope.seeds)
    rows = [
        policies_table.anew(row, runs[i * count : (i + 1) * count]) for i, row in enumerate(before)
    ]
    return rows, [Screened(tuple(row.references), left[str(row.cell)]) for row in before]


def _all(jobs: Sequence[T], label: str, scope: Scope, work: Callable[[T], R]) -> list[R]:
    """Longest first, results in the jobs' own order."""
    order = sorted(range(len(jobs)), key=lambda i: -jobs[i].weight)
    done = on_all_cores(work, [jobs[i] for i in order], label, scope.processes)
    return [result for _, result in sorted(zip(order, done, strict=True), key=lambda p: p[0])]


def _names(cell: Cell, scope: Scope) -> tuple[str, ...]:
    arms = cells.machine(cell.profile, scope.sources).arms
    return (OURS, *(name for name in registry.names(arms) if not name.startswith(OURS)))


def _result(scope: Scope, rows: Sequence[Row], screenings: Sequence[Screened]) -> dict[str, Any]:
    machines = {c.profile: cells.machine(c.profile, scope.sources) for c in scope.grid}
    return {
        "command": shlex.join(["python", *sys.argv]),
        "machine": rig.machine(),
        "processes": scope.processes,
        "duration_s": scope.duration_s,
        "seeds": list(scope.seeds),
        "profiles": {
            name: {"arms": len(m.arms), "slo_ms": 1e3 * m.slo_s, "largest_rps": m.largest_rps}
            for name, m in machines.items()
        },
        "summary": policies_table.summary(rows, screenings),
        "cells": [policies_table.told(row) for row in rows],
        "screened_out": [
            {"cell": str(c), "ahead_by": dict(s.left)}
            for c, s in zip(scope.grid, screenings, strict=True)
        ],
        "decision_time": decision_time.measure([OURS], next(iter(machines.values()))),
    }


def _slow_down(
    scope: Scope, rows: Sequence[Row], earlier: Mapping[str, Any] | None
) -> dict[str, Any]:
    best = {row.cell: sorted(row.gaps, key=lambda name: row.gaps[name]) for row in rows}
    duration_s = cells.SQUEEZED_S / scope.quicker
    slow = policies_slow.jobs(best, scope.seeds, duration_s, scope.sources)
    theirs: list[Window] = [] if earlier is None else earlier["slow_down"]["rows"]
    theirs = [told for told in theirs if told["policy"] != OURS]
    if earlier is not None:
        slow = [job for job in slow if job.policy == OURS]
    windows = on_all_cores(policies_slow.windowed, slow, "slow-downs", scope.processes)
    windows = sorted([*windows, *theirs], key=lambda told: (told["cell"], told["factor"]))
    from_s, until_s = policies_slow.window(duration_s)
    return {"from_s": from_s, "until_s": until_s, "rows": windows}


def _oracle(scope: Scope, seeds: Sequence[int]) -> list[policies_oracle.Beside]:
    """On the GPU's profile where there is one: its arms lie furthest apart."""
    profiles = sorted({cell.profile for cell in scope.grid}, reverse=True)[:1]
    jobs = policies_oracle.jobs(profiles, seeds, scope.sources, scope.quicker)
    return _all(jobs, "beside the oracle", scope, policies_oracle.beside)


def _write(result: dict[str, Any], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    result = json.loads(json.dumps(result))
    text = markdown(result)
    (folder / "policies.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "policies.md").write_text(text)
    draw(result["cells"], folder / "policies.png")
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, sources = parser.add_argument, cells.default_sources()
    add("--quick", action="store_true", help="a few cells of 20 s, two seeds")
    add("--seeds", type=int, nargs="+", default=list(traces.REPORTING_SEEDS))
    add("--oracle-seeds", type=int, nargs="+", help="of the runs beside the oracle; default: all")
    add("--duration-s", type=float, default=WHOLE_S, help="of a cell of one worker (%(default)s)")
    add("--profiles", nargs="+", choices=("gpu", "cpu"), default=["gpu", "cpu"])
    add("--trace", dest="traces", nargs="+", choices=traces.TRACES, help="only these")
    add("--traces-folder", type=Path, default=sources.traces, help="recordings ($GEARSHIFT_TRACES)")
    add("--gpu-profile", type=Path, default=sources.gpu_profile, help="CSV of the shared profile")
    add("--processes", type=int, default=len(os.sched_getaffinity(0)))
    add(
        "--cache",
        type=Path,
        default=traces.ROOT / "build" / "policies",
        help="where results are kept",
    )
    add("--cells-only", action="store_true", help="neither slow-downs nor ours beside the oracle")
    add("--keep-references", action="store_true", help="use references kept from older policy code")
    add(
        "--references-from", type=Path, help="a policies.json: run ours alone beside its references"
    )
    add("--export-cpu-profile", action="store_true", help="write profiles/cpu.csv and stop")
    add("--output-dir", type=Path, default=rig.RESULTS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
