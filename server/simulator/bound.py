"""How good any policy could be that knows all arrivals: an upper bound on accuracy-weighted goodput.

The bound is the optimum of a linear programme over worker time as a fluid, solved without slots or a solver.
"""

from bisect import insort
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from server.policy.decision import ArmProfile
from server.policy.dispatch.hull import Point, hull

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Sizes = NDArray[np.int64]

TOLERANCE_S = 1e-9
"""Rounding may not part requests that could just share a batch: the bound errs upwards."""

Segment = tuple[float, float]
"""(accuracy per second, seconds): what more time for one request buys, when all workers work on it."""


def bound_awg(
    arms: Sequence[ArmProfile],
    arrivals_s: Sequence[float] | Floats,
    slo_s: float | Floats,
    workers: int,
    min_accuracy: Floats | None = None,
) -> float:
    """The most accuracy in time per offered request that any schedule reaches, or somewhat more; 1 if none is offered.

    `arrivals_s` (n): sorted, one row each; `slo_s`, `min_accuracy`: one for all, or one each (n). Batches take exactly
    `mean_s`: a run under scatter has the bound only on average. Why nothing real can exceed it, step by step:

    1. *Cheapest sharing.* All members of a batch of b rows that takes L start together, so b requests must be able to
       start at one moment and still end in time. A row's time is L / b; each request is charged the least over the
       sizes that some moment allows it, though its neighbours may need to be elsewhere.
    2. *Mixing.* Each request's choices (seconds, accuracy), dropping included, become their upper concave hull: it may
       be answered in parts by several arms.
    3. *Fluid.* A batch runs between its last arrival and its first deadline, so every member's share of it lies within
       that member's own window. Workers become one that is `workers` times as fast; requests need neither wait for a
       batch to end nor keep together.
    4. *Order.* One fluid server that takes windows in order loses nothing while deadlines are in order of arrival.
       Where SLOs differ they may not be: each deadline then counts as no earlier than those before it.

    Raises ValueError if times are not sorted, or there are no arms or workers.
    """
    times = np.asarray(arrivals_s, dtype=np.float64)
    _check(arms, times, workers)
    if not times.size:
        return 1.0
    slos_s = np.broadcast_to(np.asarray(slo_s, dtype=np.float64), times.shape)
    sizes = [_cheapest_sizes(arm, times, slos_s) for arm in arms]
    if min_accuracy is not None:
        sizes = [s * (min_accuracy <= a.accuracy) for a, s in zip(arms, sizes, strict=True)]
    kinds, members = _kinds(sizes)
    offers = [_segments(arms, kind, workers) for kind in kinds]
    deadlines = np.maximum.accumulate(times + slos_s)
    spans = (deadlines - times).tolist()
    gaps = np.diff(times, prepend=times[0]).tolist()
    return _spend([offers[m] for m in members.tolist()], gaps, spans) / times.size


def _check(arms: Sequence[ArmProfile], times: Floats, workers: int) -> None:
    if not arms or workers < 1:
        raise ValueError(f"{len(arms)} arms on {workers} workers: a bound needs one of each")
    if (np.diff(times) < 0.0).any():
        raise ValueError("arrival times go back; sort them, and the SLOs with them")


def _cheapest_sizes(arm: ArmProfile, times: Floats, slos_s: Floats) -> Sizes:
    """Per request (n), the batch size with the least time per row that it could be part of in time; 0 where none is."""
    best = np.zeros(times.size, dtype=np.int64)
    longest_s = float(slos_s.max()) + TOLERANCE_S
    fitting = [b for b in range(1, arm.max_batch + 1) if arm.mean_s[b] <= longest_s]
    for rows in sorted(fitting, key=lambda b: arm.mean_s[b] / b, reverse=True):
        best[_could_share(times, times + slos_s - arm.mean_s[rows], rows)] = rows
    return best


def _could_share(times: Floats, last_starts: Floats, rows: int) -> Bools:
    """Which requests (n) can start together with `rows - 1` others, each within its (arrival, latest start)."""
    ends = last_starts + TOLERANCE_S
    able = ends >= times
    if rows == 1:
        return able
    begun = np.cumsum(able)[np.searchsorted(times, times, side="right") - 1]
    over = np.searchsorted(np.sort(ends[able]), times, side="left")
    enough = np.concatenate(([0], np.cumsum(begun - over >= rows)))
    reach = np.searchsorted(times, ends, side="right")
    return able & (enough[np.maximum(reach, np.arange(times.size))] > enough[:-1])


def _kinds(sizes: Sequence[Sizes]) -> tuple[list[list[int]], Sizes]:
    """The distinct columns of `sizes` (arms x n), and for each request which of them is its own."""
    label = np.zeros(sizes[0].size, dtype=np.int64)
    for row in sizes:
        _, label = np.unique(label * (int(row.max()) + 1) + row, return_inverse=True)
    _, first = np.unique(label, return_index=True)
    return [[int(row[i]) for row in sizes] for i in first.tolist()], label


def _segments(arms: Sequence[ArmProfile], sizes: Sequence[int], workers: int) -> list[Segment]:
    """What time buys for a request that can be served by each arm in batches of these sizes (0: not at all)."""
    choices = [
        Point(arm.mean_s[b] / b / workers, arm.accuracy)
        for arm, b in zip(arms, sizes, strict=True)
        if b
    ]
    vertices = (Point(0.0, 0.0), *hull(choices))
    return [
        ((b.accuracy - a.accuracy) / (b.cost_s - a.cost_s), b.cost_s - a.cost_s)
        for a, b in pairwise(vertices)
    ]


def _spend(
    offers: Sequence[Sequence[Segment]], gaps_s: Sequence[float], spans_s: Sequence[float]
) -> float:
    """The most accuracy in all. Request i comes `gaps_s[i]` after the one before, its deadline `spans_s[i]` later.

    Let U(F) be the most that the requests so far are worth if all work on them ends by F: concave, hence a list of
    segments sorted by slope. Time that passes takes the steepest; a request adds its own (a supremal convolution of
    concave functions merges their segments); what reaches beyond its deadline, the flattest, is lost.
    """
    gained = held_s = 0.0
    held: list[Segment] = []
    for offer, gap_s, span_s in zip(offers, gaps_s, spans_s, strict=True):
        worth, held_s = _work(held, held_s, gap_s)
        gained += worth
        for segment in offer:
            insort(held, segment)
            held_s += segment[1]
        if held_s > span_s:
            held_s = _cut(held, held_s, span_s)
    return gained + sum(slope * length_s for slope, length_s in held)


def _work(held: list[Segment], held_s: float, spare_s: float) -> tuple[float, float]:
    """Work for `spare_s` on the steepest segments: (accuracy gained, seconds of work left)."""
    gained = 0.0
    while held and spare_s > 0.0:
        slope, length_s = held.pop()
        if length_s > spare_s:
            held.append((slope, length_s - spare_s))
            return gained + slope * spare_s, held_s - spare_s
        gained += slope * length_s
        spare_s -= length_s
        held_s -= length_s
    return gained, held_s if held else 0.0


def _cut(held: list[Segment], held_s: float, span_s: float) -> float:
    """Lose the flattest segments until `span_s` of work is left: what is left (s)."""
    lost = 0
    while lost < len(held) and held_s - held[lost][1] >= span_s:
        held_s -= held[lost][1]
        lost += 1
    del held[:lost]
    if not held:
        return 0.0
    slope, length_s = held[0]
    held[0] = (slope, length_s - (held_s - span_s))
    return span_s
