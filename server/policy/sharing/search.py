"""A plan close to the best one, fast: the stem's staircase is searched, each task's choice below it solved exactly. Pure.

Cost gets a price; at the one at which the best staircase just spends the budget, and near it, staircases are ranked by the
bound that the relaxed choice below them gives (`pricing.py`), and solved, best bound first, until no bound is above the
plan in hand. That plan always fits the budget, so the search may be stopped at any time.
"""

from collections.abc import Callable

import numpy as np

from server.policy.sharing.exact import cheapest, infeasible
from server.policy.sharing.field import Field, Picks, levels_of
from server.policy.sharing.knapsack import WORTH_FINDING
from server.policy.sharing.options import Ints, Menu, mean_f1, menu_of, planned
from server.policy.sharing.plan import Plan
from server.policy.sharing.pricing import candidates, cheapest_picks
from server.policy.sharing.replan import adapted
from server.policy.sharing.workload import Workload

SOLVED = 100
"""At most so many staircases are solved; where tasks are few, bounds are loose and many would be."""
SPARED = 1e-12
"""Share of the budget left for rounding when costs are summed in another order."""


def always() -> bool:
    """Search to the end."""
    return True


def plan(
    workload: Workload, *, warm: Plan | None = None, keep_going: Callable[[], bool] = always
) -> Plan:
    """Always within the budget, and at least as good as `warm` where that still fits.

    Raises Infeasible, with the smallest budget that has a plan.
    """
    menu = menu_of(workload)
    benefit = menu.f1 * menu.weights[:, None, None]
    field = Field(menu, benefit, workload.rules.budget * (1.0 - SPARED))
    first = cheapest_picks(field)
    if first is None or field.cost_of(first) > field.budget:
        raise infeasible(workload, menu)
    best = improved(field, first, np.zeros((0, len(menu.depths) - 1), np.int64), keep_going)
    return planned(field.options(best), menu.names, workload)


def improved(field: Field, first: Picks, seeds: Ints, keep_going: Callable[[], bool]) -> Picks:
    """`first` or better picks within the budget; the `seeds`, (n, stretches), are among the staircases tried."""
    best, brings = first, field.benefit_of(first)
    ranked = candidates(field, seeds, keep_going)
    for levels, bound in zip(ranked.levels[:SOLVED], ranked.worth, strict=False):
        if bound <= brings + WORTH_FINDING or not keep_going():
            break
        found = field.filled(levels, brings)
        if found is not None:
            best, brings = found, field.benefit_of(found)
    return best
