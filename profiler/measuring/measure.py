"""Open arms and run them in turns, as `sampling.py` plans, until their latencies are known or the time is spent.

Clock, backends and gate are passed in. The gate is entered around every single run, so that a live
server can let its own batches go between two of them.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backends import Way, open_backend
from models.backends.base import Backend, BackendError, Slot, Tensors, graphs_of
from models.backends.memory import give_back
from models.catalog import Family, Variant
from profiler.measuring.measurements import Measurements
from profiler.measuring.rows import RANGES, SampleRows, made
from profiler.measuring.terms import GRID, Done, Next, Terms
from profiler.profiles import UNVETTED, Profile, Vetted

__all__ = [
    "GRID",
    "Bench",
    "Effort",
    "Instruments",
    "Loaded",
    "Step",
    "load",
    "resident_bytes",
    "sample_inputs",
]

BOUND_SLOS = 1.5
"""No batch is measured that is foreseen to take longer than so many SLOs: it could not be answered in time."""

LEAST_MEASURED = 0.5
"""Of the budget for measuring, however long loading takes: on a busy machine nothing would be left of it."""

COLD_OF = 3
"""In a turn of so many runs or more the first, which finds the caches full of another arm's, is no sample."""

_SEED = 20240229
"""Of the random pictures: every arm and every start sees the same ones."""


@dataclass(frozen=True, slots=True)
class Effort:
    """When to stop: `budget_s` is the time for all arms together; `terms` what must be known, and how well."""

    budget_s: float = 20.0
    terms: Terms = field(default_factory=Terms)


@dataclass(frozen=True, slots=True)
class Instruments:
    """What the measuring stands on: a monotonic clock (s), the gate around each run, and how long this thread has
    waited for a CPU so far (s)."""

    clock: Callable[[], float] = time.perf_counter
    gate: Callable[[], AbstractContextManager[object]] = nullcontext
    waited_s: Callable[[], float] = lambda: 0.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """An open backend, how it was opened and what that cost."""

    backend: Backend
    threads: int
    device: str = "cpu"
    load_s: float = 0.0
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """A turn that ended: which arm, how many rows, how long each run took (s); why it failed, or nothing.

    `usable`: the arm has its batch 1 and its large batch by now: `Bench.profile` can be served with.
    """

    arm: str
    batch: int
    took_s: tuple[float, ...]
    usable: bool
    failed: str = ""


class Bench:
    """Arms of one family that are measured together. The time runs from the first turn; loading is the caller's.

    An arm is called by its label (`Profile.label`: variant@backend). `failed` tells which cannot run at all, and why.
    """

    def __init__(
        self,
        family: Family,
        effort: Effort = Effort(),
        instruments: Instruments = Instruments(),
        rows: SampleRows | None = None,
    ) -> None:
        self.failed: dict[str, str] = {}
        self._family = family
        self._effort = effort
        self._instruments = instruments
        self._backends: dict[str, Backend] = {}
        self._measured = Measurements(effort.terms, family.most_units, sized=bool(family.sizes))
        self.rows = rows or SampleRows(family)
        self._spent_s = 0.0

    def add(self, loaded: Loaded, variant: Variant, vetted: Vetted = UNVETTED) -> str:
        """Take an open arm in; returns its label. The backend stays the caller's: nothing here closes it.

        What was `vetted` is kept in its profile, and decides whether it runs more than one row at a time.
        """
        blank = Profile(
            variant=variant.name,
            precision=variant.precision,
            backend=loaded.backend.name,
            device=loaded.device,
            threads=loaded.threads,
            points=(),
            load_s=loaded.load_s,
            memory_bytes=loaded.memory_bytes,
            vetted=vetted,
            graphs=graphs_of(loaded.backend),
        )
        self._backends[blank.label] = loaded.backend
        self._measured.add(blank, variant.accuracy.value)
        return blank.label

    def first_steps(self, arm: str) -> Iterator[Step]:
        """Only what makes this one arm usable, at once: a start that must serve does not wait for the other arms."""
        while self._measured.is_running(arm):
            step = self._step(lambda: self._measured.first(arm))
            if step is None:
                return
            yield step

    def steps(self) -> Iterator[Step]:
        """Turns of all arms until the plan is done; more arms may be added between two of them."""
        while (step := self._step(self.plan)) is not None:
            yield step

    def limit(self, bound_s: float) -> None:
        """From now on run no batch that is foreseen to take longer (s): where requests come, they wait for its end."""
        self._measured.limit(bound_s)

    def plan(self) -> Next | Done:
        """What `steps` would do next, or why nothing."""
        return self._measured.plan(self.left_s)

    @property
    def left_s(self) -> float:
        """What is left of the budget (s); below zero where the last turn took longer than foreseen."""
        return self._effort.budget_s - self._spent_s

    def charge(self, spent_s: float) -> None:
        """Take so much (s) off the budget: what loading cost, say."""
        self._spent_s += spent_s

    def charge_loading(self, spent_s: float) -> None:
        """The same for what loading cost, as long as LEAST_MEASURED of the budget is left."""
        least_s = LEAST_MEASURED * self._effort.budget_s
        self.charge(min(spent_s, max(0.0, self.left_s - least_s)))

    def profile(self, arm: str) -> Profile | None:
        """What is known of this arm now, in the machine's middle speed of the session; None before its first turn."""
        return self._measured.profile(arm)

    def profiles(self) -> tuple[Profile, ...]:
        """All arms' that have one, each with a note where it does not pay here, in the order they were added."""
        return self._measured.profiles()

    def _step(self, plan: Callable[[], Next | Done]) -> Step | None:
        """The turn that `plan` names, after the reference's where that is due; planning counts as time spent too."""
        start_s = self._instruments.clock()
        turn = plan()
        if isinstance(turn, Done):
            return None
        reference = self._measured.reference()
        if reference is not None and (step := self._take(reference, start_s)).failed:
            return step
        return self._take(turn, start_s if reference is None else self._instruments.clock())

    def _take(self, turn: Next, start_s: float) -> Step:
        """One turn, written down; it began with what came before it."""
        runs, failed = self._runs(turn)
        took_s = tuple(run.took_s for run in runs)
        spent_s = self._instruments.clock() - start_s
        self._spent_s += spent_s
        if runs:
            waited_s = tuple(run.waited_s for run in runs)
            self._measured.record(turn, start_s, took_s, spent_s, waited_s)
        if failed:
            self._measured.end_below(turn, failed)
            if turn.batch == 1:
                self.failed[turn.name] = failed
        return Step(turn.name, turn.batch, took_s, self._measured.is_usable(turn.name), failed)

    def _runs(self, turn: Next) -> tuple[tuple["_Run", ...], str]:
        """The runs, and why they ended early. The first run ever at a batch size is no sample."""
        rows = self.rows.work(turn.batch)
        runs: list[_Run] = []
        try:
            if self._measured.is_new(turn):
                self._run(turn.name, rows)
            while len(runs) < turn.runs:
                runs.append(self._run(turn.name, rows))
        except (BackendError, MemoryError) as error:
            return (), f"{error or type(error).__name__}"
        return tuple(runs[1:] if len(runs) >= COLD_OF else runs), ""

    def _run(self, arm: str, rows: Tensors) -> "_Run":
        instruments = self._instruments
        with instruments.gate():
            waited_s = instruments.waited_s()
            start_s = instruments.clock()
            self._backends[arm].run(rows)
            took_s = instruments.clock() - start_s
            return _Run(took_s, instruments.waited_s() - waited_s)


@dataclass(frozen=True, slots=True)
class _Run:
    """How long it took (s), and how much of that its thread waited for a CPU."""

    took_s: float
    waited_s: float


def load(
    folder: Path, family: Family, variant: Variant, slot: Slot, way: Way | None = None
) -> Loaded:
    """Open `variant` and time it; the slot's device is the way's. Raises BackendError, also for want of memory."""
    give_back()  # what others let go is not to be what this one takes
    before = resident_bytes()
    start_s = time.perf_counter()
    try:
        opened = open_backend(
            folder,
            family,
            variant,
            threads=slot.threads,
            way=way,
            instances=slot.instances,
            graphs=slot.graphs,
            keeps=slot.keeps,
        )
    except MemoryError as error:
        raise BackendError(
            f"{variant.name} does not fit into memory; free some, or leave it out"
        ) from error
    load_s = time.perf_counter() - start_s
    device = way.device if way else "cpu"
    give_back()
    return Loaded(opened, slot.threads, device, load_s, max(0, resident_bytes() - before))


def sample_inputs(family: Family, rows: int) -> dict[str, NDArray[np.generic]]:
    """Random rows for every input: [0, 1) for floats, up to 255 for integers."""
    rng = np.random.default_rng(_SEED)
    return {spec.name: made(rng, spec, rows, RANGES[0]) for spec in family.typical.inputs}


def resident_bytes() -> int:
    """Memory this process holds in RAM; 0 where the system does not say."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0
