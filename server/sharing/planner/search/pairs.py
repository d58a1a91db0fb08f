"""Two tasks at a time moved together to their best options: exact for two, a last touch for a few. Pure.

For where tasks are few: the bounds by which staircases are ranked are loose there, and all pairs are quickly tried.
"""

from collections.abc import Callable
from itertools import combinations

import numpy as np

from server.sharing.planner.options import Floats
from server.sharing.planner.search.field import Field, Picks, levels_of
from server.sharing.planner.search.knapsack import WORTH_FINDING

MOST_TASKS = 6
"""With more the bounds are tight and pairs many."""


def polished(field: Field, picks: Picks, keep_going: Callable[[], bool]) -> Picks:
    """As good or better, until no pair of tasks can be improved."""
    tasks = len(picks)
    if not 2 <= tasks <= MOST_TASKS:
        return picks
    pairs, since = list(combinations(range(tasks), 2)), 0
    while since < len(pairs) and keep_going():
        pair = pairs.pop(0)
        pairs.append(pair)
        better = _moved(field, picks, pair)
        picks, since = (picks, since + 1) if better is None else (better, 0)
    return picks


def _moved(field: Field, picks: Picks, pair: tuple[int, int]) -> Picks | None:
    """The picks with the best of all pairs of options for these two; None if they are no better."""
    others = np.delete(picks, pair, axis=0)
    rows = np.delete(np.arange(len(picks)), pair)
    left = field.budget - float(field.menu.head_cost[rows, others[:, 0], others[:, 1]].sum())
    mine, theirs = (np.argwhere(np.isfinite(field.benefit[task])) for task in pair)
    benefit = np.add.outer(_of(field.benefit, pair[0], mine), _of(field.benefit, pair[1], theirs))
    head_cost = np.add.outer(
        _of(field.menu.head_cost, pair[0], mine), _of(field.menu.head_cost, pair[1], theirs)
    )
    stem = _stem_cost(field, others, mine, theirs)
    benefit = np.where(stem + head_cost <= left, benefit, -np.inf)
    at, beside = np.unravel_index(benefit.argmax(), benefit.shape)
    moved = picks.copy()
    moved[list(pair)] = mine[at], theirs[beside]
    gain = field.benefit_of(moved) - field.benefit_of(picks)
    return moved if np.isfinite(benefit[at, beside]) and gain > WORTH_FINDING else None


def _of(table: Floats, task: int, picks: Picks) -> Floats:
    return table[task, picks[:, 0], picks[:, 1]]


def _stem_cost(field: Field, others: Picks, mine: Picks, theirs: Picks) -> Floats:
    """A second, for every pair of picks beside the others', (mine, theirs)."""
    stretches = len(field.menu.depths) - 1
    rates = np.concatenate([[0.0], field.menu.rates_fps])
    least = rates[levels_of(others, stretches)] if len(others) else np.zeros(stretches)
    inside = np.arange(stretches)
    first, second = (
        np.maximum(least, np.where(inside < picks[:, :1], rates[picks[:, 1:] + 1], 0.0))
        for picks in (mine, theirs)
    )
    cost = np.zeros((len(mine), len(theirs)))
    for stretch, segment in enumerate(field.menu.segments):
        cost += segment * np.maximum.outer(first[:, stretch], second[:, stretch])
    return cost
