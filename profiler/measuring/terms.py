"""What a planner of measurements is told and what it says: arms as they are known, what is asked, the next turn."""

from dataclasses import dataclass
from math import inf

GRID = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Batch sizes worth a look; a family's largest is always one of them."""

Ran = tuple[str, int]
"""What ran: an arm's name and a batch size."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One batch size: in how many turns it ran, how often, and its median latency with the 95 % interval (s)."""

    batch: int
    turns: int
    n: int
    p50_s: float
    low_s: float
    high_s: float

    @property
    def half_width(self) -> float:
        """Half the interval, relative to the median."""
        return (self.high_s - self.low_s) / (2 * self.p50_s)


@dataclass(frozen=True, slots=True)
class Sampled:
    """What is known of one arm, by ascending batch; `ceiling` is the largest batch that it can run."""

    name: str
    accuracy: float
    seen: tuple[Seen, ...]
    ceiling: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What is asked: batches up to `bound_s` of latency, medians known to `precision` (half the interval, relative),
    curves straight to `tolerance` (relative) between the measured sizes."""

    bound_s: float = inf
    precision: float = 0.02
    tolerance: float = 0.05
    grid: tuple[int, ...] = GRID


@dataclass(frozen=True, slots=True)
class Next:
    """Run this arm with so many rows, so often."""

    name: str
    batch: int
    runs: int


@dataclass(frozen=True, slots=True)
class Done:
    """Nothing more to run: `narrow` (all that matters is known well enough) or `budget`."""

    reason: str
