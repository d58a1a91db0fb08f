"""How far the best throughput of all workers reaches into the queue, and who must go where it does not reach all."""

from collections.abc import Sequence
from math import inf
from operator import sub

import numpy as np
from numpy.typing import NDArray

from server.policy.dispatch.menu import IS_COMPILED, Floats, Ints

Bools = NDArray[np.bool_]

FEW = 1000 if IS_COMPILED else 48
"""So many tickets are laid out one by one, more as arrays."""
ROUNDING = 1e-9
"""Work is in the way of others only if it is by more than this share."""


class Line:
    """The tickets considered: `length` of the queue's from `late` on, the first `first` of which cannot be reached.

    At least one can. No deadline from `first` on less its work is before `least_s`.
    """

    def __init__(
        self, deadlines: list[float], late: int, work_s: list[float], lag_s: float, now_s: float
    ) -> None:
        """`deadlines` are the whole queue's, not all late; `work_s[i]`: the time until ticket i behind those is done if
        all before it are served, for as many as are looked at; `lag_s`: what comes on top of it."""
        length = min(len(deadlines) - late, len(work_s))
        self.deadlines, self.late, self.first, self.length = deadlines, late, 0, length
        self._work_s, self._lag_s = work_s, lag_s
        self._least_s = deadlines[late] - work_s[length - 1]
        self._spare_s: Floats | None = None
        """The latest clock time to start on tickets i and later; infinite behind the last; None: not known."""
        if length == 1 or self._least_s - lag_s >= now_s:  # the first is in time even as the last
            return
        if length > FEW:
            self._spare_s = self._spare()
            self.first = min(int(self._spare_s.searchsorted(now_s)), length - 1)
            return
        start_s = list(map(sub, deadlines[late : late + length], work_s))
        self._least_s = min(start_s)
        if self._least_s - lag_s < now_s:
            self._give_up(start_s, now_s)

    def beyond_s(self, end: int, done_s: float) -> float:
        """How much too late (s) it is at `done_s` to start on tickets `end` and those behind it; 0: it is not.

        `end` is beyond `first`, and not that of the line.
        """
        if self._spare_s is not None:
            return max(done_s - float(self._spare_s[end]), 0.0)
        before_s = self._work_s[end - 1]
        if done_s <= self._least_s - self._lag_s + before_s:
            return 0.0
        due_s = self.deadlines[self.late + end : self.late + self.length]
        least_s = min(map(sub, due_s, self._work_s[end:]))
        return max(done_s - (least_s - self._lag_s + before_s), 0.0)

    def due_s(self) -> Floats:
        """The deadlines from `first` on."""
        return np.array(self.deadlines[self.late + self.first : self.late + self.length])

    def beyond_by_each(self, end: Ints, done_s: Floats) -> Floats:
        """The same of many: `end` counts from `first` on, and may be that of the line, where it is never too late."""
        if self._spare_s is None:
            self._spare_s = self._spare()
        return np.maximum(done_s - self._spare_s[self.first + end], 0.0)

    def _spare(self) -> Floats:
        deadlines = np.array(self.deadlines[self.late : self.late + self.length])
        work_s = np.arange(1.0, self.length + 1.0) * self._work_s[0]
        latest = np.full(self.length + 1, inf)
        latest[:-1] = np.minimum.accumulate((deadlines - work_s)[::-1])[::-1]
        latest -= self._lag_s
        latest[1:-1] += work_s[:-1]
        return latest

    def _give_up(self, start_s: list[float], now_s: float) -> None:
        """Those first that are too many: with all before them given up, ticket i and all behind can be in time."""
        latest_s, least_s = list[float](), inf
        for at_s in reversed(start_s):
            least_s = min(least_s, at_s)
            latest_s.append(least_s)
        low, high, last = 1, self.length - 1, self.length - 1
        while low < high:
            i = (low + high) // 2
            if latest_s[last - i] - self._lag_s + self._work_s[i - 1] < now_s:
                low = i + 1
            else:
                high = i
        self.first, self._least_s = low, latest_s[last - low]


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
