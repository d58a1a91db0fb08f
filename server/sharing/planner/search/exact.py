"""The best plan there is, with proof: a mixed-integer program for scipy's HiGHS. The oracle of the fast search. Pure.

Binary variables say which option each task takes; continuous ones in [0, 1] whether each stretch of the stem runs at
least at each rate. A stretch does where a task that runs at least so fast branches at its end or deeper.
"""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, OptimizeResult, milp
from scipy.sparse import coo_array, vstack

from server.sharing.planner.options import Floats, Ints, OptionTable, menu_of, planned
from server.sharing.planner.plan import Infeasible, Plan
from server.sharing.planner.search.field import Field
from server.sharing.planner.search.pricing import cheapest_picks
from server.sharing.planner.workload import Workload

PROVEN = 1e-9  # relative gap between plan and bound at which the solver may stop
SCALE = 1e3  # what is minimised is made so large that the solver's absolute tolerance, 1e-6, does not matter
MOST_TIES = 20
"""Choices that exceed the budget by less than the solver sees are forbidden one by one; of more, a share is spared."""
TOLERANCE = 2e-6  # that share: more than the solver exceeds a row of ones by
TINY = 1e-300  # stands for nothing where nothing would be divided by
ROUNDED_UP = (
    1e-9  # relative: a smallest budget is named so much larger that planning with it succeeds
)


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


@dataclass(frozen=True, slots=True)
class _Aims:
    """A coefficient a column, rows beside the program's, and what the columns may cost in all."""

    minimised: Floats
    rows: list[LinearConstraint]
    budget: float


def solve(workload: Workload, *, time_limit_s: float | None = None) -> Exact:
    """Best plan and proven bound; they meet unless the time ran out.

    Raises Infeasible where no plan fits the budget, TimeoutError where none was found in time.
    """
    menu = menu_of(workload)
    program = _program(menu)
    budget = workload.rules.budget
    aim, rows = _aims(program, menu, workload)
    bound = np.inf
    while True:
        spared = TOLERANCE if len(rows) > MOST_TIES else 0.0
        aims = _Aims(SCALE * aim, rows, budget * (1.0 - spared))
        found = _run(program, aims, time_limit_s)
        if found.status == 2:
            raise infeasible(workload, menu)
        if found.x is None:
            raise TimeoutError(f"no plan was found in {time_limit_s} s; give it more time")
        plan = _plan(program, menu, found.x, workload)
        bound = bound if spared else -float(found.mip_dual_bound) / SCALE
        if plan.cost <= budget:
            return Exact(plan, max(bound, plan.objective))
        # The solver keeps to its rows within a millionth, we to the budget: that choice is forbidden.
        rows = [*rows, _any_but(found.x, program)]


def cheapest(workload: Workload, menu: OptionTable | None = None) -> Plan | None:
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
    aim = program.cost * (SCALE / max(plan.cost, TINY))
    found = _run(program, _Aims(aim, [], plan.cost), None)
    return min(plan, _plan(program, menu, found.x, workload), key=lambda p: p.cost)


def infeasible(workload: Workload, menu: OptionTable) -> Infeasible:
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


def _program(menu: OptionTable) -> _Program:
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
    return _Program(places, cost, rows)


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


def _any_but(x: Floats, program: _Program) -> LinearConstraint:
    """Not all of these options together."""
    taken = np.where(x > 0.5, 1.0, 0.0)
    taken[len(program.places) :] = 0.0
    return LinearConstraint(coo_array(taken[None, :]).tocsc(), -np.inf, float(taken.sum()) - 1.0)


def _aims(
    program: _Program, menu: OptionTable, workload: Workload
) -> tuple[Floats, list[LinearConstraint]]:
    """What to minimise, and rows that say what it means."""
    f1 = menu.f1[tuple(program.places.T)]
    aim = np.zeros(program.cost.size)
    if workload.rules.objective == "mean":
        aim[: f1.size] = -f1 * menu.weights[program.places[:, 0]]
        return aim, []
    aim[-1] = -1.0
    row = np.concatenate([program.places[:, 0], np.arange(len(menu.names))])
    column = np.concatenate([np.arange(f1.size), np.full(len(menu.names), aim.size - 1)])
    values = np.concatenate([f1, -np.ones(len(menu.names))])
    at_least = coo_array((values, (row, column)), shape=(len(menu.names), aim.size))
    return aim, [LinearConstraint(at_least.tocsc(), 0.0, np.inf)]


def _run(program: _Program, aims: _Aims, time_limit_s: float | None) -> OptimizeResult:
    affordable = program.cost <= aims.budget * (1.0 + ROUNDED_UP)
    share = np.where(affordable, program.cost, 0.0) / max(aims.budget, TINY)
    within = LinearConstraint(coo_array(share[None, :]).tocsc(), -np.inf, 1.0)
    whole = np.zeros(program.cost.size)
    whole[: len(program.places)] = 1
    limits = {} if time_limit_s is None else {"time_limit": time_limit_s}
    return milp(
        aims.minimised,
        integrality=whole,
        bounds=Bounds(0.0, cast(Any, affordable * 1.0)),
        constraints=[program.rows, within, *aims.rows],
        options={"mip_rel_gap": PROVEN, **limits},
    )


def _plan(program: _Program, menu: OptionTable, x: Floats, workload: Workload) -> Plan:
    taken = program.places[np.flatnonzero(x[: len(program.places)] > 0.5)]
    return planned([menu.options[t, d, r] for t, d, r in taken.tolist()], menu.names, workload)
