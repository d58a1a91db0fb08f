"""The price of time: which arms are worth mixing (an upper concave hull) and what a second of a worker is worth."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, log

import numpy as np

CAP = 0.95
"""The price never reaches the value of dropping outright: in doubt, serve."""
SCARCE = 0.9
"""Share of the cheapest arm's cost below which time is priced at the cap."""
FLOOR = 0.1
"""Share of the last slope that time is worth when there is time for everything: prefers the cheaper of two equals."""

NEVER_S = 1e-30
"""No two costs are so near each other (s): keeps a profile without a cost from a division by 0."""


@dataclass(frozen=True, slots=True)
class Point:
    """A way to answer one row: worker time (s) and accuracy."""

    cost_s: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Prices:
    """Price (accuracy per s of worker time) against the time affordable per row: log-linear between knots.

    Logarithms are of multiples of `dearest`, the price of dropping: what they are does not hang on the unit of time.
    """

    knots_s: tuple[float, ...]
    log_prices: tuple[float, ...]
    dearest: float

    def at(self, affordable_s: float) -> float:
        """The price when `affordable_s` of worker time can be spent on each row."""
        knots, prices = self.knots_s, self.log_prices
        if affordable_s <= knots[0]:
            return self.dearest * exp(prices[0])
        if affordable_s >= knots[-1]:
            return self.dearest * exp(prices[-1])
        i = bisect_right(knots, affordable_s)
        share = (affordable_s - knots[i - 1]) / (knots[i] - knots[i - 1])
        return self.dearest * exp(prices[i - 1] + share * (prices[i] - prices[i - 1]))


@dataclass(frozen=True, slots=True, eq=False)
class JointPrices:
    """The price where rows differ: at each price, all spend the knot's time on average. Equal to itself alone.

    `costs_s[k, j]`: what a row of kind k spends at the j-th of `log_prices`, dearest first. Never above the cap of any:
    all are to be served. Where there is more time than all would spend, it is worth less in proportion, but not less
    than FLOOR of it, the last of `log_prices`.
    """

    costs_s: Sequence[Sequence[float]]
    log_prices: Sequence[float]
    dearest: float

    def at(self, shares: Sequence[float], affordable_s: float) -> float:
        """The price when `affordable_s` of worker time can be spent on each row, of which kind k is `shares[k]`."""
        parts, logs = list(zip(shares, self.costs_s, strict=True)), self.log_prices
        low, high = 0, len(logs) - 2
        low_s, high_s = (sum([s * own_s[j] for s, own_s in parts]) for j in (low, high))
        if affordable_s <= low_s:
            return self.dearest * exp(logs[low])
        if affordable_s >= high_s:
            low, low_s, high, high_s = high, high_s, high + 1, high_s / FLOOR
            if affordable_s >= high_s:
                return self.dearest * exp(logs[high])
        while high - low > 1:
            middle = (low + high) // 2
            middle_s = sum([s * own_s[middle] for s, own_s in parts])
            if middle_s <= affordable_s:
                low, low_s = middle, middle_s
            else:
                high, high_s = middle, middle_s
        share = (affordable_s - low_s) / (high_s - low_s)
        return self.dearest * exp(logs[low] + share * (logs[high] - logs[low]))


def hull(points: Iterable[Point]) -> tuple[Point, ...]:
    """The vertices of the upper concave hull of `points` and the origin (dropping), cheapest first, origin left out."""
    kept = [Point(0.0, 0.0)]
    for point in sorted(points, key=lambda p: (p.cost_s, -p.accuracy)):
        if point.accuracy <= kept[-1].accuracy:
            continue
        while len(kept) > 1 and _slope(kept[-2], kept[-1]) <= _slope(kept[-2], point):
            kept.pop()
        kept.append(point)
    return tuple(kept[1:])


def prices(vertices: Sequence[Point]) -> Prices:
    """The price curve of a hull: at a vertex between its two slopes, half-way to the next vertex at their slope."""
    ends = (Point(0.0, 0.0), *vertices)
    dearest = _slope(*ends[:2])
    slopes = [_slope(a, b) / dearest for a, b in zip(ends, vertices, strict=False)]
    knots, logs = [SCARCE * vertices[0].cost_s], [log(CAP)]
    for i, vertex in enumerate(vertices):
        last = i + 1 == len(vertices)
        right = FLOOR * slopes[i] if last else slopes[i + 1]
        beyond = 3.0 * vertex.cost_s if last else vertices[i + 1].cost_s
        knots += [vertex.cost_s, 0.5 * (vertex.cost_s + beyond)]
        logs += [0.5 * (min(logs[-1], log(slopes[i])) + log(right)), log(right)]
    return Prices(tuple(knots), tuple(logs), dearest)


def joint(parts: Sequence[Prices]) -> JointPrices:
    """The price curves of kinds of rows that differ, to be added up in any shares."""
    dearest = max(prices.dearest for prices in parts)
    scaled = [(np.log(p.dearest / dearest) + p.log_prices, p.knots_s) for p in parts]
    logs = np.unique(np.concatenate([own for own, _ in scaled]))[::-1]
    costs_s = [np.interp(logs, own[::-1], knots_s[::-1]).tolist() for own, knots_s in scaled]
    cap = min(own[0] for own, _ in scaled)
    capped = (*np.minimum(logs, cap).tolist(), float(logs[-1]) + log(FLOOR))
    return JointPrices(costs_s, capped, dearest)


def _slope(a: Point, b: Point) -> float:
    return (b.accuracy - a.accuracy) / max(b.cost_s - a.cost_s, NEVER_S)
