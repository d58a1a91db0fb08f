"""Staircases worth solving, best bound first, sought at the price of cost at which the best spends the budget. Pure."""

from collections.abc import Callable

import numpy as np

from server.sharing.planner.options import Ints
from server.sharing.planner.search.field import Field, Picks
from server.sharing.planner.search.staircases import Ranked, best_staircases, priced, top, worth_of

EVALUATED = 60_000, 400_000
"""Values (staircase, corner, task) computed a step of the beam: while the price is sought, and near the price.

So fewer tasks are searched more widely, which they need: their bounds are loose.
"""
LEAST_WIDE, MOST_WIDE = 16, 150
"""Staircases kept a step of the beam, whatever that comes to."""
HALVINGS = 9
"""Of the price's range, on a logarithmic scale."""
NEAR = (0.7, 1.0, 1.4)
"""Staircases are sought widely at these multiples of the price: budget left over or lacking moves it for some."""
AROUND = np.geomspace(0.4, 2.5, 13)
"""At these multiples of the price bounds are taken; the lowest counts."""
LOWEST, HIGHEST = 1e-3, 30.0
"""Range of the price, in objective for a whole budget."""


def cheapest_picks(field: Field) -> Picks | None:
    """Those that cost least of all allowed, or hardly more; None if some task has none."""
    allowed = np.where(np.isfinite(field.benefit), 0.0, -np.inf)
    found = best_staircases(priced(field.menu, allowed, 1.0), _width(field, EVALUATED[0]), 1)
    if not np.isfinite(found.worth[0]):
        return None
    return Field(field.menu, allowed, field.budget).liked(found.levels[0], 1.0)


def balanced(field: Field, keep_going: Callable[[], bool]) -> tuple[float, Ranked]:
    """The price at which the best staircase's liked picks just fit the budget, and all staircases met on the way."""
    width = _width(field, EVALUATED[0])
    low, high = LOWEST / field.budget, HIGHEST / field.budget
    met: list[Ranked] = []
    for _ in range(HALVINGS):
        if not keep_going():
            break
        price = float(np.sqrt(low * high))
        found = best_staircases(priced(field.menu, field.benefit, price), width, width)
        met.append(found)
        if field.cost_of(field.liked(found.levels[0], price)) > field.budget:
            low = price
        else:
            high = price
    return high, top(met, width * HALVINGS) if met else Ranked(
        np.zeros((0, len(field.menu.depths) - 1), np.int64), np.zeros(0)
    )


def bounded(field: Field, price: float, levels: Ints) -> Ranked:
    """The staircases by what at most can be brought below them, most first."""
    bound = np.full(len(levels), np.inf)
    for near in AROUND * price:
        worth = worth_of(priced(field.menu, field.benefit, near), levels)
        bound = np.minimum(bound, worth + near * field.budget)
    order = np.argsort(-bound, kind="stable")
    return Ranked(levels[order], bound[order])


def candidates(field: Field, seeds: Ints, keep_going: Callable[[], bool]) -> Ranked:
    """Staircases by their bounds: `seeds`, (n, stretches), and those found."""
    width = _width(field, EVALUATED[1])
    price, met = balanced(field, keep_going)
    several = [seeds, met.levels]
    for near in NEAR:
        if keep_going():
            reach = priced(field.menu, field.benefit, near * price)
            several.append(best_staircases(reach, width, 3 * width).levels)
    return bounded(field, price, np.unique(np.concatenate(several), axis=0))


def _width(field: Field, evaluated: int) -> int:
    values = field.benefit[:, 1:].size
    return min(max(evaluated // max(values, 1), LEAST_WIDE), MOST_WIDE)
