"""Run one arm over growing batches until its latency is known well enough.

Clock, backend and gate are passed in. The gate is entered around every single run, so that a live
server can let its own batches go between two of them.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backends import Way, open_backend
from models.backends.base import Backend, Tensors
from models.catalog import DATATYPES, Family, TensorSpec, Variant
from profiler.profiles import Profile
from profiler.summary import is_settled, points_of

GRID = (1, 2, 4, 8, 16, 32)
"""Batch sizes worth a look; those above the family's largest are left out, that one is added."""

MOST_RUNS = 200
"""In one turn: tiny networks need no more."""

_SEED = 20240229
"""Of the random pictures: every arm and every start sees the same ones."""


@dataclass(frozen=True, slots=True)
class Effort:
    """When to stop: `budget_s` is the arm's whole time, `precision` the median's, relative.

    Batch sizes take turns, `rounds` times: a busy moment then hits all of them, not one. No batch is
    tried that is larger than the first which takes longer than `bound_s`.
    """

    budget_s: float = 2.0
    bound_s: float = math.inf
    grid: tuple[int, ...] = GRID
    warmup_runs: int = 2
    rounds: int = 5
    precision: float = 0.01


@dataclass(frozen=True, slots=True)
class Instruments:
    """What the measuring stands on: a monotonic clock (s) and the gate around each run."""

    clock: Callable[[], float] = time.perf_counter
    gate: Callable[[], AbstractContextManager[object]] = nullcontext


@dataclass(frozen=True, slots=True)
class Loaded:
    """An open backend, how it was opened and what that cost."""

    backend: Backend
    threads: int
    device: str = "cpu"
    load_s: float = 0.0
    rss_before_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Visit:
    """One batch size's turn: how long each run took (s)."""

    batch: int
    took_s: tuple[float, ...]


def load(
    folder: Path, family: Family, variant: Variant, threads: int, way: Way | None = None
) -> Loaded:
    """Open `variant` and time it. Raises BackendError."""
    before = resident_bytes()
    start_s = time.perf_counter()
    opened = open_backend(folder, family, variant, threads=threads, way=way)
    load_s = time.perf_counter() - start_s
    device = way.device if way else "cpu"
    return Loaded(opened, threads, device, load_s, before)


def measure_arm(
    loaded: Loaded,
    family: Family,
    variant: Variant,
    effort: Effort = Effort(),
    instruments: Instruments = Instruments(),
) -> Profile:
    """The arm's whole profile, repaired. Raises BackendError if a run fails."""
    return profile_of(loaded, variant, visits(loaded.backend, family, effort, instruments))


def profile_of(loaded: Loaded, variant: Variant, seen: Iterable[Visit]) -> Profile:
    """A profile from these visits; memory is the process's growth since before the load."""
    took_s: dict[int, list[float]] = {}
    for visit in seen:
        took_s.setdefault(visit.batch, []).extend(visit.took_s)
    grown = resident_bytes() - loaded.rss_before_bytes if loaded.rss_before_bytes else 0
    return Profile(
        variant=variant.name,
        precision=variant.precision,
        backend=loaded.backend.name,
        device=loaded.device,
        threads=loaded.threads,
        points=points_of(took_s),
        load_s=loaded.load_s,
        memory_bytes=max(0, grown),
    )


def visits(
    backend: Backend, family: Family, effort: Effort, instruments: Instruments
) -> Iterator[Visit]:
    """Run the batch sizes in turn and yield each turn as it ends; those known well enough sit out."""
    clock = instruments.clock
    grid = batches(effort.grid, family.max_batch)
    inputs = sample_inputs(family, grid[-1])
    stop_s = clock() + effort.budget_s
    took_s: dict[int, list[float]] = {}
    for turn in range(effort.rounds):
        waiting = [b for b in grid if not is_settled(took_s.get(b, ()), effort.precision)]
        for place, batch in enumerate(waiting):
            left = (effort.rounds - turn) * len(waiting) - place
            share_s = (stop_s - clock()) / left
            rows = {name: array[:batch] for name, array in inputs.items()}
            warmup = effort.warmup_runs if turn == 0 else 0
            visit = Visit(batch, _runs(backend, rows, warmup, share_s, instruments))
            yield visit
            took_s.setdefault(batch, []).extend(visit.took_s)
            if min(visit.took_s) > effort.bound_s:
                grid = tuple(b for b in grid if b <= batch)
                break


def batches(grid: Sequence[int], max_batch: int) -> tuple[int, ...]:
    """The grid up to the family's largest batch, that one included, ascending."""
    return tuple(sorted({b for b in grid if 1 <= b < max_batch} | {max_batch}))


def sample_inputs(family: Family, rows: int) -> dict[str, NDArray[np.generic]]:
    """Random rows for every input: [0, 1) for floats, up to 255 for integers."""
    rng = np.random.default_rng(_SEED)
    return {spec.name: _random(rng, spec, rows) for spec in family.inputs}


def resident_bytes() -> int:
    """Memory this process holds in RAM; 0 where the system does not say."""
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return 0
    return 0


def _runs(
    backend: Backend, rows: Tensors, warmup: int, share_s: float, instruments: Instruments
) -> tuple[float, ...]:
    """Latencies (s) of one batch size, once at least and until the share of time is spent."""
    took_s: list[float] = []
    stop_s = instruments.clock() + share_s
    while True:
        with instruments.gate():
            start_s = instruments.clock()
            backend.run(rows)
            end_s = instruments.clock()
        if warmup > 0:
            warmup -= 1
            continue
        took_s.append(end_s - start_s)
        if end_s >= stop_s or len(took_s) >= MOST_RUNS:
            return tuple(took_s)


def _random(rng: np.random.Generator, spec: TensorSpec, rows: int) -> NDArray[np.generic]:
    dtype, shape = np.dtype(DATATYPES[spec.datatype]), (rows, *spec.shape[1:])
    if dtype.kind == "f":
        return rng.random(shape, dtype=np.float32).astype(dtype)
    top = 2 if dtype.kind == "b" else 128 if dtype == np.int8 else 256
    return rng.integers(0, top, shape, dtype=np.uint16).astype(dtype)
