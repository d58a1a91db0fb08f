"""Runs in which the hardware slows down for a while: ours following the speed it measures, against one told it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from statistics import mean
from typing import Any, TypedDict

from benchmarks import tables
from benchmarks.policies import cells
from benchmarks.policies.cells import QUIET, Cell, Sources
from benchmarks.policies.policies_run import OURS
from server.policy.registry import policy
from server.simulator.engine import simulate, tickets_at
from server.simulator.noise import Spell
from server.simulator.setup import Follow, Setup

FACTORS = (1.0, 1.3, 2.0)
"""1 is the control: what the same window brings without a slow-down."""
TRACES, UTILISATIONS = ("azure_conv",), (0.75,)
FIRST_S = 0.5
"""How long after the slow-down's start counts as its beginning."""
REFERENCES = 3
"""So many of the cell's best references are run beside ours."""

_OURS: tuple[Follow, ...] = ("measured", "told")
_THEIRS: tuple[Follow, ...] = ("measured", "profile")


class Window(TypedDict):
    """What one policy delivered of the arrivals in the slow window, over seeds."""

    cell: str
    factor: float
    policy: str
    follow: Follow
    first: float
    attainment: float
    awg: float
    awg_spread: float


@dataclass(frozen=True, slots=True)
class SlowJob:
    """One policy on one cell, slowed by `factor` in the middle third, under every seed."""

    cell: Cell
    factor: float
    policy: str
    follow: Follow
    seeds: tuple[int, ...]
    duration_s: float
    sources: Sources

    @property
    def spell(self) -> Spell:
        """When and how much."""
        return Spell(*window(self.duration_s), self.factor)


def window(duration_s: float) -> tuple[float, float]:
    """From when until when (s) all is slow: 40 to 80 of 120 s."""
    return duration_s / 3.0, 2.0 * duration_s / 3.0


def jobs(
    best: Mapping[Cell, Sequence[str]], seeds: Sequence[int], duration_s: float, sources: Sources
) -> list[SlowJob]:
    """Ours under both ways of following, and each cell's best references (best first) following or not."""
    known = [c for c in best if c.trace in TRACES and c.utilisation in UTILISATIONS]
    chosen = [c for c in known if c.condition == QUIET]
    found: list[SlowJob] = []
    for cell, factor in product(chosen, FACTORS):
        ways = _THEIRS if factor != 1.0 else _THEIRS[:1]
        follow_by_name = {OURS: _OURS, **dict.fromkeys(best[cell][:REFERENCES], ways)}
        found += [
            SlowJob(cell, factor, name, follow, tuple(seeds), duration_s, sources)
            for name, ways in follow_by_name.items()
            for follow in ways
        ]
    return found


def windowed(job: SlowJob) -> Window:
    """Run the job: means over its seeds."""
    ran = [_seed(job, seed) for seed in job.seeds]
    awg = [run[2] for run in ran]
    return {
        "cell": str(job.cell),
        "factor": job.factor,
        "policy": job.policy,
        "follow": job.follow,
        "first": mean(run[0] for run in ran),
        "attainment": mean(run[1] for run in ran),
        "awg": mean(awg),
        "awg_spread": max(awg) - min(awg),
    }


def _seed(job: SlowJob, seed: int) -> tuple[float, float, float]:
    """(attainment of the first FIRST_S, attainment, awg) within the window."""
    machine = cells.machine(job.cell.profile, job.sources)
    times = cells.offered(job.cell, seed, job.duration_s, job.sources)
    spell = job.spell
    setup = Setup(
        machine.slo_s, workers=job.cell.workers, spell=spell, seed=seed, follow=job.follow
    )
    tickets = tickets_at(times.tolist(), machine.slo_s)
    outcomes = simulate(machine.arms, policy(job.policy), tickets, setup)
    span = (spell.from_s, spell.until_s)
    first = outcomes.attainment(spell.from_s, spell.from_s + FIRST_S)
    return first, outcomes.attainment(*span), outcomes.awg(*span)


def markdown(slow: Mapping[str, Any]) -> list[str]:
    """The table's lines; `slow` is what the JSON holds."""
    groups: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for window in slow["rows"]:
        groups.setdefault((window["cell"], window["factor"]), []).append(window)
    if not groups:
        return []
    rows = [[cell, f"{factor:g}x", *_slowed(found)] for (cell, factor), found in groups.items()]
    head = [
        "cell",
        "slower",
        "first 0.5 s",
        "attainment",
        "awg",
        "oracle's awg",
        "ours less oracle",
        "best reference, corrected",
        "as published",
    ]
    return [
        "## Hardware slows mid-run\n",
        f"Every batch takes longer from {slow['from_s']:g} to {slow['until_s']:g} s; figures are of what arrives then. "
        "The oracle is ours, told the speed at once. References: awg (attainment) with the speed measured as ours has "
        "it, and with the profile never corrected. 1x: the same window without a slow-down.\n",
        *tables.lines(head, rows),
        "",
    ]


def _slowed(windows: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line: ours, the oracle, the best reference under either way of following."""
    mine = {w["follow"]: w for w in windows if w["policy"] == OURS}
    ours, oracle = mine["measured"], mine["told"]
    figures = [f"{100 * ours[key]:.2f}" for key in ("first", "attainment", "awg")]
    figures += [f"{100 * oracle['awg']:.2f}", f"{100 * (ours['awg'] - oracle['awg']):+.2f}"]
    for follow in ("measured", "profile"):
        others = [w for w in windows if w["policy"] != OURS and w["follow"] == follow]
        best = max(others, key=lambda w: w["awg"], default=None)
        figures.append(_named(best) if best else "")
    return figures


def _named(window: Mapping[str, Any]) -> str:
    return f"{window['policy']} {100 * window['awg']:.2f} ({100 * window['attainment']:.2f})"
