"""Who may share a batch where tickets differ, and what is left of the rest once some of them run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from server.policy.dispatch.crowd import Crowd, reserve_s
from server.policy.dispatch.menu import Floats, Ints
from server.policy.dispatch.shed import Bools

MOST_LED = 3
"""Kinds that a batch may be formed for: those of the earliest deadlines. Others may still join."""
LEVELS = 3
"""Kinds are told apart in so many steps of what they are worth for their time."""


class Company(NamedTuple):
    """Those that accept every arm of `mask`, or of them only those of one kind."""

    mask: int
    kind: int | None


@dataclass(frozen=True, slots=True)
class Lines:
    """The members of C companies one after the other (m in all), out of n tickets.

    `joins[c, i]`: whether ticket i is in company c. `at[j]` is the crowd's index of entry j; those of company c are
    from `first[c]` to `first[c + 1]`. `kinds`: those of which somebody is there, in order of their first deadlines.
    """

    companies: Sequence[Company]
    joins: Bools
    at: Ints
    first: Ints
    kinds: Sequence[int]


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left where company c runs up to ticket q, by level, worth least for its time first.

    `latest_s[level, c, q]`: the latest clock time (s) to go on then; `work_s[level, c, q]`: the work left;
    `density[level]`: what it is worth per second of it.
    """

    latest_s: Floats
    work_s: Floats
    density: Sequence[float]


def lines(crowd: Crowd) -> Lines:
    """For each of the first kinds: it alone, and all that accept every arm it is priced by."""
    kinds = list(dict.fromkeys(crowd.kind.tolist()))
    chosen: list[Company] = []
    joins: list[Bools] = []
    for k in kinds[:MOST_LED]:
        mask = crowd.kinds[k].mask
        suits = np.array([one & mask == mask for one in crowd.masks])[crowd.suit]
        alone = suits & (crowd.kind == k)
        if Company(mask, None) not in chosen:
            chosen.append(Company(mask, None))
            joins.append(suits)
        if len(kinds) > 1 and not np.array_equal(alone, suits):
            chosen.append(Company(mask, k))
            joins.append(alone)
    joined = np.array(joins)
    first = np.zeros(len(joins) + 1, dtype=np.intp)
    np.cumsum(np.count_nonzero(joined, axis=1), out=first[1:])
    return Lines(chosen, joined, joined.nonzero()[1], first, kinds)


def rest(crowd: Crowd, formed: Lines) -> Rest:
    """The rest, those that a batch begins behind being given up."""
    level, density = _levels(crowd, formed.kinds)
    reserves_s = reserve_s([crowd.kinds[k] for k in formed.kinds]).max(axis=0)
    lags_s = np.array([kind.lag_s for kind in crowd.kinds])
    lags_s[formed.kinds] += reserves_s
    taken = np.cumsum(crowd.work_s * formed.joins, axis=1)
    due_s = crowd.deadlines - lags_s[crowd.kind] - np.cumsum(crowd.work_s)
    mine = level[crowd.kind] == np.arange(len(density))[:, None]
    before_s = np.where(mine[:, None] & ~formed.joins, due_s + taken, np.inf)
    latest_s = np.minimum.accumulate(before_s, axis=2, out=before_s)
    behind_s = np.full(mine.shape, np.inf)
    behind_s[:, :-1] = np.where(mine, due_s, np.inf)[:, 1:]
    behind_s = np.minimum.accumulate(behind_s[:, ::-1], axis=1)[:, ::-1]
    latest_s = np.minimum(latest_s, behind_s[:, None] + taken, out=latest_s)
    work_s = mine * crowd.work_s
    left_s = work_s.sum(axis=1)[:, None, None] - np.cumsum(work_s[:, None] * formed.joins, axis=2)
    return Rest(latest_s, left_s, density)


def _levels(crowd: Crowd, kinds: Sequence[int]) -> tuple[Ints, Sequence[float]]:
    """The level of each kind, and the density of each level: the least of its kinds."""
    ranked = sorted(kinds, key=lambda k: crowd.kinds[k].density)
    count = min(LEVELS, len(ranked))
    level, density = np.zeros(len(crowd.kinds), dtype=np.intp), dict[int, float]()
    for rank, k in enumerate(ranked):
        level[k] = rank * count // len(ranked)
        density.setdefault(int(level[k]), crowd.kinds[k].density)
    return level, list(density.values())
