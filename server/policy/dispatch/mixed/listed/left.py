"""What is left of the rest once a batch runs, as lists: see `mixed.arrays.groups.Rest`, which is the same."""

from collections.abc import Sequence
from math import inf

from server.policy.dispatch.mixed.crowd import Few
from server.policy.dispatch.mixed.listed.groups import Group
from server.policy.dispatch.mixed.reach import reserve_s
from server.policy.dispatch.mixed.scene import levels


class Left:
    """Those whom a batch begins behind are given up. What groups hang on is reckoned when it is first asked for."""

    def __init__(self, few: Few, there: Sequence[int]) -> None:
        self._few = few
        level, self._density = levels(few.kinds, there)
        self._mine = [level[k] for k in few.kind]
        lags_s = [kind.lag_s for kind in few.kinds]
        reserves_s = reserve_s(few.kinds)
        if reserves_s is not None:
            lags_s = [lag + max([reserves_s[i][k] for i in there]) for k, lag in enumerate(lags_s)]
        self._due_s: list[float] = []
        """When each ticket is to be begun on (s), with all before it, less their work."""
        self._work_s = [0.0] * len(self._density)
        """By level."""
        done_s = 0.0
        for i, work_s in enumerate(few.work_s):
            done_s += work_s
            self._due_s.append(few.deadlines[i] - lags_s[few.kind[i]] - done_s)
            self._work_s[self._mine[i]] += work_s
        self._behind_s = [self._behind(level) for level in range(len(self._density))]
        self._known: dict[int, list[tuple[list[float], list[float]]]] = {}

    def lost(self, group: Group, last: int, done_s: float) -> float:
        """What will be out of reach at `done_s` where the group runs up to ticket `last`; those worth least for their
        time give way to others."""
        after = self._known.get(id(group))
        if after is None:
            levels_here = range(len(self._density))
            after = self._known[id(group)] = [self._after(group, level) for level in levels_here]
        latest_s, left_s = after[0]
        over_s, work_s = max(done_s - latest_s[last], 0.0), left_s[last]
        if len(after) == 1:
            return self._density[0] * min(over_s, work_s)
        latest_s, left_s = after[1]
        over_denser_s = max(done_s - latest_s[last], 0.0)
        lost = self._density[0] * min(max(over_s, over_denser_s), work_s)
        return lost + self._density[1] * min(max(over_denser_s - work_s, 0.0), left_s[last])

    def _behind(self, level: int) -> list[float]:
        """The first that is due of those of a level behind each ticket; infinite where there is none."""
        behind_s, least_s = list[float](), inf
        for i in range(len(self._mine) - 1, -1, -1):
            behind_s.append(least_s)
            if self._mine[i] == level:
                least_s = min(least_s, self._due_s[i])
        behind_s.reverse()
        return behind_s

    def _after(self, group: Group, level: int) -> tuple[list[float], list[float]]:
        """By the last ticket that runs: the latest clock time (s) to go on, and the work (s) left, of this level."""
        joins, mine, due_s, behind_s = group.joins, self._mine, self._due_s, self._behind_s[level]
        latest_s, left_s = list[float](), list[float]()
        taken_s, work_s, passed_s = 0.0, self._work_s[level], inf
        for i, own_s in enumerate(self._few.work_s):
            if joins[i]:
                taken_s += own_s
                if mine[i] == level:
                    work_s -= own_s
            elif mine[i] == level:
                passed_s = min(passed_s, due_s[i] + taken_s)
            latest_s.append(min(passed_s, behind_s[i] + taken_s))
            left_s.append(work_s)
        return latest_s, left_s
