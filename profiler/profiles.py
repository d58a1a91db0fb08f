"""Latency by batch size: measured, made monotone, read between the points. Pure; all in seconds."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace

QUANTILES = (0.5, 0.95, 0.99)
"""The quantiles a point keeps."""


@dataclass(frozen=True, slots=True)
class Point:
    """One batch size, run `n` times: quantiles and mean of the batch latency (s).

    `low_s` to `high_s` is the median's 95 % interval; both 0 where it is not known.
    """

    batch: int
    n: int
    p50_s: float
    p95_s: float
    p99_s: float
    mean_s: float
    low_s: float = 0.0
    high_s: float = 0.0

    @property
    def interval_s(self) -> tuple[float, float]:
        """The median's 95 % interval (s); the median itself where none is known."""
        return (self.low_s, self.high_s) if self.high_s else (self.p50_s, self.p50_s)

    @property
    def half_width(self) -> float:
        """Half the interval, relative to the median."""
        low_s, high_s = self.interval_s
        return (high_s - low_s) / (2 * self.p50_s)


@dataclass(frozen=True, slots=True)
class Vetted:
    """What vetting found of an arm: the kind of rows it was tried with, why its rows must run one by one
    (empty where they need not), how far its answers are from the reference's (`models.tolerances`), and by which rules
    (`measuring.rulings`)."""

    rows: str = ""
    alone: str = ""
    difference: float = 0.0
    by: str = ""


UNVETTED = Vetted()
"""Of artefacts that are no models, and in tests."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What one arm costs on one machine. `memory_bytes` is how much the process grew as it was opened, `seconds` what
    measuring took.

    `points` ascend by batch. `note` tells why the arm does not pay here or why its curve ends early, or nothing.
    `graphs`: how its batches ran, and must run for this to hold (`models.backends.base.Slot`).
    """

    variant: str
    precision: str
    backend: str
    device: str
    threads: int
    points: tuple[Point, ...]
    load_s: float = 0.0
    memory_bytes: int = 0
    note: str = ""
    seconds: float = 0.0
    vetted: Vetted = UNVETTED
    graphs: tuple[int, ...] = ()

    @property
    def label(self) -> str:
        """The arm as people read it: variant, backend, and the device where it is not the CPU."""
        return label_of(self.variant, self.backend, self.device)

    @property
    def key(self) -> tuple[str, str, str, int]:
        """What tells one machine's profiles apart: variant, backend, device, threads."""
        return (self.variant, self.backend, self.device, self.threads)

    @property
    def largest_measured(self) -> int:
        """The largest batch that was run; tables beyond it are extrapolated."""
        return self.points[-1].batch

    def latency_s(self, batch: float, quantile: float = 0.5) -> float:
        """Batch latency (s) at the smallest kept quantile not below `quantile` (p99 at most)."""
        return _interpolate(self.points, [_at(p, quantile) for p in self.points], batch)

    def mean_table(self, max_batch: int) -> tuple[float, ...]:
        """Expected latency (s) of every batch size up to `max_batch`; index 0 is unused and 0.0."""
        return self._table([p.mean_s for p in self.points], max_batch)

    def upper_table(self, max_batch: int, quantile: float = 0.95) -> tuple[float, ...]:
        """The latency (s) most batches stay below, never under the mean; index 0 is 0.0."""
        tail = self._table([_at(p, quantile) for p in self.points], max_batch)
        return tuple(map(max, tail, self.mean_table(max_batch)))

    def half_width_at(self, batch: float) -> float:
        """Half the 95 % interval of the median over the median: of the measured sizes around `batch` the wider one."""
        right = min(bisect_left([p.batch for p in self.points], batch), len(self.points) - 1)
        left = right if self.points[right].batch <= batch else max(0, right - 1)
        return max(self.points[left].half_width, self.points[right].half_width)

    def throughput_rps(self, batch: int) -> float:
        """Rows a second when batches of this size run back to back."""
        return batch / _interpolate(self.points, [p.mean_s for p in self.points], batch)

    def best_batch(self) -> int:
        """The measured batch size with the highest throughput; the smallest of equals."""
        return max(self.points, key=lambda p: (p.batch / p.mean_s, -p.batch)).batch

    def _table(self, column: Sequence[float], max_batch: int) -> tuple[float, ...]:
        rows = range(1, max_batch + 1)
        return (0.0, *(_interpolate(self.points, column, b) for b in rows))


@dataclass(frozen=True, slots=True)
class MachineProfile:
    """One family's profiles on the machine of this fingerprint. `created` is ISO 8601, UTC."""

    fingerprint: str
    family: str
    created: str
    profiles: tuple[Profile, ...] = ()

    def find(self, variant: str, backend: str, device: str, threads: int) -> Profile | None:
        """The profile of this arm with so many threads, or None."""
        key = (variant, backend, device, threads)
        return next((p for p in self.profiles if p.key == key), None)

    def merged(self, profile: Profile) -> "MachineProfile":
        """With `profile` in place of an older one of the same key."""
        return replace(self, profiles=(*self.without(profile).profiles, profile))

    def without(self, profile: Profile) -> "MachineProfile":
        """Without the profile of this key."""
        return replace(self, profiles=tuple(p for p in self.profiles if p.key != profile.key))


def label_of(variant: str, backend: str, device: str) -> str:
    """An arm as people read it: `lite0-int8@openvino`, `lite0-fp16@onnxruntime/cuda`."""
    return f"{variant}@{backend}" + (f"/{device}" if device != "cpu" else "")


def repaired(points: Sequence[Point]) -> tuple[Point, ...]:
    """The points in ascending batch order, every column made non-decreasing in the batch size.

    Least-squares isotonic regression with the same weights for all columns, which keeps
    p50 <= p95 <= p99 and the interval around p50. Raises ValueError without points, or for a latency not positive and
    finite.
    """
    ordered = sorted(points, key=lambda p: p.batch)
    _check(ordered)
    weights = [float(p.n) for p in ordered]
    columns = zip(*map(_columns, ordered), strict=True)
    fitted = zip(*(isotonic(column, weights) for column in columns), strict=True)
    return tuple(_fitted(p, row) for p, row in zip(ordered, fitted, strict=True))


def _fitted(point: Point, row: Sequence[float]) -> Point:
    """The point with its new columns; the interval includes its median to the last bit."""
    p50_s, p95_s, p99_s, mean_s, low_s, high_s = row
    low_s, high_s = (min(low_s, p50_s), max(high_s, p50_s)) if high_s else (0.0, 0.0)
    return Point(point.batch, point.n, p50_s, p95_s, p99_s, mean_s, low_s, high_s)


def _columns(p: Point) -> tuple[float, ...]:
    return (p.p50_s, p.p95_s, p.p99_s, p.mean_s, p.low_s, p.high_s)


def isotonic(values: Sequence[float], weights: Sequence[float]) -> list[float]:
    """The non-decreasing sequence nearest to `values` in weighted squares (pooled violators)."""
    blocks: list[tuple[float, float, int]] = []  # (mean, weight, length)
    for value, weight in zip(values, weights, strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] >= block[0]:
            block = _pooled(blocks.pop(), block)
        blocks.append(block)
    return [mean for mean, _, length in blocks for _ in range(length)]


def _pooled(
    left: tuple[float, float, int], right: tuple[float, float, int]
) -> tuple[float, float, int]:
    weight = left[1] + right[1]
    mean = right[0] + (left[0] - right[0]) * (left[1] / weight)
    return (mean, weight, left[2] + right[2])


def _at(point: Point, quantile: float) -> float:
    kept = (point.p50_s, point.p95_s, point.p99_s)
    return kept[min(bisect_left(QUANTILES, quantile), len(kept) - 1)]


def _interpolate(points: Sequence[Point], column: Sequence[float], batch: float) -> float:
    """Piecewise linear, flat below the first point; beyond the last never cheaper per row."""
    last = len(points) - 1
    if batch <= points[0].batch:
        return column[0]
    if batch > points[last].batch:
        return column[last] + (batch - points[last].batch) * _slope_beyond(points, column)
    right = bisect_left(points, batch, key=lambda p: p.batch)
    low, high = points[right - 1].batch, points[right].batch
    share = (batch - low) / (high - low)
    return column[right - 1] * (1 - share) + column[right] * share


def _slope_beyond(points: Sequence[Point], column: Sequence[float]) -> float:
    per_row = column[-1] / points[-1].batch
    if len(points) < 2:
        return per_row
    return max(per_row, (column[-1] - column[-2]) / (points[-1].batch - points[-2].batch))


def _check(points: Sequence[Point]) -> None:
    if not points:
        raise ValueError("a profile needs at least one measured batch size; measure the arm again")
    batches = [p.batch for p in points]
    if batches[0] < 1 or len(set(batches)) < len(batches):
        raise ValueError(f"batch sizes must be positive and distinct, got {batches}")
    for p in points:
        if p.n < 1 or not 0 < p.p50_s <= p.p95_s <= p.p99_s < float("inf"):
            raise ValueError(f"latencies must be positive, finite and in order, got {p}")
        if not 0 < p.mean_s < float("inf"):
            raise ValueError(f"the mean latency must be positive and finite, got {p}")
        if not (p.low_s == p.high_s == 0 or 0 < p.low_s <= p.p50_s <= p.high_s < float("inf")):
            raise ValueError(f"the interval must be positive, finite and around p50, got {p}")
