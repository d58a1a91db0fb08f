"""Is an arm lost, and is the speed of one arm learnt? Ours, which measures, beside the same policy told the truth.

*Stalls*: ten minutes in which batches stall. *Slow arm*: the cheapest takes three times as long throughout. *Spells*:
each arm does so for the middle third of two minutes; figures are of that third, and of what comes RECOVERY_S after it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import sqrt
from statistics import mean, stdev
from typing import Any, TypedDict

from benchmarks import tables
from benchmarks.policies import cells
from benchmarks.policies.cells import Cell, Machine, Sources
from benchmarks.policies.policies_run import OURS
from server.policy.registry import policy
from server.simulator.engine import simulate, tickets_at
from server.simulator.noise import Spell
from server.simulator.outcomes import Outcomes
from server.simulator.setup import Follow

LONG_S, SPELL_S = 600.0, 120.0
RECOVERY_S = 10.0
"""A spell's effects are to be over so long after it."""
USED, LOST_S = 0.01, 300.0
"""An arm is lost that has no answer in the last LOST_S where the oracle gives it this share of its own."""
LONG_LOADS = ((0.75, 1), (1.5, 1), (2.0, 1), (0.75, 4), (2.0, 4))
SHORT_OF = 0.5
"""Points of awg below the oracle that are marked."""


class Beside(TypedDict):
    """Ours and the oracle in one cell under one seed; awg and attainment 0 to 1, `after` only of spells."""

    table: str
    cell: str
    arm: str
    attainment: float
    awg: float
    told_awg: float
    after: float
    told_after: float
    lost: list[str]


@dataclass(frozen=True, slots=True)
class OracleJob:
    """One cell under one seed, by both ways of following. `arm`: the one that has a spell."""

    table: str
    cell: Cell
    seed: int
    duration_s: float
    sources: Sources
    arm: str = ""

    @property
    def weight(self) -> float:
        """What it costs, roughly."""
        return self.cell.utilisation * self.cell.workers * self.duration_s

    @property
    def spell(self) -> Spell:
        """The middle third."""
        third_s = self.duration_s / 3.0
        return Spell(third_s, 2.0 * third_s, cells.SLOWER, self.arm)


def jobs(
    profiles: Sequence[str], seeds: Sequence[int], sources: Sources, quicker: float
) -> list[OracleJob]:
    """All of them; `quicker` divides the durations, and leaves the heaviest loads out where it is more than 1."""
    found: list[OracleJob] = []
    loads = LONG_LOADS if quicker == 1.0 else LONG_LOADS[:1]
    traces_there = cells.there(cells.ROUGH_TRACES, sources)
    for profile in profiles:
        long = [Cell(profile, t, *load, cells.STALLS) for t in traces_there for load in loads]
        slow = [Cell(profile, "poisson", u, 1, cells.SLOW_ARM) for u in cells.SLOW_ARM_LOADS]
        arms = [arm.arm.variant for arm in cells.machine(profile, sources).arms]
        steady = Cell(profile, "poisson", 1.0, 1)
        for seed in seeds:
            found += [OracleJob("stalls", c, seed, LONG_S / quicker, sources) for c in long]
            spell_s = SPELL_S / quicker
            found += [OracleJob("slow arm", c, seed, spell_s, sources) for c in slow]
            found += [OracleJob("spells", steady, seed, spell_s, sources, arm) for arm in arms]
    return found


def beside(job: OracleJob) -> Beside:
    """Run it."""
    ours, told = _run(job, "measured"), _run(job, "told")
    spell, end_s = job.spell, job.duration_s
    within = (spell.from_s, spell.until_s) if job.arm else (0.0, end_s)
    after = (min(spell.until_s + RECOVERY_S, 0.9 * end_s), end_s)
    return {
        "table": job.table,
        "cell": str(job.cell),
        "arm": job.arm,
        "attainment": ours.attainment(*within),
        "awg": ours.awg(*within),
        "told_awg": told.awg(*within),
        "after": ours.awg(*after),
        "told_after": told.awg(*after),
        "lost": lost(_lately(ours, end_s), _lately(told, end_s)),
    }


def lost(ours: Mapping[str, int], told: Mapping[str, int]) -> list[str]:
    """The variants that the oracle answers with and ours never, of answers by variant."""
    least = USED * sum(told.values())
    return sorted(name for name, count in told.items() if count >= least and not ours.get(name))


def _run(job: OracleJob, follow: Follow) -> Outcomes:
    machine: Machine = cells.machine(job.cell.profile, job.sources)
    times = cells.offered(job.cell, job.seed, job.duration_s, job.sources)
    terms = replace(cells.setup(job.cell, job.seed, job.sources), follow=follow)
    if job.arm:
        terms = replace(terms, spell=job.spell)
    tickets = tickets_at(times.tolist(), machine.slo_s)
    return simulate(machine.arms, policy(OURS), tickets, terms)


def _lately(outcomes: Outcomes, end_s: float) -> Mapping[str, int]:
    answers, from_s = outcomes.answers, end_s - min(LOST_S, 0.5 * end_s)
    recent = (answers.arrival_s >= from_s).tolist()
    return Counter(name for name, is_in in zip(answers.variant, recent, strict=True) if is_in)


_TITLES = {
    "stalls": "Stalls (1 % of batches 5x, 0.5 % 4x) for minutes, beside the policy told the truth",
    "slow arm": "The cheapest arm three times as slow, one worker",
    "spells": "One arm three times as slow for a while",
}
_HEAD = ["cell", "arm", "in time", "awg", "oracle's awg", "ours less oracle", "lost arms"]
_AFTER = [f"{RECOVERY_S:g} s after it: awg", "oracle's awg", "ours less oracle"]


def markdown(rows: Sequence[Beside]) -> list[str]:
    """The tables' lines: means over seeds, differences +- their standard error."""
    lines: list[str] = []
    for table in dict.fromkeys(row["table"] for row in rows):
        of_table = [row for row in rows if row["table"] == table]
        after = table == "spells"
        lines += [f"## {_TITLES[table]}\n"]
        body = [_line(list(group), after) for group in _by_cell(of_table)]
        head = [*_HEAD, *(_AFTER if after else [])]
        lines += [*tables.lines(head, body), ""]
    return lines


def _by_cell(rows: Iterable[Beside]) -> list[list[Beside]]:
    groups: dict[tuple[str, str], list[Beside]] = {}
    for row in rows:
        groups.setdefault((row["cell"], row["arm"]), []).append(row)
    return list(groups.values())


def _line(rows: Sequence[Beside], after: bool) -> list[str]:
    def points(key: str) -> float:
        values: list[Any] = [row[key] for row in rows]
        return 100.0 * mean(values)

    gone = Counter(name for row in rows for name in row["lost"])
    line = [rows[0]["cell"], rows[0]["arm"], *(f"{points(k):.2f}" for k in ("attainment", "awg"))]
    line += [f"{points('told_awg'):.2f}", _less([r["awg"] - r["told_awg"] for r in rows])]
    line += [", ".join(f"{name} ({count} of {len(rows)})" for name, count in gone.items())]
    if after:
        line += [f"{points(key):.2f}" for key in ("after", "told_after")]
        line += [_less([r["after"] - r["told_after"] for r in rows])]
    return line


def _less(differences: Sequence[float]) -> str:
    """Mean and standard error in points; bold where it is more than SHORT_OF below."""
    points = 100.0 * mean(differences)
    error = 100.0 * stdev(differences) / sqrt(len(differences)) if len(differences) > 1 else 0.0
    text = f"{points:+.2f} +- {error:.2f}"
    return f"**{text}**" if points < -SHORT_OF else text
