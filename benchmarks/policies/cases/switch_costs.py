"""What switches of arms cost the policy: ours, which learns it batch by batch, beside the same not knowing of it.

And beside the best fixed variant, which never switches. In the simulator, for `--switch-ms` of each batch on another
arm than its worker's last. Loads are over what the most accurate variant carries.

    OPENBLAS_NUM_THREADS=1 python benchmarks/policies/cases/switch_costs.py [--duration-s 60] [--seeds 11 12]
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from benchmarks import tables
from benchmarks.policies import cells, traces
from benchmarks.policies.policies_run import on_all_cores
from server.policy.decision import ArmProfile, Policy
from server.policy.dispatch.choose import adaptive
from server.policy.registry import policy
from server.simulator.engine import simulate, tickets_at
from server.simulator.setup import Setup, Switching

RESULTS = Path(__file__).resolve().parents[2] / "results" / "switch_costs.md"
LOADS = (0.5, 1.0, 1.5, 2.0)
TRACES = ("poisson", "azure_conv")
UNAWARE = "adaptive, unaware"
BEHIND = 0.003
"""So much awg the best fixed variant may be ahead."""


@dataclass(frozen=True, slots=True)
class Run:
    """One policy on one cell, where a switch costs `switch_ms`; UNAWARE is ours that is not told of it."""

    profile: str
    trace: str
    load: float
    workers: int
    switch_ms: float
    policy: str = "adaptive"
    seeds: tuple[int, ...] = ()
    duration_s: float = 60.0

    def __str__(self) -> str:
        """As the table names its cell."""
        return f"{self.profile} {self.trace} {self.load:g}x W{self.workers} {self.switch_ms:g} ms"


@dataclass(frozen=True, slots=True)
class Figures:
    """Means over seeds: awg and attainment in 0 to 1, switches a second and worker."""

    awg: float
    attainment: float
    switches: float

    def __str__(self) -> str:
        """As the table shows it."""
        return f"{self.awg:.2%}, {self.attainment:.1%}, {self.switches:.1f}/s"


def ran(run: Run) -> Figures:
    """What it delivered."""
    machine = cells.machine(run.profile, cells.default_sources())
    found: list[Figures] = []
    for seed in run.seeds:
        switching = Switching(run.switch_ms / 1e3)
        setup = Setup(machine.slo_s, run.workers, seed=seed, switching=switching)
        rate_rps = run.load * run.workers * machine.largest_rps
        times_s = traces.make(
            run.trace, rate_rps, run.duration_s, seed, traces.default_folder()
        ).tolist()
        factory = _unaware if run.policy == UNAWARE else policy(run.policy)
        out = simulate(machine.arms, factory, tickets_at(times_s, machine.slo_s), setup)
        per_s = out.switches / run.duration_s / run.workers
        found.append(Figures(out.awg(), out.attainment(), per_s))
    return Figures(
        mean(f.awg for f in found),
        mean(f.attainment for f in found),
        mean(f.switches for f in found),
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, write the table."""
    options = _options(argv)
    if not cells.default_sources().gpu_profile.is_file():
        text = f"{cells.default_sources().gpu_profile} is not there: nothing to run"
        print(text, file=sys.stderr)
        return 2
    seeds, duration_s = tuple(options.seeds), options.duration_s
    ours = [
        Run(profile, trace, load, workers, switch_ms, seeds=seeds, duration_s=duration_s)
        for profile in ("gpu", "cpu")
        for trace in TRACES
        for load in LOADS
        for workers in (1, 4)
        for switch_ms in options.switch_ms
    ]
    wanted = {one for run in ours for one in (run, replace(run, policy=UNAWARE), *_fixed(run))}
    jobs = sorted(wanted, key=lambda run: -run.load * run.workers)
    results = dict(
        zip(jobs, on_all_cores(ran, jobs, "switch_costs", options.processes), strict=True)
    )
    given = " ".join(map(str, seeds))
    costs = " ".join(f"{ms:g}" for ms in options.switch_ms)
    command = f"switch_costs.py --duration-s {duration_s:g} --seeds {given} --switch-ms {costs}"
    text = _text(f"`python benchmarks/policies/cases/{command}`", ours, results)
    RESULTS.write_text(text, encoding="utf-8")
    print(text)
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--duration-s", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12])
    parser.add_argument("--switch-ms", type=float, nargs="+", default=[0.0, 0.5, 1.0, 3.0])
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    return parser.parse_args(argv)


def _unaware(arms: Sequence[ArmProfile]) -> Policy:
    return adaptive([replace(arm, switch_s=0.0) for arm in arms])


def _fixed(run: Run) -> list[Run]:
    """It never switches: one run stands for all costs."""
    return [replace(run, policy=f"static:{name}", switch_ms=0.0) for name in _variants(run.profile)]


def _variants(profile: str) -> list[str]:
    arms = cells.machine(profile, cells.default_sources()).arms
    return [arm.arm.variant for arm in arms]


def _text(command: str, ours: Sequence[Run], results: dict[Run, Figures]) -> str:
    rows: list[Sequence[str]] = []
    behind = more = 0
    for run in ours:
        best = max((results[one] for one in _fixed(run)), key=lambda f: f.awg)
        found, unaware = results[run], results[replace(run, policy=UNAWARE)]
        behind += found.awg < best.awg - BEHIND
        more += found.switches > unaware.switches
        ahead = 100.0 * (found.awg - best.awg)
        theirs = f"{best.awg:.2%}, {best.attainment:.1%}"
        rows.append((str(run), str(found), str(unaware), theirs, f"{ahead:+.2f}"))
    said = [
        f"# Switches that cost something\n\n{command}. Awg, attainment and switches a second and worker.",
        f"Of {len(ours)} cells the best fixed variant is ahead by more than {100 * BEHIND:.1f} in {behind}; "
        f"in {more} there are more switches than without knowing of their cost.\n",
    ]
    head = ("cell", "ours", "ours, not knowing", "best fixed", "ahead")
    return "\n".join([*said, *tables.lines(head, rows)]) + "\n"


if __name__ == "__main__":
    sys.exit(main())
