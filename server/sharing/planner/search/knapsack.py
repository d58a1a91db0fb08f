"""The best choice of every task below one staircase of the stem: a multiple-choice knapsack, solved exactly. Pure.

With m the price of cost at which the relaxed knapsack is just full, no option that falls further short of its task's
best at m than the bound is above a known plan can be part of a better plan. Few remain (Pisinger 1995), and all their
undominated sums are listed task by task.
"""

from dataclasses import dataclass

import numpy as np

from server.sharing.planner.options import Floats, Ints

MOST_CHORDS = 60
"""Steps towards the price; fewer than ten are usual."""
LEVEL = 1e-14
"""Benefit that is no more than rounding."""
MOST_STATES = 2000
"""Partial sums kept a task; beyond them the least promising go, and the answer may not be the best."""
WORTH_FINDING = 1e-6
"""Of the objective: a plan better by less is not looked for."""


@dataclass(frozen=True, slots=True)
class Knapsack:
    """Benefit and cost of every option, (tasks, options); benefit is -inf where it may not be taken."""

    benefit: Floats
    cost: Floats
    budget: float


@dataclass(frozen=True, slots=True)
class _Sums:
    """Of the first few tasks: undominated sums by ascending cost, and how each came about."""

    cost: Floats
    benefit: Floats
    parent: Ints
    option: Ints


def best_fill(sack: Knapsack, above: float) -> Ints | None:
    """The option of every task, (tasks,), with most benefit in all, if that is more than `above`; None if none is."""
    if not np.isfinite(sack.benefit).any(axis=1).all():
        return None
    rows = np.arange(len(sack.cost))
    cheapest = np.where(np.isfinite(sack.benefit), sack.cost, np.inf).argmin(axis=1)
    if sack.cost[rows, cheapest].sum() > sack.budget:
        return None
    price, taken = _just_full(sack, cheapest)
    net = sack.benefit - price * sack.cost
    short = net.max(axis=1, keepdims=True) - net
    bound = float(net.max(axis=1).sum()) + price * sack.budget
    value = float(sack.benefit[rows, taken].sum())
    gap = bound - max(value, above) - WORTH_FINDING
    found = _listed(sack, short, price, gap) if gap > 0 else None
    if found is not None:
        return found
    return taken if value > above else None


def _just_full(sack: Knapsack, cheapest: Ints) -> tuple[float, Ints]:
    """The lowest price found at which what every task likes best fits the budget, and that.

    The price follows the chord between a choice that fits and one that does not: the relaxed knapsack's bound is a
    convex, piecewise linear function of it, so this ends at the very kink (Dinkelbach 1967).
    """
    rows = np.arange(len(sack.cost))

    def liked(price: float) -> tuple[float, float, Ints]:
        taken = (sack.benefit - price * sack.cost).argmax(axis=1)
        return float(sack.cost[rows, taken].sum()), float(sack.benefit[rows, taken].sum()), taken

    cost, benefit, taken = liked(0.0)
    if cost <= sack.budget:
        return 0.0, taken
    low = cost, benefit
    high = float(sack.cost[rows, cheapest].sum()), float(sack.benefit[rows, cheapest].sum())
    price, taken = 0.0, cheapest
    for _ in range(MOST_CHORDS):
        price = (low[1] - high[1]) / (low[0] - high[0])
        cost, benefit, likes = liked(price)
        if benefit - price * cost <= high[1] - price * high[0] + LEVEL:
            break
        if cost <= sack.budget:
            high, taken = (cost, benefit), likes
        else:
            low = cost, benefit
    return price, taken


def _listed(sack: Knapsack, short: Floats, price: float, gap: float) -> Ints | None:
    """The best of the sums whose options together fall short by no more than `gap`; None if there is none."""
    near = short <= gap
    least = np.where(near, sack.cost, np.inf).min(axis=1)
    most = np.where(near, sack.cost, -np.inf).max(axis=1)
    least_after = np.concatenate([np.cumsum(least[::-1])[-2::-1], [0.0]])
    most_after = np.concatenate([np.cumsum(most[::-1])[-2::-1], [0.0]])
    sums = _Sums(np.zeros(1), np.zeros(1), np.zeros(1, np.int64), np.zeros(1, np.int64))
    best_net = (sack.benefit - price * sack.cost).max(axis=1).cumsum()
    steps: list[_Sums] = []
    for task, options in enumerate(near):
        option = np.flatnonzero(options)
        cost = (sums.cost[:, None] + sack.cost[task, option]).ravel()
        benefit = (sums.benefit[:, None] + sack.benefit[task, option]).ravel()
        lacks = best_net[task] - (benefit - price * cost)
        unused = np.maximum(sack.budget - cost - most_after[task], 0.0)
        fits = (cost + least_after[task] <= sack.budget) & (lacks + price * unused <= gap)
        sums = _undominated(cost, benefit, np.flatnonzero(fits), lacks)
        parent, picked = np.divmod(sums.parent, option.size)
        sums = _Sums(sums.cost, sums.benefit, parent, option[picked])
        if not sums.cost.size:
            return None
        steps.append(sums)
    return _traced(steps)


def _undominated(cost: Floats, benefit: Floats, among: Ints, lacks: Floats) -> _Sums:
    """Those beside which no other costs less and brings as much; `parent` holds where they stood."""
    order = among[np.lexsort((-benefit[among], cost[among]))]
    before = np.maximum.accumulate(np.concatenate([[-np.inf], benefit[order]]))[:-1]
    order = order[benefit[order] > before]
    if order.size > MOST_STATES:
        order = np.sort(order[np.argsort(lacks[order], kind="stable")[:MOST_STATES]])
    return _Sums(cost[order], benefit[order], order, order)


def _traced(steps: list[_Sums]) -> Ints:
    """The options behind the best of the last sums."""
    at = int(steps[-1].benefit.argmax())
    taken: list[int] = []
    for sums in reversed(steps):
        taken.append(int(sums.option[at]))
        at = int(sums.parent[at])
    return np.array(taken[::-1], np.int64)
