"""Is the quick profile right? Against an exhaustive one of the same minutes: its figures, and decisions from it.

Quick profiles and slices of the exhaustive one (every batch size of the grid up to the bound, in turns) alternate, so
that both see the same machine. Then the simulator serves traces at the exhaustive profile's costs, to a policy that
knows either profile. Writes `profile_quick.{json,md}`.

    python benchmarks/profiling/profile_quick.py --quick 3 --exhaustive-s 300
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.policies import traces
from models.artifacts import default_repository, load_family
from models.backends import ways
from models.backends.base import Backend, BackendError, Slot, Tensors
from models.catalog import Family, Variant
from profiler.hardware.cpu_waits import waited_s
from profiler.hardware.fingerprint import detect
from profiler.measuring import measure
from profiler.measuring.sampling import GRID, VISIT_S, Terms
from profiler.measuring.summary import points_of
from profiler.profiles import Profile
from server.policy.decision import Arm, ArmProfile
from server.policy.registry import policy
from server.simulator.engine import simulate, tickets_at
from server.simulator.setup import Follow, Setup

TRACES = ("azure_conv", "twitter", "gamma")
LOADS = (0.3, 0.6, 0.9, 1.2)
FOLLOW: tuple[Follow, ...] = ("measured", "profile")
"""Of what the fastest arm carries in its best batch, on one worker."""

Runs = dict[tuple[str, int], list[float]]


@dataclass(frozen=True, slots=True)
class Opened:
    """An arm that stays open for the whole benchmark."""

    label: str
    variant: Variant
    loaded: measure.Loaded


def main() -> int:
    """Measure, simulate, write; 2 where there is nothing to measure."""
    given = _parser().parse_args()
    folder = (given.repository or default_repository()) / given.family
    family = load_family(folder)
    arms = _open(folder, family, given.threads)
    if not arms:
        print("profile_quick: no arm of the family can be loaded", file=sys.stderr)
        return 2
    runs: Runs = {}
    quick: list[dict[str, Profile]] = []
    for number in range(given.quick):
        print(f"quick profile {number + 1} of {given.quick}", file=sys.stderr)
        quick.append(_quick(family, arms, given.budget_s))
        _exhaust(family, arms, runs, given.exhaustive_s / given.quick)
    exact = _exact(arms, runs)
    found = {
        "hardware": detect().described(),
        "budget_s": given.budget_s,
        "exhaustive_s": given.exhaustive_s,
        "exhaustive_runs": int(np.median([p.n for e in exact.values() for p in e.points])),
        "errors": [_errors(exact, profiles) for profiles in quick],
        "decisions": _decisions(family, exact, quick, given.duration_s),
    }
    given.out.mkdir(parents=True, exist_ok=True)
    (given.out / "profile_quick.json").write_text(json.dumps(found, indent=1) + "\n")
    (given.out / "profile_quick.md").write_text(_markdown(found))
    print(_markdown(found))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="quick profiles against an exhaustive one")
    add = parser.add_argument
    add("--family", default="imagenet")
    add("--repository", type=Path, default=None)
    add("--threads", type=int, default=1)
    add("--quick", type=int, default=3, help="how many quick profiles")
    add("--budget-s", type=float, default=20.0, help="of each, loading included")
    add("--exhaustive-s", type=float, default=300.0, help="for the exhaustive profile, in all")
    add("--duration-s", type=float, default=60.0, help="of each simulated trace")
    add("--out", type=Path, default=Path(__file__).parents[1] / "results")
    return parser


def _open(folder: Path, family: Family, threads: int) -> list[Opened]:
    found: list[Opened] = []
    for variant in family.variants:
        for way in ways(variant):
            try:
                loaded = measure.load(folder, family, variant, Slot(threads), way)
            except BackendError as error:
                print(f"left out: {error}", file=sys.stderr)
                continue
            found.append(Opened(measure.Bench(family).add(loaded, variant), variant, loaded))
    return found


def _quick(family: Family, arms: Sequence[Opened], budget_s: float) -> dict[str, Profile]:
    """As `gearshift profile` measures; what loading cost is taken off, though the arms are open already."""
    terms = Terms(bound_s=measure.BOUND_SLOS * family.slo.latency_s)
    instruments = measure.Instruments(waited_s=waited_s)
    bench = measure.Bench(family, measure.Effort(budget_s, terms), instruments)
    for arm in arms:
        bench.add(arm.loaded, arm.variant)
        bench.charge(arm.loaded.load_s)
    for _ in bench.steps():
        pass
    return {p.label: p for p in bench.profiles()}


def _exhaust(family: Family, arms: Sequence[Opened], runs: Runs, for_s: float) -> None:
    """A few runs of every arm and batch size in turn, for so long; sizes past the bound are left out once seen."""
    bound_s = measure.BOUND_SLOS * family.slo.latency_s
    inputs = measure.sample_inputs(family, family.max_batch)
    stop_s = time.perf_counter() + for_s
    first = True
    while first or time.perf_counter() < stop_s:
        for arm in arms:
            for batch in (b for b in GRID if b <= family.max_batch):
                rows = {name: array[:batch] for name, array in inputs.items()}
                runs.setdefault((arm.label, batch), []).extend(_turn(arm.loaded.backend, rows))
                if np.median(runs[arm.label, batch]) > bound_s:
                    break
        first = False


def _turn(backend: Backend, rows: Tensors) -> list[float]:
    """Run times (s) one after the other, for VISIT_S at least; the first, after another arm's, finds cold caches."""
    took_s: list[float] = []
    begun_s = time.perf_counter()
    while len(took_s) < 3 or time.perf_counter() - begun_s < VISIT_S:
        start_s = time.perf_counter()
        backend.run(rows)
        took_s.append(time.perf_counter() - start_s)
    return took_s[1:]


def _exact(arms: Sequence[Opened], runs: Runs) -> dict[str, Profile]:
    """Each arm's profile from all its runs as they were, no speed taken out."""
    found: dict[str, Profile] = {}
    for arm in arms:
        took_s = {b: times for (label, b), times in runs.items() if label == arm.label}
        loaded = arm.loaded
        found[arm.label] = Profile(
            arm.variant.name,
            arm.variant.precision,
            loaded.backend.name,
            loaded.device,
            loaded.threads,
            points_of(took_s),
        )
    return found


def _errors(exact: dict[str, Profile], quick: dict[str, Profile]) -> dict[str, Any]:
    """|quick / exhaustive - 1| over all arms and batch sizes that both reach: median, 90 % and largest."""
    pairs = [
        (e.latency_s(b, q), quick[label].latency_s(b, q), q)
        for label, e in exact.items()
        for b in (p.batch for p in e.points)
        if label in quick and b <= quick[label].largest_measured
        for q in (0.5, 0.95)
    ]
    found: dict[str, Any] = {"points": len(pairs) // 2}
    for quantile, name in ((0.5, "p50"), (0.95, "p95")):
        off = [abs(seen / true - 1) for true, seen, q in pairs if q == quantile]
        shares = np.quantile(off, (0.5, 0.9, 1.0)).tolist()
        found[name] = dict(zip(("median", "p90", "max"), shares, strict=True))
    return found


def _decisions(
    family: Family,
    exact: dict[str, Profile],
    quick: Sequence[dict[str, Profile]],
    duration_s: float,
) -> list[dict[str, Any]]:
    """awg where the policy knows the exhaustive profile, and each quick one, at the exhaustive one's costs."""
    accuracies = {v.name: v.accuracy.value for v in family.variants}
    truth = [_arm(p, accuracies, family.max_batch) for p in exact.values()]
    slo_s = family.slo.latency_s
    fastest_rps = max(
        b / a.mean_s[b] for a in truth for b in range(1, a.max_batch + 1) if a.upper_s[b] <= slo_s
    )
    rows: list[dict[str, Any]] = []
    for name in TRACES:
        if name not in traces.available(traces.default_folder()):
            print(f"{name} is left out: no recording in {traces.default_folder()}", file=sys.stderr)
            continue
        for load in LOADS:
            folder = traces.default_folder()
            times = traces.make(
                name, load * fastest_rps, duration_s, traces.REPORTING_SEEDS[0], folder
            )
            tickets = tickets_at(times.tolist(), slo_s)
            for follow in FOLLOW:
                setup = Setup(slo_s, follow=follow)

                def awg(profiles: dict[str, Profile]) -> float:
                    known = [_arm(p, accuracies, p.largest_measured) for p in profiles.values()]
                    return simulate(known, policy("adaptive"), tickets, setup, truth).awg()  # noqa: B023 - called here

                found = {"trace": name, "load": load, "follow": follow, "exhaustive": awg(exact)}
                rows.append({**found, "quick": [awg(profiles) for profiles in quick]})
    return rows


def _arm(profile: Profile, accuracies: dict[str, float], most: int) -> ArmProfile:
    arm = Arm(profile.variant, profile.backend, profile.device)
    accuracy = accuracies[profile.variant]
    return ArmProfile(arm, accuracy, profile.mean_table(most), profile.upper_table(most))


def _markdown(found: dict[str, Any]) -> str:
    facts = "; ".join(f"{k} {v}" for k, v in found["hardware"].items())
    rows = [
        "# Quick profiles against an exhaustive one\n",
        f"{facts}.\n",
        f"Quick: {found['budget_s']:g} s; exhaustive: {found['exhaustive_s']:g} s in slices between them, "
        f"{found['exhaustive_runs']} runs of every point.\n",
        "| quick profile | points | p50 off by: median | 90 % | most | p95 off by: median | 90 % | most |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, e in enumerate(found["errors"], 1):
        cells = [f"{e[q][k]:.1%}" for q in ("p50", "p95") for k in ("median", "p90", "max")]
        rows.append(f"| {number} | {e['points']} | {' | '.join(cells)} |")
    rows += [
        "",
        "Decisions at the exhaustive profile's costs. `measured`: following the speed of the batches, as a server",
        "does; `profile`: never learning.",
        "",
        "| trace | load | follows | awg, exhaustive | awg, quick | worst difference |",
        "| --- " * 6 + "|",
    ]
    for d in found["decisions"]:
        worst = max((q - d["exhaustive"] for q in d["quick"]), key=abs)
        quick = ", ".join(f"{q:.2%}" for q in d["quick"])
        rows.append(
            f"| {d['trace']} | {d['load']:g} | {d['follow']} | {d['exhaustive']:.2%} | {quick} "
            f"| {100 * worst:+.2f} points |"
        )
    return "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.exit(main())
