"""What the runtime reports: answered requests, finished batches; and what the protocol's statistics add them up to."""

from dataclasses import dataclass, field
from typing import NamedTuple


class Served(NamedTuple):
    """One answered request, as the runtime saw it at `at_s`. `compute_s` and `gather_s` are its batch's; `slo_s`: what
    it was given in all."""

    slo_class: str
    accuracy: float
    compute_s: float
    queue_s: float
    total_s: float
    slo_s: float
    in_time: bool
    at_s: float
    gather_s: float = 0.0


@dataclass(slots=True)
class RanBatch:
    """One finished batch: what it was, how long each stage took (s), what was foretold, what the profile says.

    `switched`: whether its worker ran another arm before.
    """

    variant: str
    precision: str
    rows: int
    gather_s: float
    compute_s: float
    predicted_s: float
    profiled_s: float
    switched: bool = False
    backend: str = ""


@dataclass(slots=True)
class ModelCounts:
    """Counts and nanoseconds for ModelStatistics; `by_batch` maps rows -> [count, gather ns, compute ns]."""

    success: int = 0
    success_ns: int = 0
    fail: int = 0
    queue_ns: int = 0
    compute_ns: int = 0
    gather_ns: int = 0
    rows: int = 0
    batches: int = 0
    last_ms: int = 0
    by_batch: dict[int, list[int]] = field(default_factory=dict[int, list[int]])
