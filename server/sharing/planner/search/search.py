"""A plan close to the best one, fast: the stem's staircase is searched, each task's choice below it solved. Pure.

Cost gets a price; at the one at which the best staircase just spends the budget, and near it, staircases are ranked by
the bound that the relaxed choice below them gives (`pricing.py`), and solved, best bound first, until no bound is above
the plan in hand. That plan always fits the budget, so the search may be stopped at any time.
"""

from collections.abc import Callable
from math import inf

import numpy as np

from server.sharing.planner.options import Ints, OptionTable, mean_f1, menu_of, planned
from server.sharing.planner.plan import Plan
from server.sharing.planner.search.exact import cheapest, infeasible
from server.sharing.planner.search.field import Field, Picks, levels_of
from server.sharing.planner.search.knapsack import WORTH_FINDING
from server.sharing.planner.search.pairs import polished
from server.sharing.planner.search.pricing import candidates, cheapest_picks
from server.sharing.planner.search.replan import adapted
from server.sharing.planner.workload import Workload

SOLVED = 100
"""At most so many staircases are solved; where tasks are few, bounds are loose and many would be."""
ROUNDED = 1e-12
"""Relative: costs summed in another order differ by less."""


def always() -> bool:
    """Search to the end."""
    return True


def plan(
    workload: Workload, *, warm: Plan | None = None, keep_going: Callable[[], bool] = always
) -> Plan:
    """Always within the budget, and at least as good as `warm` where that still fits.

    `keep_going` is asked now and then; once it says no the best plan so far is returned. Raises Infeasible, with the
    smallest budget that has a plan, and ValueError where there is no task or a cost is not known.
    """
    menu = menu_of(workload)
    kept = None if warm is None else adapted(warm, workload)
    budget = min(workload.rules.budget, _dearest(menu))
    for allowed in budget * (1.0 + ROUNDED), budget * (1.0 - ROUNDED):
        # Plans may spend a budget exactly; which sums do is for the plan's own cost to say.
        field, first = _field(menu, allowed, workload)
        if workload.rules.objective == "maxmin":
            field, first = _raised(field, first, keep_going)
        best = improved(field, first, _seeds(menu, kept), keep_going)
        found = planned(field.options(best), menu.names, workload)
        if found.cost <= workload.rules.budget:
            break
    return found if kept is None or _better(found, kept, workload) else kept


def _field(menu: OptionTable, budget: float, workload: Workload) -> tuple[Field, Picks]:
    """What is to be searched, and picks that fit."""
    weighted = np.where(np.isfinite(menu.f1), menu.f1, 0.0) * menu.weights[:, None, None]
    field = Field(menu, np.where(np.isfinite(menu.f1), weighted, -inf), budget)
    first = cheapest_picks(field)
    if first is not None and field.cost_of(first) <= field.budget:
        return field, first
    least = cheapest(workload, menu)
    if least is None or least.cost > field.budget:
        raise infeasible(workload, menu)
    return field, _picks(menu, least)


def _dearest(menu: OptionTable) -> float:
    """More than any plan costs; infinite where none costs anything, as prices are told in parts of a budget."""
    heads = float(menu.head_cost.max(axis=(1, 2)).sum())
    return 2.0 * (heads + float(menu.segments.sum()) * menu.rates_fps[-1]) or inf


def _raised(field: Field, first: Picks, keep_going: Callable[[], bool]) -> tuple[Field, Picks]:
    """Only the options that leave the smallest F1 as high as it can be, and picks that fit."""
    levels = np.unique(field.menu.f1[np.isfinite(field.menu.f1)])
    low, high = -1, int(np.searchsorted(levels, field.menu.f1.max(axis=(1, 2)).min())) + 1
    best = first
    while high - low > 1 and keep_going():
        middle = (low + high) // 2
        picks = cheapest_picks(field.above(levels[middle]))
        if picks is not None and field.cost_of(picks) <= field.budget:
            low, best = middle, picks
        else:
            high = middle
    return field.above(levels[low]) if low >= 0 else field, best


def _picks(menu: OptionTable, plan: Plan) -> Picks:
    by_name = {choice.task: choice for choice in plan.choices}
    chosen = [by_name[name] for name in menu.names]
    return np.array(
        [[menu.depths.index(c.frozen), menu.rates_fps.index(c.rate_fps)] for c in chosen]
    )


def _seeds(menu: OptionTable, kept: Plan | None) -> Ints:
    stretches = len(menu.depths) - 1
    none = np.zeros((1, stretches), np.int64)
    return none if kept is None else levels_of(_picks(menu, kept), stretches)[None, :]


def _better(found: Plan, kept: Plan, workload: Workload) -> bool:
    """Of equals the plan in force stays, and small change is no better."""
    if found.objective > kept.objective + WORTH_FINDING:
        return True
    more = mean_f1(found.choices, workload) - mean_f1(kept.choices, workload)
    return found.objective >= kept.objective and more > WORTH_FINDING


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
    return polished(field, best, keep_going)
