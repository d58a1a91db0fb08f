"""How live batches bend an arm's latency curve in the batch size: log corrections at powers of two. Pure.

Between the knots they are read linearly in the logarithm of the batch. Each knot is a mean over its own last batches,
held near 0 by a prior where they are few (a ridge). What all knots share is no bend: it is handed back.
"""

from collections.abc import Sequence
from math import exp, log, log2
from operator import mul
from typing import NamedTuple

from profiler.profiles import isotonic

MEMORY = 64.0
"""Batches that a knot remembers at most: its gain never falls below that of a mean over so many."""
PRIOR = 8.0
"""A flat curve counts as so many batches at every knot."""
MOST = log(4.0)
"""A bend is held within a factor of four either way."""


class Curve(NamedTuple):
    """`bends`: log correction at 1, 2, 4, ... rows; `weights`: batches each rests on, MEMORY at most."""

    bends: tuple[float, ...] = (0.0,)
    weights: tuple[float, ...] = (0.0,)


FLAT = Curve()
"""Nothing seen yet. A curve grows knots as larger batches come."""


def bend(curve: Curve, rows: int) -> float:
    """The log correction of a batch of `rows` rows; beyond the last knot it is that knot's."""
    bends = curve.bends
    left = rows.bit_length() - 1
    if left >= len(bends) - 1:
        return bends[-1]
    share = log2(rows) - left
    return bends[left] + share * (bends[left + 1] - bends[left])


def observe(curve: Curve, rows: int, residual: float) -> tuple[Curve, float]:
    """(the curve after a batch that was `residual` (log) off it, the shift taken out: what its knots share).

    The shift belongs to the arm's offset. Predictions stay as they are at the knots that have been seen; the others
    follow the offset.
    """
    left = rows.bit_length() - 1
    share = log2(rows) - left
    bends, weights = _grown(curve, left + (2 if share else 1))
    _learn(bends, weights, (left, 1.0 - share), residual)
    if share:
        _learn(bends, weights, (left + 1, share), residual)
    shift = sum(map(mul, bends, weights)) / sum(weights)
    kept = [_held(b - shift * w / (w + 1.0)) for b, w in zip(bends, weights, strict=True)]
    return Curve(tuple(kept), tuple(weights)), shift


def eased(curve: Curve, kept: float) -> Curve:
    """The curve with so much kept of the bends that make sizes dearer."""
    return curve._replace(bends=tuple([b * kept if b > 0.0 else b for b in curve.bends]))


def forgotten(curve: Curve) -> Curve:
    """The same bends as a mere guess: the next batches count in full, as on a machine not seen before."""
    return curve._replace(weights=(0.0,) * len(curve.weights))


def evidence(curve: Curve, rows: int) -> float:
    """Batches that the correction at `rows` rows rests on: those of the weaker knot beside it."""
    left = rows.bit_length() - 1
    last = left if rows == 1 << left else left + 1
    weights = curve.weights
    return min(weights[left], weights[last]) if last < len(weights) else 0.0


def bent(curve: Curve, table_s: Sequence[float]) -> tuple[float, ...]:
    """A latency table (s) by batch size (index 0 unused) under the correction: may fall where batches taught so."""
    if not any(curve.bends):
        return tuple(table_s)
    return (0.0, *[s * exp(bend(curve, b)) for b, s in enumerate(table_s[1:], start=1)])


def risen(table_s: Sequence[float]) -> tuple[float, ...]:
    """The table (s) made non-decreasing from index 1 on: see `profiles.isotonic`."""
    if all(map(float.__le__, table_s[1:-1], table_s[2:])):
        return tuple(table_s)
    return (0.0, *isotonic(table_s[1:], [1.0] * (len(table_s) - 1)))


def _grown(curve: Curve, knots: int) -> tuple[list[float], list[float]]:
    """With at least so many knots: a new one bends as the last does, on no evidence."""
    bends, weights = list(curve.bends), list(curve.weights)
    missing = knots - len(bends)
    if missing > 0:
        bends += [bends[-1]] * missing
        weights += [0.0] * missing
    return bends, weights


def _learn(
    bends: list[float], weights: list[float], knot: tuple[int, float], residual: float
) -> None:
    """The knot's weighted mean takes in its share of a residual."""
    at, share = knot
    weight = weights[at]
    bends[at] = _held(bends[at] + share * residual / (weight + PRIOR))
    weights[at] = weight + share * (1.0 - weight / MEMORY)


def _held(bend: float) -> float:
    return -MOST if bend < -MOST else min(bend, MOST)
