"""Where a decision hangs on how well a latency is known: what moves the frontier within its interval. Pure.

A policy mixes arms along the upper concave hull of accuracy over worker time per row, from dropping (nothing for
nothing) on. A batch size of an arm counts as far as that hull moves while its median goes through its interval: not at
all where the arm is off the hull even at its best; by the whole interval where it is on it even at its worst.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, log

CONTESTED = 4.0
"""A race that is open counts so many times: what is to be learnt is which of two to take, not only when."""
BESIDE = 0.25
"""Of an arm that is on the hull at some batch size, the others count so much of their interval: they say what fits."""


@dataclass(frozen=True, slots=True)
class ArmPoint:
    """One batch size of one arm: its accuracy, and the interval of its median (s)."""

    name: str
    accuracy: float
    batch: int
    low_s: float
    p50_s: float
    high_s: float


def stakes(points: Sequence[ArmPoint]) -> list[float]:
    """For each point by how much the hull moves, relative, between its interval's ends; 0: no decision hangs on it."""
    found = [_stake(point, points) for point in points]
    playing = {point.name for point, stake in zip(points, found, strict=True) if stake > 0}
    return [
        max(stake, BESIDE * log(p.high_s / p.low_s)) if p.name in playing else stake
        for p, stake in zip(points, found, strict=True)
    ]


def _stake(point: ArmPoint, points: Iterable[ArmPoint]) -> float:
    """So many rows can also be run as smaller batches, and on other arms: what they cost there is what it is up to."""
    others = [p for p in points if p.batch <= point.batch and p != point]
    rivals = ((p.p50_s / p.batch, p.accuracy) for p in others)
    else_s = cost_of(point.accuracy, rivals) * point.batch
    if else_s <= point.low_s:
        return 0.0
    moved = log(min(point.high_s, else_s) / point.low_s)
    return moved * CONTESTED if else_s < point.high_s else moved


def cost_of(accuracy: float, points: Iterable[tuple[float, float]]) -> float:
    """What so much accuracy costs at least where the (cost, accuracy) `points` and dropping are mixed; inf: nothing."""
    vertices = _hull(points)
    for (cost, reached), (more, higher) in pairwise(vertices):
        if accuracy <= higher:
            return cost + (more - cost) * (accuracy - reached) / (higher - reached)
    return inf


def _hull(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """The vertices of the upper concave hull (Andrew's monotone chain, 1979), from (0, 0) on, cheapest first."""
    kept = [(0.0, 0.0)]
    for point in sorted(points, key=lambda p: (p[0], -p[1])):
        if point[1] <= kept[-1][1]:
            continue
        while len(kept) > 1 and not _turns_down(kept[-2], kept[-1], point):
            kept.pop()
        kept.append(point)
    return kept


def _turns_down(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    return (b[1] - a[1]) * (c[0] - b[0]) > (c[1] - b[1]) * (b[0] - a[0])
