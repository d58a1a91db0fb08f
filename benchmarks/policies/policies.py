"""Every policy in the simulator over traces, loads, workers and two profiles: the whole table, and slow-downs.

    python benchmarks/policies/policies.py                 # all cells; goes on where an earlier run was broken off
    python benchmarks/policies/policies.py --quick         # a few cells of 20 s, to try it out
    python benchmarks/policies/policies.py --keep-references  # after a change of ours alone

Writes benchmarks/results/policies.{json,md,png}. Which traces and seeds may be used to tune: traces.py.
"""

import argparse
import json
import os
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig
from benchmarks.policies import cells, decision_time, policies_slow, policies_table, traces
from benchmarks.policies.cells import Cell, Sources
from benchmarks.policies.policies_plot import draw
from benchmarks.policies.policies_report import markdown
from benchmarks.policies.policies_run import OURS, Job, on_all_cores, ran, shelf
from benchmarks.policies.policies_table import Row, Screened
from server.policy import registry

QUICK_TRACES, QUICK_UTILISATIONS, QUICK_WORKERS = ("azure_conv", "gamma"), (0.75, 1.5), (1,)
QUICK_S, WHOLE_S = 20.0, 120.0


@dataclass(frozen=True, slots=True)
class Scope:
    """What is run."""

    grid: tuple[Cell, ...]
    seeds: tuple[int, ...]
    duration_s: float
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
    rows, screenings = _rows(scope, given)
    result = _result(scope, rows, screenings)
    result["spent_s"] = time.monotonic() - began
    _write(result, rows, given.output_dir)
    return 0


def _scope(given: argparse.Namespace, sources: Sources) -> Scope:
    there, profiles = traces.available(sources.traces), sources.profiles()
    wanted = given.traces or (QUICK_TRACES if given.quick else cells.GRID_TRACES)
    for missing in [t for t in wanted if t not in there]:
        print(f"skipped: {missing}, no recording in {sources.traces}", file=sys.stderr)
    for missing in [p for p in given.profiles if p not in profiles]:
        print(f"skipped: profile {missing}, no table of it", file=sys.stderr)
    grid = cells.grid(
        [p for p in given.profiles if p in profiles],
        [t for t in wanted if t in there],
        QUICK_UTILISATIONS if given.quick else cells.UTILISATIONS,
        QUICK_WORKERS if given.quick else cells.WORKERS,
    )
    seeds = traces.REPORTING_SEEDS[:1] if given.quick else traces.REPORTING_SEEDS
    duration_s = QUICK_S if given.quick else WHOLE_S
    return Scope(tuple(grid), seeds, duration_s, given.processes, sources)


def _rows(scope: Scope, given: argparse.Namespace) -> tuple[list[Row], list[Screened]]:
    """Screen every reference in every cell, then run the contenders in full under every seed."""
    kept = shelf(given.cache, scope.sources, given.keep_references)
    screens = [
        Job(c, scope.seeds[0], scope.duration_s, _names(c, scope), scope.sources, kept, True)
        for c in scope.grid
    ]
    screenings = [policies_table.screened(run) for run in _all(screens, "screening", scope)]
    whole = [
        replace(job, seed=seed, excerpt=False, policies=(OURS, *screening.contenders))
        for job, screening in zip(screens, screenings, strict=True)
        for seed in scope.seeds
    ]
    runs, count = _all(whole, "in full", scope), len(scope.seeds)
    rows = [
        policies_table.row(cell, runs[i * count : (i + 1) * count], screenings[i].contenders)
        for i, cell in enumerate(scope.grid)
    ]
    return rows, screenings


def _all(jobs: Sequence[Job], label: str, scope: Scope) -> list[Any]:
    """Longest first, results in the jobs' own order."""
    order = sorted(range(len(jobs)), key=lambda i: -jobs[i].weight)
    done = on_all_cores(ran, [jobs[i] for i in order], label, scope.processes)
    return [result for _, result in sorted(zip(order, done, strict=True), key=lambda p: p[0])]


def _names(cell: Cell, scope: Scope) -> tuple[str, ...]:
    arms = cells.machine(cell.profile, scope.sources).arms
    return (OURS, *(name for name in registry.names(arms) if not name.startswith(OURS)))


def _result(scope: Scope, rows: Sequence[Row], screenings: Sequence[Screened]) -> dict[str, Any]:
    best = {row.cell: sorted(row.gaps, key=lambda name: row.gaps[name]) for row in rows}
    slow = policies_slow.jobs(best, scope.seeds, scope.duration_s, scope.sources)
    windows = on_all_cores(policies_slow.windowed, slow, "slow-downs", scope.processes)
    from_s, until_s = policies_slow.window(scope.duration_s)
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
        "cells": [{**asdict(row), "best": row.best, "gap": row.gap} for row in rows],
        "screened_out": [
            {"cell": str(c), "ahead_by": dict(s.left)}
            for c, s in zip(scope.grid, screenings, strict=True)
        ],
        "slow_down": {"from_s": from_s, "until_s": until_s, "rows": windows},
        "decision_time": decision_time.measure([OURS], next(iter(machines.values()))),
    }


def _write(result: dict[str, Any], rows: Sequence[Row], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    text = markdown(result, rows)
    (folder / "policies.json").write_text(json.dumps(result, indent=1) + "\n")
    (folder / "policies.md").write_text(text)
    draw(rows, folder / "policies.png")
    print(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, sources = parser.add_argument, cells.default_sources()
    add("--quick", action="store_true", help="a few cells of 20 s, one seed")
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
    add("--keep-references", action="store_true", help="use references kept from older policy code")
    add("--export-cpu-profile", action="store_true", help="write profiles/cpu.csv and stop")
    add("--output-dir", type=Path, default=rig.RESULTS)
    return parser


if __name__ == "__main__":
    sys.exit(main())
