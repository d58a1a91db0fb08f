"""Who may share a batch where tickets differ, and what is left of the rest once some of them run."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.policy.dispatch.crowd import Crowd, reserve_s
from server.policy.dispatch.menu import Floats, Ints

MOST_LED = 3
"""Kinds that a batch may be formed for: those of the earliest deadlines. Others may still join."""
LEVELS = 3
"""Kinds are told apart in so many steps of what they are worth for their time."""


class Company(NamedTuple):
    """Kinds that may share a batch on the arms of `mask`."""

    kinds: frozenset[int]
    mask: int


@dataclass(frozen=True, slots=True)
class Lines:
    """The members of C companies one after the other (m in all), and what else waits, of n tickets.

    `at[i]` is the crowd's index of entry i; those of company c are from `first[c]` to `first[c + 1]`. `joins[c, k]`:
    whether kind k is in company c.
    """

    companies: Sequence[Company]
    joins: NDArray[np.bool_]
    at: Ints
    first: Ints


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left where company c runs up to ticket q, by level, worth least for its time first.

    `latest_s[level, c, q]`: the latest clock time (s) to go on then; `work_s[level, c, q]`: the work left;
    `density[level]`: what it is worth per second of it.
    """

    latest_s: Floats
    work_s: Floats
    density: Floats


def companies(crowd: Crowd) -> list[Company]:
    """For each of the first kinds: it alone, and all that accept every arm it does."""
    masks = {k: crowd.kinds[k].mask for k in dict.fromkeys(crowd.kind.tolist())}
    found: dict[Company, None] = {}
    for k in list(masks)[:MOST_LED]:
        mask = masks[k]
        found[Company(frozenset(j for j in masks if masks[j] & mask == mask), mask)] = None
        found[Company(frozenset([k]), mask)] = None
    return list(found)


def lines(crowd: Crowd, chosen: Sequence[Company]) -> Lines:
    """The members of the companies."""
    joins = np.array([[k in one.kinds for k in range(len(crowd.kinds))] for one in chosen])
    counts = np.bincount(crowd.kind, minlength=len(crowd.kinds))
    at = np.nonzero(joins[:, crowd.kind])[1]
    return Lines(chosen, joins, at, np.concatenate(([0], np.cumsum(joins @ counts))))


def rest(crowd: Crowd, lines: Lines) -> Rest:
    """The rest, those that a batch begins behind being given up."""
    levels, density = _levels(crowd)
    member = lines.joins[:, crowd.kind]
    taken = np.where(member, crowd.work_s, 0.0)
    there = np.unique(crowd.kind)
    lags_s = np.array([kind.lag_s for kind in crowd.kinds]) + reserve_s(crowd.kinds)[there].max(axis=0)
    lag_s = lags_s[crowd.kind]
    due_s = crowd.deadlines - lag_s - np.cumsum(crowd.work_s)
    mine = (levels[crowd.kind] == np.arange(len(density))[:, None])[:, None, :]
    before_s = np.where(mine & ~member, due_s + np.cumsum(taken, axis=1), np.inf)
    behind_s = np.full((len(density), 1, len(due_s) + 1), np.inf)
    behind_s[:, :, :-1] = np.where(mine, due_s, np.inf)
    behind_s = np.minimum.accumulate(behind_s[:, :, ::-1], axis=2)[:, :, ::-1]
    latest_s = np.minimum(
        np.minimum.accumulate(before_s, axis=2), behind_s[:, :, 1:] + np.cumsum(taken, axis=1)
    )
    work_s = np.where(mine, crowd.work_s, 0.0)
    left_s = work_s.sum(axis=2)[:, :, None] - np.cumsum(work_s * member, axis=2)
    return Rest(latest_s, left_s, density)


def _levels(crowd: Crowd) -> tuple[Ints, Floats]:
    """The level of each kind, and the density of each level."""
    density = np.array([kind.density for kind in crowd.kinds])
    there = np.unique(crowd.kind)
    ranked = there[np.argsort(density[there], kind="stable")]
    count = min(LEVELS, len(ranked))
    level = np.zeros(len(density), dtype=np.intp)
    level[ranked] = np.arange(len(ranked)) * count // len(ranked)
    starts = -(-np.arange(count) * len(ranked) // count)
    return level, density[ranked[starts]]
