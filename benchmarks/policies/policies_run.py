"""Runs of the policy benchmark: every (cell, seed) under every policy, on all cores, each result kept on disk.

A run that is broken off goes on where it stopped: results lie in a folder named after what they depend on.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypedDict, TypeVar, cast

from tqdm import tqdm

from benchmarks.policies import cells, traces
from benchmarks.policies.cells import Cell, Sources
from server.policy.registry import policy
from server.simulator.arrivals import Times
from server.simulator.bound import bound_awg
from server.simulator.engine import simulate, tickets_at
from server.simulator.setup import Setup

T = TypeVar("T")
R = TypeVar("R")

OURS = "adaptive"
EXCERPT_S, EXCERPT_EVERY_S = 4.0, 24.0
"""A screening run serves so many seconds (of one worker) out of so many, joined: a sample from all over the trace."""


class Figures(TypedDict):
    """What one policy delivered."""

    awg: float
    attainment: float
    accuracy: float
    late: int


class Ran(TypedDict):
    """One cell under one seed; `bound` is None for a screening run, `code` tells which policies' code made what."""

    offered: int
    bound: float | None
    policies: dict[str, Figures]
    code: dict[str, str]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where results are kept, which code they must be of, and whether older references will do."""

    folder: Path
    code: str
    keep_references: bool = False

    def holds(self, known: Ran, name: str) -> bool:
        """Whether what is kept for this policy can be used."""
        kept = self.keep_references and name != OURS
        return name in known["policies"] and (kept or known["code"][name] == self.code)


@dataclass(frozen=True, slots=True)
class Job:
    """A piece of work for one core. `bounded`: the clairvoyant bound is wanted, where it is no excerpt."""

    cell: Cell
    seed: int
    duration_s: float
    policies: tuple[str, ...]
    sources: Sources
    shelf: Shelf
    excerpt: bool = False
    bounded: bool = True

    @property
    def path(self) -> Path:
        """Where its result is kept."""
        kind = "excerpt" if self.excerpt else "whole"
        words = str(self.cell).replace(" ", "-")
        return self.shelf.folder / f"{words}-seed{self.seed}-{self.duration_s:g}s-{kind}.json"

    @property
    def weight(self) -> float:
        """What it costs, roughly: long jobs go first, so that no core is left with one at the end."""
        size = self.cell.utilisation * self.cell.workers * self.duration_s * len(self.policies)
        return size * (6.0 if self.cell.profile == "gpu" else 1.0) / (4.0 if self.excerpt else 1.0)


def shelf(base: Path, sources: Sources, keep_references: bool) -> Shelf:
    """A folder for the present simulator, traces and profiles, and the present policies' code."""
    world = [*(traces.ROOT / "server/simulator").glob("*.py"), Path(traces.__file__)]
    tables = [Path(__file__), Path(cells.__file__), cells.CPU_PROFILE, sources.gpu_profile]
    policies = (traces.ROOT / "server/policy").rglob("*.py")
    return Shelf(base / _digest([*world, *tables]), _digest(policies), keep_references)


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        digest.update(path.read_bytes() if path.is_file() else b"missing")
    return digest.hexdigest()[:12]


def ran(job: Job) -> Ran:
    """The job's result; only the policies not kept from before are run."""
    known: Ran = {"offered": 0, "bound": None, "policies": {}, "code": {}}
    if job.path.is_file():
        known = cast(Ran, json.loads(job.path.read_text()))
    missing = [name for name in job.policies if not job.shelf.holds(known, name)]
    if missing or (known["bound"] is None and _wants_bound(job)):
        known = _run(job, missing, known)
        _keep(job.path, known)
    return known


def _wants_bound(job: Job) -> bool:
    return job.bounded and not job.excerpt


def _run(job: Job, names: Sequence[str], known: Ran) -> Ran:
    machine = cells.machine(job.cell.profile, job.sources)
    times = cells.offered(job.cell, job.seed, job.duration_s, job.sources)
    if job.excerpt:
        times = traces.excerpt(times, job.cell.run_s(EXCERPT_S), EXCERPT_EVERY_S)
    bound = known["bound"]
    if bound is None and _wants_bound(job):
        bound = bound_awg(machine.arms, times, machine.slo_s, job.cell.workers)
    setup = cells.setup(job.cell, job.seed, job.sources)
    found = _served(machine, times, setup, names)
    code = {**known["code"], **dict.fromkeys(found, job.shelf.code)}
    policies = {**known["policies"], **found}
    return {"offered": len(times), "bound": bound, "policies": policies, "code": code}


def _served(
    machine: cells.Machine, times: Times, setup: Setup, names: Iterable[str]
) -> dict[str, Figures]:
    """The same arrivals under each policy. Ours learns its speeds from batches; the others are given the true ones."""
    tickets = tickets_at(times.tolist(), machine.slo_s)
    found: dict[str, Figures] = {}
    for name in names:
        terms = replace(setup, follow="measured" if name == OURS else "told")
        outcomes = simulate(machine.arms, policy(name), tickets, terms)
        found[name] = {
            "awg": outcomes.awg(),
            "attainment": outcomes.attainment(),
            "accuracy": outcomes.effective_accuracy(),
            "late": outcomes.late,
        }
    return found


def _keep(path: Path, result: Ran) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(f".{os.getpid()}")
    temporary.write_text(json.dumps(result))
    temporary.replace(path)


def on_all_cores(work: Callable[[T], R], jobs: Sequence[T], label: str, processes: int) -> list[R]:
    """`work` on every job, begun in the jobs' order; results in that order too."""
    results: dict[int, R] = {}
    with ProcessPoolExecutor(processes) as pool:
        waiting = {pool.submit(work, job): i for i, job in enumerate(jobs)}
        for future in tqdm(as_completed(waiting), label, len(jobs), unit="run"):
            results[waiting[future]] = future.result()
    return [results[i] for i in range(len(jobs))]
