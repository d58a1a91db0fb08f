"""How far the best throughput of all workers reaches into the queue, and who must go where it does not reach all."""

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count

import numpy as np
from numpy.typing import NDArray

from server.policy.dispatch.menu import Floats, Ints

Bools = NDArray[np.bool_]

ROUNDING = 1e-9
"""Work is in the way of others only if it is by more than this share."""


def spare(deadlines: Floats, work_s: Floats, lag_s: float) -> Floats:
    """The latest clock time (s) to start on tickets i, i+1, ... so that each is in time; one entry more, infinite.

    `work_s[i]` is the time until ticket i is done if all before it are served, `lag_s` what comes on top of it.
    """
    latest = np.empty(len(deadlines) + 1)
    latest[-1] = np.inf
    latest[:-1] = np.minimum.accumulate((deadlines - work_s)[::-1])[::-1]
    latest -= lag_s
    latest[1:-1] += work_s[:-1]
    return latest


def shed(deadlines: Floats, own_s: Floats, values: Floats, limit_s: float) -> list[int]:
    """Indices of the tickets to give up, so that the others can be done in time from `limit_s` on.

    `own_s[i]` is the work of ticket i, `values[i]` what serving it is worth. Wherever the work up to a deadline does
    not fit, the one worth least for its time goes, the earliest among equals (Moore and Hodgson's rule, 1968, by
    value).
    """
    kept: list[tuple[float, int, int]] = []
    gone: list[int] = []
    order, end_s = count(), limit_s
    for i, (deadline_s, work_s, value) in enumerate(
        zip(deadlines.tolist(), own_s.tolist(), values.tolist(), strict=True)
    ):
        heappush(kept, (value / work_s, next(order), i))
        end_s += work_s
        while end_s > deadline_s and len(kept) > 1:
            _, _, least = heappop(kept)
            gone.append(least)
            end_s -= float(own_s[least])
    return gone


def shed_by_kind(
    due_s: Floats, work_s: Floats, kind: Ints, ranked: Sequence[int], reserve_s: Floats | None
) -> Bools:
    """Which tickets to keep, so that all of them are done in time: at least one.

    `due_s[i]` is the time until ticket i is due, in order of deadlines; `ranked` the kinds, worth most for their time
    first. Kind by kind, as few go as make room for those of it and all kept before; the earliest of it. Of one kind,
    that is what `shed` does; of several, those worth more never go for those worth less. `reserve_s[i, j]`: how much
    earlier tickets of kind j have to be done for some of kind i to be kept beside them.
    """
    kept = np.zeros(len(due_s), dtype=np.bool_)
    for number in ranked:
        mine = kind == number
        kept |= mine
        over_s = (work_s * kept).cumsum()
        over_s -= due_s
        if reserve_s is not None:
            over_s += reserve_s[number][kind]
        own_s = (work_s * mine).cumsum()
        most_s = float((np.minimum(over_s, own_s) * kept).max())
        if most_s > 0.0:
            gone = int(own_s.searchsorted(most_s * (1.0 - ROUNDING)))
            kept[: gone + 1] &= ~mine[: gone + 1]
    if not kept.any():
        kept[-1] = True
    return kept
