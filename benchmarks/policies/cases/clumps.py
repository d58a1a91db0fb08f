"""Rows that come at once: is ours ahead of every fixed variant? In the simulator, GPU profile.

Beside ours each variant alone: with our own batching (`static:`), greedily (`fixed:`) and with Nexus' early drop.

    OPENBLAS_NUM_THREADS=1 python benchmarks/policies/cases/clumps.py [--duration-s 40] [--seeds 11 12 13 14]

Writes benchmarks/results/clumps.md.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import tables
from benchmarks.policies import cells, traces
from benchmarks.policies.policies_run import on_all_cores
from server.policy.registry import policy
from server.simulator.engine import simulate, tickets_at
from server.simulator.setup import Setup

RESULTS = Path(__file__).resolve().parents[2] / "results" / "clumps.md"
TRACES = ("cameras", "mooncake_conversation", "mooncake_spread")
LOADS, WORKERS = (0.5, 1.0, 1.5, 2.0), (1, 4)
RIVALS = {"our batching": "static:{}", "greedy": "fixed:{}", "early drop": "fixed:{}+nexus"}
BEHIND = 0.005
"""awg by which a fixed variant may be ahead."""


@dataclass(frozen=True, slots=True)
class Clumped:
    """One policy on one cell; the load is over what the most accurate variant carries."""

    trace: str
    load: float
    workers: int
    seeds: tuple[int, ...]
    duration_s: float
    policy: str = "adaptive"

    def __str__(self) -> str:
        """As the table names its cell."""
        return f"{self.trace} {self.load:g}x W{self.workers}"


Figures = tuple[float, float]
"""awg and attainment, means over seeds, 0 to 1."""


def ran(run: Clumped) -> Figures:
    """What it delivered."""
    machine = cells.machine("gpu", cells.default_sources())
    rate_rps = run.load * run.workers * machine.largest_rps
    found: list[Figures] = []
    for seed in run.seeds:
        times_s = traces.make(run.trace, rate_rps, run.duration_s, seed, traces.default_folder())
        tickets = tickets_at(times_s.tolist(), machine.slo_s)
        setup = Setup(machine.slo_s, run.workers, seed=seed, follow="measured")
        out = simulate(machine.arms, policy(run.policy), tickets, setup)
        found.append((out.awg(), out.attainment()))
    awg, attainment = (mean(column) for column in zip(*found, strict=True))
    return awg, attainment


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--duration-s", type=float, default=40.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12, 13, 14])
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args(argv)
    if not cells.default_sources().gpu_profile.is_file():
        missing = cells.default_sources().gpu_profile
        print(f"{missing} is not there: nothing to run", file=sys.stderr)
        return 2
    variants = [arm.arm.variant for arm in cells.machine("gpu", cells.default_sources()).arms]
    ours = [
        Clumped(*cell, tuple(options.seeds), options.duration_s)
        for cell in product(TRACES, LOADS, WORKERS)
    ]
    rivals = [form.format(name) for form in RIVALS.values() for name in variants]
    runs = [*ours, *(replace(one, policy=rival) for one in ours for rival in rivals)]
    results = dict(zip(runs, on_all_cores(ran, runs, "clumps", options.processes), strict=True))
    command = f"--duration-s {options.duration_s:g} --seeds {' '.join(map(str, options.seeds))}"
    text = table(ours, results, variants, f"`python benchmarks/policies/cases/clumps.py {command}`")
    RESULTS.write_text(text, encoding="utf-8")
    print(text)
    return 0


def table(
    ours: Sequence[Clumped], results: dict[Clumped, Figures], variants: Sequence[str], command: str
) -> str:
    """In Markdown: what ours delivers, and by how many awg it is ahead of the best variant in each form."""
    rows: list[list[str]] = []
    behind = dict.fromkeys(RIVALS, 0)
    for one in ours:
        awg, attainment = results[one]
        ahead: list[str] = []
        for name, form in RIVALS.items():
            best, kept = max(results[replace(one, policy=form.format(v))] for v in variants)
            behind[name] += best > awg + BEHIND
            ahead.append(f"{100 * (awg - best):+.2f} ({kept:.1%})")
        rows.append([str(one), f"{awg:.2%}", f"{attainment:.1%}", *ahead])
    short = ", ".join(f"{name} {n}" for name, n in behind.items())
    return "\n".join(
        [
            f"# Clumps\n\n{command}. Ahead of the best fixed variant by so many awg (its attainment).",
            f"Of {len(ours)} cells one is ahead of ours by more than {100 * BEHIND:g}: {short}.\n",
            *tables.lines(("cell", "awg", "in time", *RIVALS), rows),
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
