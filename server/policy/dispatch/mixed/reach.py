"""Who must go where tickets differ and not all can be served: those worth least for their time."""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np

from server.policy.dispatch.mixed.crowd import Crowd, Few, Kind
from server.policy.dispatch.shed import ROUNDING, Bools, kept

RESERVE = 0.3
"""Share of its bound that a ticket is kept from its deadline where others are served that are worth far less."""
FAR_DENSER = 3
"""Of what is worth more for its time, this power of the share that the other lacks is kept: of little, little."""
NEARLY_AS_DENSE = 0.8
"""Above this share nothing is worth keeping."""
MOST_RANKS = 4
"""Those that must go are told apart in so many steps of what they are worth for their time."""


def within_reach(crowd: Crowd, now_s: float) -> Bools | None:
    """Whom to keep, so that all of them are within reach: at least one. None where all are."""
    due_s = crowd.deadlines - np.array([kind.lag_s + now_s for kind in crowd.kinds])[crowd.kind]
    if (crowd.work_s.cumsum() <= due_s).all():
        return None
    rank, ranks = ranked(crowd.kinds)
    reserves_s = reserve_s(crowd.kinds) if ranks else None
    kept_apart_s = None if reserves_s is None else np.array(reserves_s)
    of_each = crowd.kind if ranks else np.array(rank)[crowd.kind]
    return kept(due_s, crowd.work_s, of_each, ranks or range(MOST_RANKS), kept_apart_s)


def ranked(kinds: Sequence[Kind]) -> tuple[list[int], list[int]]:
    """The kinds, worth most for their time first; where they are many, nothing, and instead the rank of each."""
    density = [-kind.density for kind in kinds]
    order = sorted(range(len(density)), key=density.__getitem__)
    if len(order) <= MOST_RANKS:
        return [], order
    rank = [0] * len(order)
    for at, k in enumerate(order):
        rank[k] = at * MOST_RANKS // len(order)
    return rank, []


def reserve_s(kinds: Sequence[Kind]) -> list[list[float]] | None:
    """How far (s) a ticket of kind j is kept from its deadline where one of kind i is served beside it: [i][j].

    That is where answers to kind j are worth far more, or as much in far less time. None where nobody is worth more.
    """
    values, dense = [kind.value for kind in kinds], [kind.density for kind in kinds]
    if min(values) == max(values) and min(dense) >= NEARLY_AS_DENSE * max(dense):
        return None
    return [
        [
            RESERVE
            * kind.slo_s
            * max(1.0 - value / kind.value, max(0.0, 1.0 - density / other) ** FAR_DENSER)
            for kind, other in zip(kinds, dense, strict=True)
        ]
        for value, density in zip(values, dense, strict=True)
    ]


def few_within_reach(few: Few, now_s: float) -> list[bool] | None:
    """`within_reach`, ticket by ticket."""
    lags_s = [kind.lag_s + now_s for kind in few.kinds]
    due_s, done_s, all_are = list[float](), 0.0, True
    for at_s, work_s, k in zip(few.deadlines, few.work_s, few.kind, strict=True):
        done_s += work_s
        due_s.append(at_s - lags_s[k])
        all_are = all_are and done_s <= due_s[-1]
    if all_are:
        return None
    rank, order = ranked(few.kinds)
    reserves_s = reserve_s(few.kinds) if order else None
    of_each = few.kind if order else [rank[k] for k in few.kind]
    stay = [False] * len(due_s)
    for number in order or range(MOST_RANKS):
        margins_s = None if reserves_s is None else reserves_s[number]
        _make_room(stay, (due_s, few.work_s, of_each), number, margins_s)
    if True not in stay:
        stay[-1] = True
    return stay


def _make_room(
    stay: list[bool],
    of_each: tuple[list[float], list[float], list[int]],
    number: int,
    margins_s: list[float] | None,
) -> None:
    """As few of this rank go as make room for the rest of it and all that stay; see `shed.kept`.

    `of_each` ticket: when it is due, its work (s), its rank. `margins_s`: by rank, how much earlier it has to be done.
    """
    due_s, work_s, rank = of_each
    done_s, own_s, most_s = 0.0, 0.0, 0.0
    owns_s = list[float]()
    for i in range(len(due_s)):
        work, its = work_s[i], rank[i]
        if its == number:
            stay[i] = True
            own_s += work
        owns_s.append(own_s)
        if stay[i]:
            done_s += work
            over_s = done_s - due_s[i]
            if margins_s is not None:
                over_s += margins_s[its]
            most_s = max(most_s, min(over_s, own_s))
    if most_s > 0.0:
        gone = bisect_left(owns_s, most_s * (1.0 - ROUNDING))
        for i in range(min(gone + 1, len(stay))):
            if rank[i] == number:
                stay[i] = False
