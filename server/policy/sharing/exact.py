"""The best plan there is, with proof: a mixed-integer program for scipy's HiGHS. The oracle of the fast search. Pure.

Binary variables say which option each task takes; continuous ones in [0, 1] whether each stretch of the stem runs at
least at each rate. A stretch does where a task that runs at least so fast branches at its end or deeper.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import coo_array, vstack

from server.policy.sharing.field import Field
from server.policy.sharing.options import Floats, Ints, Menu, menu_of, planned
from server.policy.sharing.plan import Infeasible, Plan
from server.policy.sharing.pricing import cheapest_picks
from server.policy.sharing.workload import Workload

PROVEN = 1e-9
"""Relative gap between plan and bound at which the solver may stop."""
SCALE = 1e3
"""What is minimised is made so large that the solver's absolute tolerance, 1e-6, does not matter."""
TOLERANCE = 2e-6
"""Relative: more than the solver exceeds a row of ones by."""
ROUNDED_UP = 1e-9
"""Relative: a smallest budget is named so much larger that planning with it succeeds."""


@dataclass(frozen=True, slots=True)
class Exact:
    """The best plan found, and an objective that no plan exceeds."""

    plan: Plan
    bound: float


@dataclass(frozen=True, slots=True)
class _Program:
    """Columns: options, then (stretch, rate) of the stem, then the smallest F1."""

    places: Ints
    """(options, 3): task, depth and rate in the menu."""
    cost: Floats
    """Of every column."""
    rows: LinearConstraint
    """One option a task; the stem runs as the options need."""
    shape: tuple[int, int]
    """Stretches and rates of the stem."""


def solve(workload: Workload, *, time_limit_s: float | None = None) -> Exact:
    """Best plan and proven bound; they meet unless the time ran out.

    Raises Infeasible where no plan fits the budget, TimeoutError where none was found in time.
    """
    menu = menu_of(workload)
    program = _program(menu)
    budget = workload.rules.budget
    aims = _aims(program, menu, workload)
    found = _run(program, aims, budget, time_limit_s)
    if found.status == 2:
        raise infeasible(workload, menu)
    if found.x is None:
        raise TimeoutError(f"no plan was found in {time_limit_s} s; give it more time")
    bound = -float(found.mip_dual_bound) / SCALE
    plan = _plan(program, menu, found.x, workload)
    if plan.cost > budget:
        # The solver's rows hold to its tolerance only; the budget holds.
        found = _run(program, aims, budget * (1.0 - TOLERANCE), time_limit_s)
        within = None if found.x is None else _plan(program, menu, found.x, workload)
        plan = within or cheapest(workload, menu)
        if plan is None or plan.cost > budget:
            raise infeasible(workload, menu)
    return Exact(plan, max(bound, plan.objective))


def cheapest(workload: Workload, menu: Menu | None = None) -> Plan | None:
    """The plan that costs least, of those that reach every floor; None if no budget allows one."""
    menu = menu or menu_of(workload)
    quick = cheapest_picks(Field(menu, menu.f1, workload.rules.budget))
    if quick is None:
        return None
    options = [menu.options[task, depth, rate] for task, (depth, rate) in enumerate(quick.tolist())]
    plan = planned(options, menu.names, workload)
    if not _floored(workload):
        # All run at the lowest rate, so the stem has one step, and all stems of one step were tried.
        return plan
    program = _program(menu)
    found = _run(program, (program.cost / program.cost.max(), None), None, None)
    return min(plan, _plan(program, menu, found.x, workload), key=lambda p: p.cost)


def infeasible(workload: Workload, menu: Menu) -> Infeasible:
    """The error that names the smallest budget with which planning succeeds."""
    least = cheapest(workload, menu)
    if least is None:
        reached = np.isfinite(menu.f1).any(axis=(1, 2))
        lacking = ", ".join(menu.names[i] for i in np.flatnonzero(~reached))
        return Infeasible(f"no branch and rate reaches the floor of {lacking}; lower it", np.inf)
    smallest = least.cost * (1.0 + ROUNDED_UP)
    floors = " and reaches every floor" if _floored(workload) else ""
    return Infeasible(
        f"no plan fits a budget of {workload.rules.budget:g} a second{floors}; the smallest that has one is"
        f" {smallest:.9g}",
        smallest,
    )


def _floored(workload: Workload) -> bool:
    return workload.rules.objective == "mean" and any(task.floor > 0 for task in workload.tasks)


def _program(menu: Menu) -> _Program:
    places = np.argwhere(np.isfinite(menu.f1))
    stretches, rates = len(menu.depths) - 1, len(menu.rates_fps)
    stem = np.outer(menu.segments, np.diff(menu.rates_fps, prepend=0.0)).ravel()
    cost = np.concatenate([menu.head_cost[tuple(places.T)], stem, [0.0]])
    ones = np.ones(len(places))
    one_each = coo_array(
        (ones, (places[:, 0], np.arange(len(places)))), shape=(len(menu.names), cost.size)
    )
    needs = _needs(places, (len(menu.names), stretches, rates), cost.size)
    one, corners = np.ones(len(menu.names)), np.zeros(len(menu.names) * stretches * rates)
    low: Any = np.concatenate([one, corners - np.inf])
    high: Any = np.concatenate([one, corners])
    rows = LinearConstraint(vstack([one_each, needs], format="csc"), low, high)
    return _Program(places, cost, rows, (stretches, rates))


def _needs(places: Ints, shape: tuple[int, int, int], columns: int) -> coo_array:
    """For each task, stretch and rate: the options that need it, less the stem's column, is at most 0."""
    tasks, stretches, rates = shape
    row: list[Ints] = []
    column: list[Ints] = []
    for at, (task, depth, rate) in enumerate(places):
        deep, fast = np.indices((depth, rate + 1))
        row.append(((task * stretches + deep) * rates + fast).ravel())
        column.append(np.full(depth * (rate + 1), at))
    corners = np.arange(tasks * stretches * rates)
    row.append(corners)
    column.append(len(places) + corners % (stretches * rates))
    values = np.concatenate([np.ones(sum(map(len, row[:-1]))), -np.ones(corners.size)])
    return coo_array(
        (values, (np.concatenate(row), np.concatenate(column))), shape=(corners.size, columns)
    )


Aims = tuple[Floats, LinearConstraint | None]
"""What to minimise, a coefficient a column, and what else must hold."""


def _aims(program: _Program, menu: Menu, workload: Workload) -> Aims:
    f1 = menu.f1[tuple(program.places.T)]
    aim = np.zeros(program.cost.size)
    if workload.rules.objective == "mean":
        aim[: f1.size] = -f1 * menu.weights[program.places[:, 0]]
        return aim, None
    aim[-1] = -1.0
    row = np.concatenate([program.places[:, 0], np.arange(len(menu.names))])
    column = np.concatenate([np.arange(f1.size), np.full(len(menu.names), aim.size - 1)])
    values = np.concatenate([f1, -np.ones(len(menu.names))])
    at_least = coo_array((values, (row, column)), shape=(len(menu.names), aim.size))
    return aim, LinearConstraint(at_least.tocsc(), 0.0, np.inf)


def _run(
    program: _Program, aims: Aims, budget: float | None, time_limit_s: float | None
) -> OptimizeResult:
    aim, more = aims
    rows = [program.rows, *([more] if more is not None else [])]
    if budget is not None:
        scale = 1.0 / max(budget, program.cost.max())
        within = coo_array(program.cost[None, :] * scale).tocsc()
        rows.append(LinearConstraint(within, -np.inf, budget * scale))
    whole = np.zeros(aim.size)
    whole[: len(program.places)] = 1
    limits = {} if time_limit_s is None else {"time_limit": time_limit_s}
    return milp(
        SCALE * aim,
        integrality=whole,
        bounds=Bounds(0.0, 1.0),
        constraints=rows,
        options={"mip_rel_gap": PROVEN, **limits},
    )


def _plan(program: _Program, menu: Menu, x: Floats, workload: Workload) -> Plan:
    taken = program.places[np.flatnonzero(x[: len(program.places)] > 0.5)]
    options = [menu.options[task, depth, rate] for task, depth, rate in taken.tolist()]
    return planned(options, menu.names, workload)
