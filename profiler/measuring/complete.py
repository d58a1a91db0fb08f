"""Measure what a stored profile lacks: open every missing arm, run the plan, keep the result."""

import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from models.backends import Way, no_way, ways
from models.backends.base import BackendError, Slot
from models.catalog import Family, Variant
from profiler import store
from profiler.hardware.cpu_waits import waited_s
from profiler.hardware.fingerprint import Hardware
from profiler.hardware.sensors import available_bytes
from profiler.measuring import measure, rulings
from profiler.measuring.conformance import Conformance
from profiler.measuring.dominance import noted
from profiler.measuring.room import MESSAGE_MIB, Room
from profiler.measuring.rows import SampleRows, sample_rows
from profiler.measuring.terms import Terms
from profiler.profiles import MachineProfile, label_of


@dataclass(frozen=True, slots=True)
class Job:
    """What to measure and where it lies. `backends` are the runtimes to use; empty: all that are installed."""

    folder: Path
    family: Family
    threads: int
    budget_s: float
    backends: tuple[str, ...] = ()
    message_mib: int = MESSAGE_MIB

    def arms(self) -> list[tuple[Variant, Way]]:
        """Every way of running every variant here."""
        any_size = self.family.any_size
        return [
            (variant, way)
            for variant in self.family.variants
            for way in ways(variant, self.backends, any_size=any_size)
        ]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The machine's profiles, all arms that cannot run with the reason, and how long measuring took (s)."""

    machine: MachineProfile
    failed: Mapping[str, str] = field(default_factory=dict[str, str])
    spent_s: float = 0.0


def complete(
    job: Job, machine: MachineProfile | None, hardware: Hardware, profiles: Path
) -> Outcome:
    """`machine` with every arm it lacks measured, stored in the folder `profiles`. Raises BackendError if none can run.

    No batch is run that could not be asked for, or for which there is no memory (`room.py`). The budget is for
    the whole family: where some arms are known, the others get their share of it.
    """
    start_s = time.perf_counter()
    created = datetime.now(UTC).isoformat(timespec="seconds")
    machine = machine or MachineProfile(hardware.fingerprint(), job.family.name, created)
    arms, room = job.arms(), Room(job.message_mib, available_bytes())
    unrun = _unrun(job, arms)
    if not arms:
        raise BackendError(next(iter(unrun.values())))
    job = replace(job, family=room.fitted(job.family))
    rows = sample_rows(job.folder, job.family, room.held(job.family))
    machine, stored = _vetted_anew(job, machine, arms, rows), machine
    if machine != stored:
        store.save(profiles, job.family, machine, hardware)
    missing = [(v, w) for v, w in arms if not _is_stored(machine, v, w, job.threads, rows)]
    if not missing:
        return Outcome(machine, unrun)
    bench = _bench(job, len(missing) / len(arms), rows)
    with ExitStack() as opened, _bar(bench.left_s) as bar:
        _open(job, missing, bench, bar, opened)
        _run(bench, bar)
    for profile in bench.profiles():
        machine = machine.merged(profile)
    if not machine.profiles:
        raise BackendError(next(iter(bench.failed.values())))
    machine = _noted(job.family, machine)
    store.save(profiles, job.family, machine, hardware)
    return Outcome(machine, {**unrun, **bench.failed}, time.perf_counter() - start_s)


def _unrun(job: Job, arms: Sequence[tuple[Variant, Way]]) -> dict[str, str]:
    """The variants that nothing here runs, and why."""
    runnable = {v.name for v, _ in arms}
    left = [v for v in job.family.variants if v.name not in runnable]
    return {v.name: no_way(v, job.backends) for v in left}


def _vetted_anew(
    job: Job, machine: MachineProfile, arms: Sequence[tuple[Variant, Way]], rows: SampleRows
) -> MachineProfile:
    """With the verdicts of today's rules; without the profiles that these leave nothing of."""
    conformance = Conformance(job.folder, job.family, rows)
    for variant, way in arms:
        found = machine.find(variant.name, way.backend, way.device, job.threads)
        if found is None or not rows.covers(found.vetted.rows) or rulings.holds(found.vetted):
            continue
        machine = machine.without(found)
        with (
            suppress(BackendError),
            ExitStack() as opened,
        ):  # what it fails of is told as it is measured
            slot = Slot(job.threads, graphs=found.graphs)
            loaded = measure.load(job.folder, job.family, variant, slot, way)
            opened.callback(loaded.backend.close)
            vetted = conformance.vet(loaded.backend, variant, way)
            if (anew := rulings.under(found, vetted)) is not None:
                machine = machine.merged(anew)
    return machine


def _is_stored(
    machine: MachineProfile, variant: Variant, way: Way, threads: int, rows: SampleRows
) -> bool:
    found = machine.find(variant.name, way.backend, way.device, threads)
    return found is not None and rows.covers(found.vetted.rows)


def _bench(job: Job, share: float, rows: SampleRows) -> measure.Bench:
    terms = Terms(bound_s=measure.BOUND_SLOS * job.family.slo.latency_s)
    effort = measure.Effort(job.budget_s * share, terms)
    instruments = measure.Instruments(waited_s=waited_s)
    return measure.Bench(job.family, effort, instruments, rows)


def _open(
    job: Job,
    arms: Sequence[tuple[Variant, Way]],
    bench: measure.Bench,
    bar: "tqdm[NoReturn]",
    opened: ExitStack,
) -> None:
    """Load every arm; each stays open: memory that an earlier one gave back would hide what the next needs."""
    conformance = Conformance(job.folder, job.family, bench.rows)
    for variant, way in arms:
        name = label_of(variant.name, way.backend, way.device)
        _show(bar, bench.left_s, f"loading {name}")
        try:
            loaded = measure.load(job.folder, job.family, variant, Slot(job.threads), way)
            bench.charge_loading(loaded.load_s)
            opened.callback(loaded.backend.close)
            bench.add(loaded, variant, conformance.vet(loaded.backend, variant, way))
        except BackendError as error:
            bench.failed[name] = str(error)
    conformance.forget()


def _run(bench: measure.Bench, bar: "tqdm[NoReturn]") -> None:
    for step in bench.steps():
        _show(bar, bench.left_s, f"{step.arm} x {step.batch}")
    _show(bar, 0.0, "done")


def _bar(budget_s: float) -> "tqdm[NoReturn]":
    layout = "{percentage:3.0f}%|{bar:24}| {desc}"
    return tqdm(total=round(budget_s, 2), bar_format=layout, file=sys.stderr)


def _show(bar: "tqdm[NoReturn]", left_s: float, doing: str) -> None:
    left_s = max(0.0, left_s)
    bar.n = max(bar.n, round((bar.total or 0.0) - left_s, 2))
    bar.set_description_str(f"{left_s:.0f} s left, {doing}", refresh=False)
    bar.update(0)


def _noted(family: Family, machine: MachineProfile) -> MachineProfile:
    """Arms of the same threads are compared with each other, old ones with new ones."""
    accuracies = {v.name: v.accuracy.value for v in family.variants}
    for threads in sorted({p.threads for p in machine.profiles}):
        same = [p for p in machine.profiles if p.threads == threads]
        for profile in noted(same, {p.label: accuracies[p.variant] for p in same}):
            machine = machine.merged(profile)
    return machine
