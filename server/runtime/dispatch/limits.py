"""What a dispatcher is bounded by, and how busy it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Limits:
    """Workers sharing the queue, rows that may wait, the time (s) kept back for the answer's way to the client, the
    SLO classes' weights, of how many decisions one is kept, the family's latency bound (s),
    the share of requests promised to be answered within it, and of what accuracy at least."""

    workers: int = 1
    capacity_rows: int = 1024
    reply_margin_s: float = 0.0
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    journal_every: int = 100
    slo_s: float = 0.05
    percentile: float = 0.99
    min_accuracy: float = 0.0


@dataclass(frozen=True, slots=True)
class Load:
    """How busy a family is: batches on workers, tickets and rows waiting, rows/s expected, rows offered so far."""

    running: int
    tickets: int
    rows: int
    rate_rps: float
    arrived: int
