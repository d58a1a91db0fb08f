"""Ours beside ours of another commit, on the same arrivals: what did a change of the policy gain or cost?

    git worktree add ../before COMMIT
    OPENBLAS_NUM_THREADS=1 python benchmarks/policies/cases/before.py ../before [--seeds 11 12] [--duration-s 30]

Each tree's own code runs in a process of its own, on the arrivals that this tree makes. Writes
benchmarks/results/before.md. Cells are traces without clumps, loads over what the most accurate variant carries.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import tables
from benchmarks.policies import cells, traces

ROOT = Path(__file__).resolve().parents[3]
RESULTS = Path(__file__).resolve().parents[2] / "results" / "before.md"
TRACES = ("poisson", "azure_conv", "twitter", "twitter_held", "gamma", "surges", "bursts")
PROFILES, LOADS, WORKERS = ("gpu", "cpu"), (0.75, 1.0, 1.5, 2.0), (1, 4)
KEPT, BELOW = 0.99 - 0.002, 0.001
RUN = """
import json, sys
sys.path.insert(0, ".")
from concurrent.futures import ProcessPoolExecutor
try:
    from benchmarks.policies import cells
except ImportError:
    from benchmarks import cells
from server.policy.registry import policy
from server.simulator.engine import simulate, tickets_at
from server.simulator.setup import Setup

def ran(path):
    profile, workers, seed, times_s = json.load(open(path))
    machine = cells.machine(profile, cells.default_sources())
    setup = Setup(machine.slo_s, workers, seed=seed, follow="measured")
    out = simulate(machine.arms, policy("adaptive"), tickets_at(times_s, machine.slo_s), setup)
    return out.awg(), out.attainment()

if __name__ == "__main__":
    with ProcessPoolExecutor(int(sys.argv[1])) as pool:
        print(json.dumps(list(pool.map(ran, sys.stdin.read().split()))))
"""
"""What each tree runs: arrivals by file, results on standard output."""

Cell = tuple[str, str, float, int]
"""Profile, trace, load, workers."""
Figures = tuple[float, float]
"""awg and attainment, means over seeds, 0 to 1."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run both trees, write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("before", type=Path, help="a checkout of the other commit")
    parser.add_argument("--duration-s", type=float, default=30.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12])
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args(argv)
    if not (options.before / "server" / "policy").is_dir():
        print(f"{options.before} is no checkout of this project", file=sys.stderr)
        return 2
    chosen = list(product(PROFILES, TRACES, LOADS, WORKERS))
    with tempfile.TemporaryDirectory(prefix="gearshift-before-") as folder:
        paths = _arrivals(chosen, options.seeds, options.duration_s, Path(folder))
        now, before = (
            _delivered(tree, paths, len(options.seeds), options.processes)
            for tree in (ROOT, options.before)
        )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],
        cwd=options.before,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    command = f"--duration-s {options.duration_s:g} --seeds {' '.join(map(str, options.seeds))}"
    text = table(chosen, now, before, f"`before.py` against {commit}, {command}")
    RESULTS.write_text(text, encoding="utf-8")
    print(text)
    return 0


def table(
    chosen: Sequence[Cell], now: Sequence[Figures], before: Sequence[Figures], command: str
) -> str:
    """In Markdown, what lost most first."""
    pairs = list(zip(chosen, now, before, strict=True))
    pairs.sort(key=lambda one: one[1][0] - one[2][0])
    kept = [(ours, theirs) for _, ours, theirs in pairs if theirs[1] >= KEPT]
    still = sum(ours[1] >= KEPT for ours, _ in kept)
    below = sum(ours[0] < theirs[0] - BELOW for ours, theirs in kept)
    gained = mean([ours[0] - theirs[0] for _, ours, theirs in pairs])
    rows = [
        (
            f"{profile} {trace} {load:g}x W{workers}",
            f"{100 * (ours[0] - theirs[0]):+.2f}",
            *(f"{awg:.2%}, {attainment:.1%}" for awg, attainment in (ours, theirs)),
        )
        for (profile, trace, load, workers), ours, theirs in pairs
    ]
    return "\n".join(
        [
            f"# Against the policy of before\n\n{command}. {len(pairs)} cells, awg {100 * gained:+.2f} on average.",
            f"It kept the promise in {len(kept)}; there ours keeps it in {still}, and is more than "
            f"{100 * BELOW:g} awg below it in {below}.\n",
            *tables.lines(("cell", "gain, awg", "awg, in time", "before"), rows),
            "",
        ]
    )


def _arrivals(
    chosen: Sequence[Cell], seeds: Sequence[int], duration_s: float, folder: Path
) -> list[str]:
    """Files of arrivals, seed after seed of each cell."""
    paths: list[str] = []
    for profile, trace, load, workers in chosen:
        rate_rps = load * workers * cells.machine(profile, cells.default_sources()).largest_rps
        for seed in seeds:
            times_s = traces.make(trace, rate_rps, duration_s, seed, traces.default_folder())
            path = folder / f"{len(paths)}.json"
            path.write_text(json.dumps([profile, workers, seed, times_s.tolist()]))
            paths.append(str(path))
    return paths


def _delivered(tree: Path, paths: Sequence[str], seeds: int, processes: int) -> list[Figures]:
    """By cell, what the policy of this tree delivers."""
    with tempfile.NamedTemporaryFile("w", suffix=".py") as script:
        script.write(RUN)
        script.flush()
        done = subprocess.run(
            [sys.executable, script.name, str(processes)],
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree.resolve()), "OPENBLAS_NUM_THREADS": "1"},
            input=" ".join(paths),
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
    found = json.loads(done.stdout)
    return [
        (
            mean(awg for awg, _ in found[i : i + seeds]),
            mean(kept for _, kept in found[i : i + seeds]),
        )
        for i in range(0, len(found), seeds)
    ]


if __name__ == "__main__":
    sys.exit(main())
