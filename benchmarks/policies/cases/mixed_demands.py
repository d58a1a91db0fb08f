"""Mixed demands and classes: ours beside every reference by weighted awg, and what a light class's haste costs others.

Weighted awg is the sum of weight x accuracy in time over the sum of weights. Three mixes: *accuracy*, 30 % of requests
need an accuracy that only the best arms have; *weights*, halves of weight 4 and 0.25; *slos*, halves of which one
allows a third of the other's latency. *Haste*: as *weights*, with the light class's SLO cut to a third. Loads are over
what the most accurate variant carries.

    OPENBLAS_NUM_THREADS=1 python benchmarks/policies/cases/mixed_demands.py [--duration-s 20] [--seeds 11 12]
"""

import argparse
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from statistics import mean, pstdev

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import tables
from benchmarks.policies import cells, traces
from benchmarks.policies.cells import Machine
from benchmarks.policies.policies_run import on_all_cores
from server.policy.registry import names, policy
from server.simulator.classes import SloClass, tickets_of
from server.simulator.engine import simulate
from server.simulator.outcomes import Outcomes
from server.simulator.setup import Setup

RESULTS = Path(__file__).resolve().parents[2] / "results" / "mixed_demands.md"
OURS = "adaptive"
DEMANDING = 0.3
"""Share of the requests that need much accuracy, in `accuracy`."""
LEAST_ACCURACY = {"gpu": 0.835, "cpu": 0.77}
HEAVY, LIGHT = 4.0, 0.25
HASTE = 1.0 / 3.0
"""The SLO of those in haste over the others'."""
MIXES = ("accuracy", "weights", "slos")
WITHIN = 0.003
"""Ours may be so much below a reference."""
MADE_OF_OURS = ("adaptive", "static", "largest")
"""Names that begin so are our own policy, not references."""


@dataclass(frozen=True, slots=True)
class Run:
    """One policy on one cell."""

    mix: str
    profile: str
    trace: str
    load: float
    workers: int
    policy: str = OURS
    seeds: tuple[int, ...] = ()
    duration_s: float = 20.0

    def __str__(self) -> str:
        """As the tables name its cell."""
        return f"{self.mix} {self.profile} {self.trace} {self.load:g}x W{self.workers}"


@dataclass(frozen=True, slots=True)
class Fared:
    """Per seed: weighted awg; and each class's attainment, by name."""

    awg: tuple[float, ...]
    attainment: tuple[dict[str, float], ...]

    def in_time(self, name: str) -> float:
        """A class's attainment, on average."""
        return mean(one[name] for one in self.attainment)


def classes(mix: str, machine: Machine) -> tuple[SloClass, ...]:
    """What is asked for in a mix. Raises KeyError for a mix that is not known."""
    slo_s, hasty_s = machine.slo_s, HASTE * machine.slo_s
    return {
        "accuracy": (
            SloClass("demanding", DEMANDING, slo_s, LEAST_ACCURACY[machine.name]),
            SloClass("plain", 1.0 - DEMANDING, slo_s),
        ),
        "weights": (
            SloClass("heavy", 0.5, slo_s, weight=HEAVY),
            SloClass("light", 0.5, slo_s, weight=LIGHT),
        ),
        "haste": (
            SloClass("heavy", 0.5, slo_s, weight=HEAVY),
            SloClass("light", 0.5, hasty_s, weight=LIGHT),
        ),
        "slos": (SloClass("patient", 0.5, slo_s), SloClass("hasty", 0.5, hasty_s)),
    }[mix]


def ran(run: Run) -> Fared:
    """What it delivered. Ours learns its speeds from batches, references are told them."""
    machine = cells.machine(run.profile, cells.default_sources())
    mixed = classes(run.mix, machine)
    weights = {one.name: one.weight for one in mixed}
    found = [_served(run, machine, seed) for seed in run.seeds]
    told = [outcomes.report()["classes"] for outcomes in found]
    return Fared(
        tuple(weighted_awg(one, weights) for one in told),
        tuple({name: one[name]["attainment"] for name in weights} for one in told),
    )


def weighted_awg(told: dict[str, dict[str, float]], weights: dict[str, float]) -> float:
    """Of a report's classes."""
    offered = sum(weights[name] * one["offered"] for name, one in told.items())
    return sum(weights[name] * one["offered"] * one["awg"] for name, one in told.items()) / offered


def _served(run: Run, machine: Machine, seed: int) -> Outcomes:
    mixed = classes(run.mix, machine)
    weights = {one.name: one.weight for one in mixed}
    rate_rps = run.load * run.workers * machine.largest_rps
    times = traces.make(run.trace, rate_rps, run.duration_s, seed, traces.default_folder())
    setup = Setup(
        machine.slo_s,
        run.workers,
        seed=seed,
        follow="measured" if run.policy == OURS else "profile",
        weights=weights if len(set(weights.values())) > 1 else {},
    )
    tickets = tickets_of(mixed, times.tolist(), seed)
    return simulate(machine.arms, policy(run.policy), tickets, setup)


def references(profile: str) -> tuple[str, ...]:
    """Every policy by name that is not ours."""
    found = names(cells.machine(profile, cells.default_sources()).arms)
    return tuple(name for name in found if not name.startswith(MADE_OF_OURS))


class Chosen:
    """The cells."""

    def __init__(self, options: argparse.Namespace) -> None:
        seeds, duration_s = tuple(options.seeds), float(options.duration_s)

        def runs(mixes: Sequence[str]) -> Iterator[Run]:
            for mix, profile, trace in product(mixes, options.profiles, options.traces):
                for load, workers in product(options.loads, options.workers):
                    yield Run(mix, profile, trace, load, workers, OURS, seeds, duration_s)

        self.compared = list(runs(options.mixes))
        self.hasty = list(runs(["haste"]))
        self.references: tuple[str, ...] = tuple(options.references)

    def beside(self, run: Run) -> list[Run]:
        """The same under the references."""
        known = references(run.profile)
        kept = [name for name in self.references if name in known] if self.references else known
        return [replace(run, policy=name) for name in kept]

    def jobs(self) -> list[Run]:
        """All, the longest first."""
        wanted = {*self.compared, *self.hasty, *map(_unhurried, self.hasty)}
        wanted |= {one for run in self.compared for one in self.beside(run)}
        return sorted(wanted, key=lambda run: -_rate(run))


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, write the tables."""
    options = _options(argv)
    if not cells.default_sources().gpu_profile.is_file():
        print(
            f"{cells.default_sources().gpu_profile} is not there: nothing to run", file=sys.stderr
        )
        return 2
    chosen = Chosen(options)
    jobs = chosen.jobs()
    results = dict(zip(jobs, on_all_cores(ran, jobs, "mixed", options.processes), strict=True))
    text = "\n\n".join((_compared(chosen, results), _hasty(chosen.hasty, results)))
    if options.write:
        RESULTS.write_text(f"{_head(options)}\n\n{text}\n", encoding="utf-8")
    print(text)
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--duration-s", type=float, default=20.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12])
    parser.add_argument("--mixes", nargs="+", default=MIXES, choices=MIXES)
    parser.add_argument("--profiles", nargs="+", default=("gpu", "cpu"))
    parser.add_argument("--traces", nargs="+", default=("poisson", "azure_conv"))
    parser.add_argument("--loads", type=float, nargs="+", default=(0.75, 1.0, 1.5, 2.0))
    parser.add_argument("--workers", type=int, nargs="+", default=(1, 2, 4))
    parser.add_argument("--references", nargs="+", default=(), help="all, where none is named")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--no-write", dest="write", action="store_false", help="print only")
    return parser.parse_args(argv)


def _head(options: argparse.Namespace) -> str:
    seeds, beside = " ".join(map(str, options.seeds)), " ".join(options.references)
    command = f"`python benchmarks/policies/cases/mixed_demands.py --duration-s {options.duration_s:g} --seeds {seeds}"
    command += f" --references {beside}`" if beside else "`"
    return f"{command}. Per cent, means over seeds and their standard deviation."


def _unhurried(run: Run) -> Run:
    return replace(run, mix="weights")


def _rate(run: Run) -> float:
    return run.load * run.workers * (6.0 if run.profile == "gpu" else 1.0)


def _compared(chosen: Chosen, results: dict[Run, Fared]) -> str:
    rows: list[tuple[str, ...]] = []
    behind: Counter[str] = Counter()
    ratios: list[float] = []
    for run in chosen.compared:
        ours = results[run]
        best = max(chosen.beside(run), key=lambda one: mean(results[one].awg))
        theirs = results[best]
        margins = [a - b for a, b in zip(ours.awg, theirs.awg, strict=True)]
        ratios.append(mean(ours.awg) / mean(theirs.awg))
        behind[run.mix] += mean(margins) < -WITHIN
        rows.append(
            (
                str(run),
                f"{mean(ours.awg):.2%}",
                " ".join(f"{name} {ours.in_time(name):.1%}" for name in ours.attainment[0]),
                f"{mean(theirs.awg):.2%} {best.policy}",
                " ".join(f"{name} {theirs.in_time(name):.1%}" for name in theirs.attainment[0]),
                f"{100 * mean(margins):+.2f} ± {100 * pstdev(margins):.2f}"
                + (" **behind**" if mean(margins) < -WITHIN else ""),
            )
        )
    said = ", ".join(f"{count} of {mix}" for mix, count in behind.items())
    title = (
        f"## Beside the best reference: {behind.total()} of {len(rows)} cells behind by more than "
        + f"{100 * WITHIN:g} ({said}); {mean(ratios):.2%} of it on average"
    )
    head = ("cell", "ours: weighted awg", "in time", "best reference", "in time", "ahead by")
    return "\n".join((f"{title}\n", *tables.lines(head, rows)))


def _hasty(runs: Sequence[Run], results: dict[Run, Fared]) -> str:
    rows: list[tuple[str, ...]] = []
    for run in runs:
        before, after = results[_unhurried(run)], results[run]
        cost = before.in_time("heavy") - after.in_time("heavy")
        rows.append(
            (
                str(run),
                *(
                    f"{one.in_time(name):.1%}"
                    for one in (before, after)
                    for name in one.attainment[0]
                ),
                f"{100 * cost:.2f}" + (" **more than 1**" if cost > 0.01 else ""),
            )
        )
    head = ("cell", "heavy", "light", "heavy, light in haste", "light in haste", "costs heavy")
    return "\n".join(("## The light class in haste\n", *tables.lines(head, rows)))


if __name__ == "__main__":
    sys.exit(main())
