"""The price of time: which arms are worth mixing (an upper concave hull) and what a second of a worker is worth."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import exp, inf, log
from typing import NamedTuple

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


class Curve(NamedTuple):
    """A curve through the points (`at_x[i]`, `is_y[i]`), level before the first and behind the last."""

    at_x: list[float]
    is_y: list[float]

    def at(self, x: float) -> float:
        """Its height."""
        i = bisect_right(self.at_x, x)
        if i in (0, len(self.at_x)):
            return self.is_y[min(i, len(self.at_x) - 1)]
        low_x, low_y = self.at_x[i - 1], self.is_y[i - 1]
        return (self.is_y[i] - low_y) / (self.at_x[i] - low_x) * (x - low_x) + low_y


@dataclass(frozen=True, slots=True, eq=False)
class JointPrices:
    """The price where rows differ: at each price, all spend the knot's time on average. Equal to itself alone.

    `curves[k]`: what a row of kind k spends by the logarithm of the price, cheapest first. `log_prices`: where one of
    them has a knot, dearest first, and one more. No price is above `cap`, that of any kind: all are to be served. Where
    there is more time than all would spend, it is worth less in proportion, but not less than FLOOR of it, the last.
    """

    curves: Sequence[Curve]
    log_prices: Sequence[float]
    cap: float
    dearest: float

    def at(self, shares: Sequence[float], affordable_s: float) -> float:
        """The price when `affordable_s` of worker time can be spent on each row, of which kind k is `shares[k]`."""
        logs, low = self.log_prices, 0
        high = len(logs) - 2
        low_s, high_s = self._spent_s(shares, logs[low]), self._spent_s(shares, logs[high])
        if affordable_s <= low_s:
            return self.dearest * exp(min(logs[low], self.cap))
        if affordable_s >= high_s:
            low, low_s, high, high_s = high, high_s, high + 1, high_s / FLOOR
            if affordable_s >= high_s:
                return self.dearest * exp(min(logs[high], self.cap))
        while high - low > 1:
            middle = (low + high) // 2
            middle_s = self._spent_s(shares, logs[middle])
            if middle_s <= affordable_s:
                low, low_s = middle, middle_s
            else:
                high, high_s = middle, middle_s
        share = (affordable_s - low_s) / (high_s - low_s)
        ends = min(logs[low], self.cap), min(logs[high], self.cap)
        return self.dearest * exp(ends[0] + share * (ends[1] - ends[0]))

    def _spent_s(self, shares: Sequence[float], log_price: float) -> float:
        """What rows spend on average at a price."""
        spent_s = 0.0
        for share, curve in zip(shares, self.curves, strict=True):
            spent_s += share * curve.at(log_price)
        return spent_s


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
    curves, logs, cap = list[Curve](), list[float](), inf
    for part in parts:
        less = log(part.dearest / dearest)
        own = [less + one for one in reversed(part.log_prices)]
        curves.append(Curve(own, list(reversed(part.knots_s))))
        logs += own
        cap = min(cap, own[-1])
    logs = sorted(set(logs), reverse=True)
    return JointPrices(curves, [*logs, logs[-1] + log(FLOOR)], cap, dearest)


def _slope(a: Point, b: Point) -> float:
    return (b.accuracy - a.accuracy) / max(b.cost_s - a.cost_s, NEVER_S)
