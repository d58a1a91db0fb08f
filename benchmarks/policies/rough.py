"""Rough machines and clumps: is the SLO's percentile kept where a fixed variant keeps it, and are arms lost for good?

Four tables, in the simulator. *Promises*: machines that stall or scatter, ours beside every fixed variant. *Stalls*:
ours beside the same policy told the truth. *One arm*: the cheapest three times as slow, one worker. *Clumps*: arrivals
at one instant, ours beside the best fixed variant. Loads are over what the most accurate variant carries.

    OPENBLAS_NUM_THREADS=1 python benchmarks/policies/rough.py [--duration-s 60] [--seeds 11 12]
"""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.policies import cells, traces
from benchmarks.policies.policies_run import on_all_cores
from server.policy.registry import policy
from server.simulator import arrivals
from server.simulator.arrivals import Times
from server.simulator.engine import simulate, tickets_at
from server.simulator.noise import Noise, Spell, Stall
from server.simulator.setup import Follow, Setup

RESULTS = Path(__file__).resolve().parents[1] / "results" / "rough.md"
ROUGH = {
    "quiet": Noise(),
    "stalls": Noise(stalls=(Stall(0.01, 5.0), Stall(0.005, 4.0))),
    "scatter": Noise(cv=0.15, outlier_share=0.02, outlier_factor=2.5),
    "outliers": Noise(cv=0.1, outlier_share=0.01, outlier_factor=3.0),
}
PERCENTILE, SHORT = 0.99, 0.002
"""A promise is broken where attainment is more than SHORT below it."""
SHARPNESS = 0.0005
"""An effective accuracy is less than another where it is so much below."""
FRAMES_PER_S = 30.0
"""Of the cameras that send in step."""


@dataclass(frozen=True, slots=True)
class Run:
    """One policy on one cell. `slow`: the variant that is three times as slow throughout."""

    profile: str
    trace: str
    load: float
    workers: int
    policy: str = "adaptive"
    noise: str = "quiet"
    follow: Follow = "measured"
    slow: str = ""
    seeds: tuple[int, ...] = ()
    duration_s: float = 60.0

    def __str__(self) -> str:
        """As the tables name its cell."""
        return f"{self.profile} {self.trace} {self.load:g}x W{self.workers} {self.noise}"


Figures = tuple[float, float, float]
"""awg, attainment and effective accuracy: means over seeds, in 0 to 1."""


def ran(run: Run) -> Figures:
    """What it delivered."""
    machine = cells.machine(run.profile, cells.default_sources())
    found: list[Figures] = []
    for seed in run.seeds:
        setup = Setup(
            machine.slo_s,
            run.workers,
            noise=ROUGH[run.noise],
            spell=Spell(0.0, 1e9, 3.0, run.slow) if run.slow else Spell(),
            seed=seed,
            follow=run.follow,
        )
        rate_rps = run.load * run.workers * machine.largest_rps
        times = offered(run.trace, rate_rps, run.duration_s, seed)
        out = simulate(
            machine.arms, policy(run.policy), tickets_at(times.tolist(), machine.slo_s), setup
        )
        found.append((out.awg(), out.attainment(), out.effective_accuracy()))
    awg, attainment, accuracy = (mean(column) for column in zip(*found, strict=True))
    return awg, attainment, accuracy


def offered(trace: str, rate_rps: float, duration_s: float, seed: int) -> Times:
    """Arrival times (s): Poisson, cameras in step, or a trace by name."""
    if trace == "poisson":
        return arrivals.poisson(rate_rps, duration_s, seed)
    if trace == "cameras":
        frames_s = np.arange(0.0, duration_s, 1.0 / FRAMES_PER_S)
        cameras = max(1, round(rate_rps / FRAMES_PER_S))
        jitter_s = np.random.default_rng(seed).uniform(0.0, 2e-4, (len(frames_s), cameras))
        return np.sort((frames_s[:, None] + jitter_s).ravel())
    return traces.make(trace, rate_rps, duration_s, seed, traces.default_folder())


def variants(profile: str) -> list[str]:
    """Of a profile, the cheapest first."""
    arms = cells.machine(profile, cells.default_sources()).arms
    return [arm.arm.variant for arm in sorted(arms, key=lambda arm: arm.mean_s[1])]


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--duration-s", type=float, default=60.0)
    parser.add_argument("--seeds", type=int, nargs="+", default=[11, 12])
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args(argv)
    if not cells.default_sources().gpu_profile.is_file():
        print(
            f"{cells.default_sources().gpu_profile} is not there: nothing to run", file=sys.stderr
        )
        return 2
    chosen = Chosen(tuple(options.seeds), options.duration_s)
    results = _results(chosen, options.processes)
    text = "\n\n".join(
        [
            f"`python benchmarks/policies/rough.py --duration-s {options.duration_s:g} --seeds "
            + f"{' '.join(map(str, options.seeds))}`. Per cent; attainment and effective accuracy, or awg.",
            _promises(chosen.promised, results),
            _beside(
                "Stalls (1 % of batches 5x, 0.5 % 4x), beside the policy told the truth",
                chosen.stalled,
                results,
            ),
            _beside("The cheapest arm three times as slow, one worker", chosen.slow, results),
            _clumps(chosen.clumped, results),
        ]
    )
    RESULTS.write_text(text + "\n", encoding="utf-8")
    print(text)
    return 0


class Chosen:
    """The cells of each table."""

    def __init__(self, seeds: tuple[int, ...], duration_s: float) -> None:
        def run(profile: str, trace: str, load: float, workers: int, noise: str = "quiet") -> Run:
            return Run(
                profile, trace, load, workers, noise=noise, seeds=seeds, duration_s=duration_s
            )

        loads = [(0.5, 1), (1.0, 1), (1.5, 1), (2.0, 1), (1.5, 4)]
        self.promised = [
            run(profile, trace, *load, noise)
            for noise in ("stalls", "scatter", "outliers")
            for profile in ("gpu", "cpu")
            for trace in ("poisson", "azure_conv")
            for load in loads
        ]
        self.stalled = [
            run("gpu", trace, load, workers, "stalls")
            for trace in ("poisson", "azure_conv")
            for load in (0.75, 1.5, 2.0)
            for workers in (1, 4)
        ]
        cheapest = variants("gpu")[0]
        self.slow = [replace(run("gpu", "poisson", load, 1), slow=cheapest) for load in (0.8, 1.2)]
        self.clumped = [
            run("gpu", trace, load, workers)
            for trace in ("mooncake_conversation", "cameras")
            for load in (0.5, 1.0, 1.5, 2.0)
            for workers in (1, 4)
        ]


def _results(chosen: Chosen, processes: int) -> dict[Run, Figures]:
    beside = [*chosen.stalled, *chosen.slow]
    wanted = {*chosen.promised, *beside, *chosen.clumped, *map(_told, beside)}
    wanted |= {one for run in (*chosen.promised, *chosen.clumped) for one in _fixed(run)}
    jobs = sorted(wanted, key=lambda run: -run.load * run.workers)
    return dict(zip(jobs, on_all_cores(ran, jobs, "rough", processes), strict=True))


def _told(run: Run) -> Run:
    return replace(run, follow="told")


def _fixed(run: Run) -> list[Run]:
    return [replace(run, policy=f"static:{name}") for name in variants(run.profile)]


def _promises(runs: Sequence[Run], results: dict[Run, Figures]) -> str:
    rows: list[tuple[str, ...]] = []
    broken = less = kept = 0
    for run in runs:
        _, attainment, accuracy = results[run]
        keeping = [f for f in (results[one] for one in _fixed(run)) if f[1] >= PERCENTILE]
        said, best = "none keeps it", ""
        if keeping:
            kept += 1
            most = max(keeping, key=lambda f: f[2])
            best = f"{most[1]:.1%}, {most[2]:.2%}"
            said = "kept"
            if attainment < PERCENTILE - SHORT:
                broken, said = broken + 1, "**broken**"
            elif accuracy < most[2] - SHARPNESS:
                less, said = less + 1, "less accurate"
        rows.append((str(run), f"{attainment:.1%}, {accuracy:.2%}", best, said))
    title = f"## Promises: {broken} broken and {less} less accurate, of {kept} that a fixed variant keeps"
    return title + "\n\n" + table(("cell", "ours", "best fixed that keeps it", ""), rows)


def _beside(title: str, runs: Sequence[Run], results: dict[Run, Figures]) -> str:
    rows = [
        (
            str(run),
            f"{results[run][1]:.1%}",
            f"{results[run][0]:.2%}",
            f"{results[_told(run)][0]:.2%}",
        )
        for run in runs
    ]
    return f"## {title}\n\n" + table(("cell", "in time", "awg", "told the truth: awg"), rows)


def _clumps(runs: Sequence[Run], results: dict[Run, Figures]) -> str:
    rows = [
        (
            str(run),
            f"{results[run][1]:.1%}",
            f"{results[run][0]:.2%}",
            f"{max(results[one][0] for one in _fixed(run)):.2%}",
        )
        for run in runs
    ]
    return "## Clumps\n\n" + table(("cell", "in time", "awg", "best fixed: awg"), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """In Markdown."""
    return "\n".join(f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    sys.exit(main())
