"""How far the best throughput of all workers reaches into the queue, and who must go where it does not reach all."""

from collections.abc import Sequence

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


def kept(
    due_s: Floats, work_s: Floats, kind: Ints, ranked: Sequence[int], reserve_s: Floats | None
) -> Bools:
    """Which tickets to keep, so that all of them are done in time: at least one.

    `due_s[i]` is the time until ticket i is due, in order of deadlines; `ranked` the kinds, worth most for their time
    first. Kind by kind, as few go as make room for those of it and all kept before, the earliest of it: of one kind,
    Moore and Hodgson's rule (1968); of several, those worth more never go for those worth less. `reserve_s[i, j]`: how
    much earlier tickets of kind j have to be done for some of kind i to be kept beside them.
    """
    stay = np.zeros(len(due_s), dtype=np.bool_)
    for number in ranked:
        mine = kind == number
        stay |= mine
        over_s = (work_s * stay).cumsum() - due_s
        if reserve_s is not None:
            over_s += reserve_s[number][kind]
        own_s = (work_s * mine).cumsum()
        most_s = float((np.minimum(over_s, own_s) * stay).max())
        if most_s > 0.0:
            gone = int(own_s.searchsorted(most_s * (1.0 - ROUNDING)))
            stay[: gone + 1] &= ~mine[: gone + 1]
    if not stay.any():
        stay[-1] = True
    return stay
