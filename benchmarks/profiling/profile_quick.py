"""Is the quick profile right? Against an exhaustive one of the same minutes: its figures, and decisions from it.

Quick profiles and slices of the exhaustive one (every batch size of the grid up to the bound, in turns) alternate, so
that both see the same machine. Then the simulator serves traces at the exhaustive profile's costs, to a policy that
knows either profile. With `--neighbour` other processes burn all cores half of the time meanwhile. Writes
`profile_quick.{json,md}`.

    python benchmarks/profiling/profile_quick.py --quick 5 --exhaustive-s 150 --duration-s 20 --neighbour
"""

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
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
from profiler.measuring.dominance import PAYS_NOT, noted
from profiler.measuring.measurements import OWN_LEAST
from profiler.measuring.sampling import VISIT_S
from profiler.measuring.summary import Pool, points_of
from profiler.measuring.terms import GRID, Terms
from profiler.profiles import Profile
from server.policy.decision import Arm, ArmProfile
from server.policy.registry import policy
from server.simulator.engine import simulate, tickets_at
from server.simulator.setup import Follow, Setup

TRACES = ("azure_conv", "twitter", "gamma")
LOADS = (0.3, 0.6, 0.9, 1.2)
"""Of what the fastest arm carries in its best batch, on one worker."""
FOLLOW: tuple[Follow, ...] = ("measured", "profile")
SPREAD_AT = (1, 4)
"""Batch sizes at which the quick profiles are compared with each other."""
SPELLS_S = (0.2, 2.0)
"""A neighbour burns, and rests, for so long at least and at most."""


@dataclass(frozen=True, slots=True)
class OneRun:
    """How long it took (s) without waiting for a CPU, and how many times as long with that."""

    own_s: float
    slower: float


Runs = dict[tuple[str, int], list[OneRun]]


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
    busy: list[float] = []
    with _neighbours(os.cpu_count() or 1 if given.neighbour else 0):
        for number in range(given.quick):
            print(f"quick profile {number + 1} of {given.quick}", file=sys.stderr)
            quick.append(_quick(family, arms, given.budget_s))
            busy.append(os.getloadavg()[0])
            _exhaust(family, arms, runs, given.exhaustive_s / given.quick)
    exact = _exact(arms, runs)
    found = {
        "hardware": detect().described(),
        "budget_s": given.budget_s,
        "exhaustive_s": given.exhaustive_s,
        "exhaustive_runs": int(np.median([p.n for e in exact.values() for p in e.points])),
        "neighbour": given.neighbour,
        "load_average": float(np.median(busy)),
        "spread": _spread(_paying(family, exact), quick),
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
    add("--neighbour", action="store_true", help="others burn all cores half of the time")
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
        bench.charge_loading(arm.loaded.load_s)
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
                if np.median([run.own_s for run in runs[arm.label, batch]]) > bound_s:
                    break
        first = False


def _turn(backend: Backend, rows: Tensors) -> list[OneRun]:
    """Runs one after the other, for VISIT_S at least; the first, after another arm's, finds cold caches."""
    found: list[OneRun] = []
    begun_s = time.perf_counter()
    while len(found) < 3 or time.perf_counter() - begun_s < VISIT_S:
        waited, start_s = waited_s(), time.perf_counter()
        backend.run(rows)
        took_s = time.perf_counter() - start_s
        own_s = max(took_s - (waited_s() - waited), OWN_LEAST * took_s)
        found.append(OneRun(own_s, took_s / own_s))
    return found[1:]


def _exact(arms: Sequence[Opened], runs: Runs) -> dict[str, Profile]:
    """Each arm's profile from all its runs, no speed taken out; all wait for a CPU as runs of their length did."""
    slower = sorted((run.own_s, run.slower) for some in runs.values() for run in some)
    pool = Pool(slower=tuple(slower))
    found: dict[str, Profile] = {}
    for arm in arms:
        took_s = {b: [r.own_s for r in some] for (n, b), some in runs.items() if n == arm.label}
        loaded = arm.loaded
        found[arm.label] = Profile(
            arm.variant.name,
            arm.variant.precision,
            loaded.backend.name,
            loaded.device,
            loaded.threads,
            points_of(took_s, pool),
        )
    return found


@contextmanager
def _neighbours(count: int) -> Generator[None]:
    """So many processes that burn a core each, half of the time, all in the same spells."""
    burning = [multiprocessing.Process(target=_burn, daemon=True) for _ in range(count)]
    for process in burning:
        process.start()
    try:
        yield
    finally:
        for process in burning:
            process.terminate()


def _burn() -> None:
    rng = np.random.default_rng(1)
    while True:
        end_s = time.perf_counter() + rng.uniform(*SPELLS_S)
        while time.perf_counter() < end_s:
            pass
        time.sleep(rng.uniform(*SPELLS_S))


def _paying(family: Family, exact: Mapping[str, Profile]) -> list[str]:
    """The arms that by the exhaustive profile no other beats at every batch size."""
    accuracies = {v.name: v.accuracy.value for v in family.variants}
    found = noted(list(exact.values()), {n: accuracies[p.variant] for n, p in exact.items()})
    return [profile.label for profile in found if PAYS_NOT not in profile.note]


def _spread(paying: Sequence[str], quick: Sequence[Mapping[str, Profile]]) -> list[dict[str, Any]]:
    """How far quick profiles are from each other: largest over smallest p50 by arm; middle, 90 % and most of arms."""
    rows: list[dict[str, Any]] = []
    for batch in SPREAD_AT:
        for who, labels in (("all", list(quick[0])), ("paying", paying)):
            seen = [[p[label].latency_s(batch) for p in quick if label in p] for label in labels]
            ratios = [max(values) / min(values) for values in seen if values]
            shares = np.quantile(ratios, (0.5, 0.9, 1.0)).tolist()
            found = dict(zip(("median", "p90", "max"), shares, strict=True))
            rows.append({"batch": batch, "arms": who, "count": len(ratios), **found})
    return rows


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


def _beside(found: dict[str, Any]) -> str:
    beside = f" Load average after a quick profile: {found['load_average']:.1f}."
    if found["neighbour"]:
        beside += " Neighbours burned all cores half of the time."
    return beside


def _markdown(found: dict[str, Any]) -> str:
    facts = "; ".join(f"{k} {v}" for k, v in found["hardware"].items())
    rows = [
        "# Quick profiles against an exhaustive one\n",
        f"{facts}.\n",
        f"Quick: {found['budget_s']:g} s; exhaustive: {found['exhaustive_s']:g} s in slices between them, "
        f"{found['exhaustive_runs']} runs of every point.{_beside(found)}\n",
        "| quick profile | points | p50 off by: median | 90 % | most | p95 off by: median | 90 % | most |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, e in enumerate(found["errors"], 1):
        cells = [f"{e[q][k]:.1%}" for q in ("p50", "p95") for k in ("median", "p90", "max")]
        rows.append(f"| {number} | {e['points']} | {' | '.join(cells)} |")
    rows += [
        "",
        "Quick profiles against each other: an arm's largest p50 over its smallest, and the same of the arms that pay",
        "(by the exhaustive profile).",
        "",
        "| batch | arms | p50, largest over smallest: median | 90 % of arms | most |",
        "| --- " * 5 + "|",
    ]
    for s in found["spread"]:
        shares = " | ".join(f"{s[k]:.2f}" for k in ("median", "p90", "max"))
        rows.append(f"| {s['batch']} | {s['arms']} ({s['count']}) | {shares} |")
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
