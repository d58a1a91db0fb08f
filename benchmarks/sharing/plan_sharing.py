"""Sharing planned fast beside the proven optimum, and beside greedy, max-sharing and no-sharing, on one core.

Workloads are drawn as in the paper (Mainstream, 2018) from nine tasks that its authors measured; needs the
folder of recordings, shared/mainstream beside the repository or in
$GEARSHIFT_SHARED. `python benchmarks/sharing/plan_sharing.py`.
"""

import json
import os
import random
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from server.sharing.planner.costing import additive
from server.sharing.planner.plan import Infeasible, Plan
from server.sharing.planner.repair import repaired
from server.sharing.planner.search.exact import solve
from server.sharing.planner.search.rivals import RIVALS
from server.sharing.planner.search.search import plan
from server.sharing.planner.workload import Branch, Rules, Task, Workload

ROOT = Path(__file__).resolve().parents[2]
LENGTHS_S = (0.2, 0.4, 0.6, 0.8, 1.0)
TENTHS = tuple(n / 10 for n in range(1, 11))
STREAM_FPS = 10.0
RATES_FPS = tuple(float(rate) for rate in range(1, 11))
PATIENCE_S = 120.0
"""For one proof; then the bound so far counts, so that a gap is never understated."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One workload. `rivals` holds their objectives by name, None where one has no plan."""

    bound: float
    proven: bool
    ours: float
    took_s: float
    exact_s: float
    rivals: Mapping[str, float | None]

    @property
    def gap(self) -> float:
        """Ours to what no plan exceeds, relative."""
        return max(0.0, 1.0 - self.ours / self.bound)


def profile_path() -> Path:
    """Below $GEARSHIFT_SHARED, or shared beside the repository."""
    folder = Path(os.environ.get("GEARSHIFT_SHARED") or ROOT.parent / "shared")
    return folder / "mainstream" / "mobilenets_profile.json"


def drawn(profile: Mapping[str, Any], count: int, seed: int, rules: Rules) -> Workload:
    """`count` tasks, each one of the profile's with length, frequency and correlation from the paper's grids."""
    rng = random.Random(f"{seed} {count}")
    names = sorted(profile["tasks"])
    tasks = [_task(at, profile["tasks"][rng.choice(names)]["raw"], rng) for at in range(count)]
    return Workload(tuple(tasks), additive(profile["layer_costs"], tasks), rules)


def _task(at: int, raw: Mapping[str, Sequence[float]], rng: random.Random) -> Task:
    branches = repaired(Branch(int(frozen), true, false) for frozen, (true, false) in raw.items())
    length_s, frequency = rng.choice(LENGTHS_S), rng.choice(TENTHS)
    return Task(f"task{at:02}", branches, length_s, frequency, rng.choice(TENTHS[:-1]))


def outcome(workload: Workload) -> Outcome:
    """Of the search, the proof and the rivals."""
    began = perf_counter()
    ours = plan(workload)
    took_s = perf_counter() - began
    began = perf_counter()
    exact = solve(workload, time_limit_s=PATIENCE_S)
    exact_s = perf_counter() - began
    proven = exact.bound - exact.plan.objective < 1e-6
    rivals = {name: _objective(rival, workload) for name, rival in RIVALS}
    return Outcome(exact.bound, proven, ours.objective, took_s, exact_s, rivals)


def _objective(rival: Callable[[Workload], Plan], workload: Workload) -> float | None:
    try:
        return rival(workload).objective
    except Infeasible:
        return None


Cell = tuple[int, float]
"""Tasks, budget."""


def measured(asked: Namespace) -> dict[Cell, list[Outcome]]:
    """All rounds of all cells."""
    profile = json.loads(profile_path().read_text(encoding="utf-8"))
    cells = [(count, budget) for count in asked.tasks for budget in asked.budgets]
    found: dict[Cell, list[Outcome]] = {cell: [] for cell in cells}
    runs = [(cell, asked.seed + at) for cell in cells for at in range(asked.rounds)]
    plan(drawn(profile, 2, 0, _rules(150.0, asked)))  # what is loaded on first use is not timed
    for (count, budget), seed in tqdm(runs, "planning", unit="workload"):
        workload = drawn(profile, count, seed, _rules(budget, asked))
        found[count, budget].append(outcome(workload))
    return found


def _rules(budget: float, asked: Namespace) -> Rules:
    return Rules(budget, RATES_FPS, STREAM_FPS, published_form=asked.published)


def _lines(found: Mapping[Cell, Sequence[Outcome]]) -> Iterator[str]:
    names = [name for name, _ in RIVALS]
    rivals = "".join(f" {name} / optimum |" for name in names)
    gains = "".join(f" ours / {name}, mean, median |" for name in names[1:])
    yield (
        "| tasks | budget | gap mean | gap worst | time median ms | time max ms | proof median s |"
        f"{rivals}{gains}"
    )
    yield "| --- |" + " --- |" * (6 + len(names) + len(names[1:]))
    for (count, budget), outcomes in found.items():
        shares = "".join(f" {_shares(outcomes, name)} |" for name in names)
        more = "".join(f" {_gains(outcomes, name)} |" for name in names[1:])
        yield f"| {count} | {budget:g} | {_ours(outcomes)}{shares}{more}"


def _ours(outcomes: Sequence[Outcome]) -> str:
    gaps = np.array([one.gap for one in outcomes])
    took_ms = 1e3 * np.array([one.took_s for one in outcomes])
    exact_s = float(np.median([one.exact_s for one in outcomes]))
    return (
        f"{gaps.mean():.4%} | {gaps.max():.3%} | {np.median(took_ms):.0f} | {took_ms.max():.0f} |"
        f" {exact_s:.2f} |"
    )


def _shares(outcomes: Sequence[Outcome], name: str) -> str:
    """Mean and worst share of the optimum; workloads without a plan count as 0 and are told."""
    shares = np.array([(one.rivals[name] or 0.0) / one.bound for one in outcomes])
    without = sum(one.rivals[name] is None for one in outcomes)
    return f"{shares.mean():.2%}, worst {shares.min():.1%}" + (
        f" ({without} without a plan)" if without else ""
    )


def _gains(outcomes: Sequence[Outcome], name: str) -> str:
    gains = [one.ours / value for one in outcomes if (value := one.rivals[name])]
    return f"{np.mean(gains):.2f}x, {np.median(gains):.2f}x" if gains else "none has a plan"


def report(found: Mapping[Cell, Sequence[Outcome]], asked: Namespace) -> str:
    """The result as Markdown."""
    every = [one for outcomes in found.values() for one in outcomes]
    gaps = [one.gap for one in every]
    form = (
        "length x rate^2 / stream rate, as in the authors' code"
        if asked.published
        else "length x rate"
    )
    return "\n".join(
        [
            "# Sharing planned beside the proven optimum",
            "",
            f"Workloads drawn as in the paper, seeds from {asked.seed}, {asked.rounds} for each line; stream"
            f" {STREAM_FPS:g} fps, rates 1 to 10; frames an event: {form}. One core.",
            "Objective: mean event F1. Gaps are relative to what is proven that no plan exceeds. No-sharing may run"
            " tasks below 1 fps or not at all.",
            "",
            *_lines(found),
            "",
            f"Of {len(every)} workloads {sum(one.proven for one in every)} were solved to proof. Over all: mean gap"
            f" {np.mean(gaps):.4%}, worst {np.max(gaps):.3%}; longest search {max(o.took_s for o in every):.2f} s.",
            "",
        ]
    )


def arguments(argv: Sequence[str] | None = None) -> Namespace:
    """What to measure."""
    parser = ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=10, help="workloads for each number of tasks and budget")
    add("--tasks", type=int, nargs="+", default=[2, 3, 5, 7, 10, 15, 20, 25])
    add("--budgets", type=float, nargs="+", default=[50.0, 100.0, 150.0, 200.0, 300.0])
    add("--seed", type=int, default=100, help="the first; those below 100 were used for tuning")
    add("--published", action="store_true", help="frames an event as in the authors' code")
    add("--out", type=Path, help="write the Markdown there too")
    return parser.parse_args(argv)


def main() -> int:
    """Print the report."""
    asked = arguments()
    if not profile_path().is_file():
        print(
            f"skipped: no {profile_path()}; GEARSHIFT_SHARED names the folder that has mainstream in it"
        )
        return 0
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    text = report(measured(asked), asked)
    print(text)
    if asked.out:
        asked.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
