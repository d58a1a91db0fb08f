"""Run one arm over growing batches until its latency is known well enough.

Clock, backend and gate are passed in. The gate is entered around every single run, so that a live
server can let its own batches go between two of them.
"""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.backends import AUTO, open_backend
from models.backends.base import Backend, Tensors
from models.catalog import DATATYPES, Family, TensorSpec, Variant
from profiler.profiles import Point, Profile, repaired

GRID = (1, 2, 4, 8, 16, 32)
"""Batch sizes worth a look; those above the family's largest are left out, that one is added."""

_SEED = 20240229
"""Of the random pictures: every arm and every start sees the same ones."""


@dataclass(frozen=True, slots=True)
class Effort:
    """When to stop: `budget_s` is the arm's whole time, `precision` the median's, relative.

    No batch is tried that is larger than the first whose median is over `bound_s`.
    """

    budget_s: float = 2.0
    bound_s: float = math.inf
    grid: tuple[int, ...] = GRID
    warmup_runs: int = 2
    least_runs: int = 5
    most_runs: int = 400
    precision: float = 0.02


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


def load(
    folder: Path, family: Family, variant: Variant, threads: int, backend: str = AUTO
) -> Loaded:
    """Open `variant` and time it. Raises BackendError."""
    before = resident_bytes()
    start_s = time.perf_counter()
    opened = open_backend(folder, family, variant, threads=threads, backend=backend)
    load_s = time.perf_counter() - start_s
    return Loaded(opened, threads, load_s=load_s, rss_before_bytes=before)


def measure_arm(
    loaded: Loaded,
    family: Family,
    variant: Variant,
    effort: Effort = Effort(),
    instruments: Instruments = Instruments(),
) -> Profile:
    """The arm's whole profile, repaired. Raises BackendError if a run fails."""
    points = list(measure_points(loaded.backend, family, effort, instruments))
    return profile_of(loaded, variant, points)


def profile_of(loaded: Loaded, variant: Variant, points: Sequence[Point]) -> Profile:
    """A profile from points measured one by one; memory is the process's growth since the load."""
    grown = resident_bytes() - loaded.rss_before_bytes if loaded.rss_before_bytes else 0
    return Profile(
        variant=variant.name,
        precision=variant.precision,
        backend=loaded.backend.name,
        device=loaded.device,
        threads=loaded.threads,
        points=repaired(points),
        load_s=loaded.load_s,
        memory_bytes=max(0, grown),
    )


def measure_points(
    backend: Backend, family: Family, effort: Effort, instruments: Instruments
) -> Iterator[Point]:
    """One point per batch size, smallest first, until a batch is too slow or the grid ends."""
    grid = batches(effort.grid, family.max_batch)
    largest = sample_inputs(family, grid[-1])
    stop_s = instruments.clock() + effort.budget_s
    for done, batch in enumerate(grid):
        share_s = (stop_s - instruments.clock()) / (len(grid) - done)
        rows = {name: array[:batch] for name, array in largest.items()}
        point = _summarised(batch, _timed(backend, rows, share_s, effort, instruments))
        yield point
        if point.p50_s > effort.bound_s:
            return


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


def _timed(
    backend: Backend, rows: Tensors, share_s: float, effort: Effort, instruments: Instruments
) -> list[float]:
    """Latencies (s) of one batch size: until the median is known, or the share of time is spent."""
    took_s: list[float] = []
    begun_s = instruments.clock()
    for run in range(effort.warmup_runs + effort.most_runs):
        with instruments.gate():
            start_s = instruments.clock()
            backend.run(rows)
            end_s = instruments.clock()
        if run >= effort.warmup_runs:
            took_s.append(end_s - start_s)
        if len(took_s) >= effort.least_runs and (
            end_s - begun_s >= share_s or _is_settled(took_s, effort.precision)
        ):
            break
    return took_s


def _is_settled(took_s: Sequence[float], precision: float) -> bool:
    """Whether the median's 95 % interval is within `precision` of it; looks at n = 2^k only."""
    n = len(took_s)
    if n < 32 or n & (n - 1):
        return False
    ordered = sorted(took_s)
    reach = math.ceil(0.98 * math.sqrt(n))
    low, high = ordered[n // 2 - reach], ordered[n // 2 + reach - 1]
    return high - low <= 2 * precision * ordered[n // 2]


def _summarised(batch: int, took_s: Sequence[float]) -> Point:
    p50, p95, p99 = np.quantile(took_s, (0.5, 0.95, 0.99), method="higher")
    mean = float(np.mean(took_s))
    return Point(batch, len(took_s), float(p50), float(p95), float(p99), mean)


def _random(rng: np.random.Generator, spec: TensorSpec, rows: int) -> NDArray[np.generic]:
    dtype, shape = np.dtype(DATATYPES[spec.datatype]), (rows, *spec.shape[1:])
    if dtype.kind == "f":
        return rng.random(shape, dtype=np.float32).astype(dtype)
    top = 2 if dtype.kind == "b" else 128 if dtype == np.int8 else 256
    return rng.integers(0, top, shape, dtype=np.uint16).astype(dtype)
