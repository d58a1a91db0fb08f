"""What rows cost at best: per arm the time a row takes in a batch that fits the SLO, the hull and prices over the arms."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf

from server.policy.decision import ArmProfile
from server.policy.hull import Point, Prices, hull, prices

BATCH_SHARE = 0.5
"""Most of the SLO that one batch may take in steady state: who arrives just after its start waits it out, then runs."""
GRID = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 192, 256)
"""Batch sizes tried, in rows; finer steps gain nothing measurable."""


@dataclass(frozen=True, slots=True)
class Costs:
    """For one set of acceptable arms and one SLO: `row_s` is the least time per row, `vertices` what is worth mixing."""

    row_s: float
    batch_s: tuple[float, ...]
    vertices: tuple[Point, ...]
    prices: Prices


def costs(arms: Sequence[ArmProfile], slo_s: float, share: float) -> Costs:
    """The costs of serving with `arms` (at least one) under a latency bound of `slo_s`."""
    sizes = [_efficient_batch(arm, slo_s * share) for arm in arms]
    points = [Point(a.mean_s[b] / b, a.accuracy) for a, b in zip(arms, sizes, strict=True)]
    row_s, rows, arm = min(
        ((p.cost_s, b, a) for p, b, a in zip(points, sizes, arms, strict=True)), key=lambda x: x[:2]
    )
    vertices = hull(points)
    return Costs(row_s, arm.mean_s[: rows + 1], vertices, prices(vertices))


def grid(arm: ArmProfile) -> tuple[int, ...]:
    """The batch sizes worth trying on `arm`, its largest included."""
    return (*(b for b in GRID if b < arm.max_batch), arm.max_batch)


def undominated(arms: Sequence[ArmProfile]) -> list[ArmProfile]:
    """The arms no other beats in accuracy and in time at every batch size; most accurate first."""
    return sorted(
        (a for a in arms if not any(_beats(b, a) for b in arms)), key=lambda a: -a.accuracy
    )


def quickest(arms: Sequence[ArmProfile], rows: int) -> float:
    """The least time (s, upper estimate) in which one of `arms` answers `rows` rows; infinite where none can."""
    return min((a.upper_s[rows] for a in arms if rows <= a.max_batch), default=inf)


def _efficient_batch(arm: ArmProfile, limit_s: float) -> int:
    """The batch size with the least time per row among those below `limit_s`; 1 if none is."""
    sizes = [b for b in range(1, arm.max_batch + 1) if arm.upper_s[b] <= limit_s] or [1]
    return min(sizes, key=lambda b: (arm.mean_s[b] / b, b))


def _beats(a: ArmProfile, b: ArmProfile) -> bool:
    no_worse = a.accuracy >= b.accuracy and a.max_batch >= b.max_batch
    pairs = list(zip(a.upper_s, b.upper_s, strict=False)) + list(
        zip(a.mean_s, b.mean_s, strict=False)
    )
    ties = a.accuracy == b.accuracy and all(x == y for x, y in pairs)
    if ties:
        return no_worse and a.max_batch > b.max_batch
    return no_worse and all(x <= y for x, y in pairs)
