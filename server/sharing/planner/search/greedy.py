"""Mainstream's greedy scheduler (2018), to compare with: the change of one task that pays most, again and again. Pure.

It begins with every task at its deepest branch and lowest rate. Of all changes of one task to another branch, rate and
votes that raise its F1 and fit the budget, it makes the one with most F1 gained per cost added, until there is none.
The paper says so; its released code divides what F1 still lacks by the cost of the task's own layers instead, which
finds worse plans. It never sees that a deeper stem pays once several tasks move, and it knows no floors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from server.sharing.planner.events import Floats, event_table
from server.sharing.planner.options import with_choices
from server.sharing.planner.plan import Choice, Infeasible, Plan
from server.sharing.planner.tree import cost_of, stem_of
from server.sharing.planner.workload import Task, Workload

_FREE = 1e-9
"""Of the budget: less is no cost, and a change that adds nothing is taken first. Also the least gain of F1."""

_ROUNDED = 1.0 + 1e-12
"""Costs are summed in another order here than in a plan; which ones fit the budget exactly is for the plan to say."""


@dataclass(frozen=True, slots=True)
class _Board:
    """One task's choices; arrays are (branches, rates), each with its best votes."""

    f1: Floats
    own: Floats
    """Cost of the task's own layers."""
    choices: tuple[tuple[Choice, ...], ...]


def greedy(workload: Workload) -> Plan:
    """The greedy plan. Raises Infeasible where not even its beginning fits the budget."""
    rules = workload.rules
    boards = [_board(task, workload) for task in workload.tasks]
    plan = with_choices(tuple(board.choices[-1][0] for board in boards), workload)
    if plan.cost > rules.budget:
        raise Infeasible(
            f"greedy begins at {plan.cost:.6g} a second, more than the budget {rules.budget:.6g}",
            plan.cost,
        )
    while (better := _step(plan, boards, workload)) is not None:
        plan = better
    return plan


def _board(task: Task, workload: Workload) -> _Board:
    rules, costs = workload.rules, workload.costs
    table = event_table(task, rules)
    best = table.f1.argmax(axis=2)
    cuts = [branch.frozen for branch in task.branches]
    own = np.outer([costs.heads[task.name, cut] for cut in cuts], rules.rates_fps)
    choices = tuple(
        tuple(
            Choice(task.name, cut, rate, rules.x_votes[best[b, r]], table.at(b, r, best[b, r]))
            for r, rate in enumerate(rules.rates_fps)
        )
        for b, cut in enumerate(cuts)
    )
    return _Board(table.f1.max(axis=2), own, choices)


def _step(plan: Plan, boards: Sequence[_Board], workload: Workload) -> Plan | None:
    """With the change that pays most; None where none fits. For the smallest F1 only tasks that have it change."""
    best, pays, rules = None, 0.0, workload.rules
    lowest = min(choice.scores.f1 for choice in plan.choices)
    for at, (task, board) in enumerate(zip(workload.tasks, boards, strict=True)):
        now, others = plan.choices[at], [*plan.choices[:at], *plan.choices[at + 1 :]]
        if rules.objective == "maxmin" and now.scores.f1 > lowest:
            continue
        totals = _cost_with(board, others, workload)
        gained = board.f1 - now.scores.f1
        allowed = (gained > _FREE) & (totals <= rules.budget * _ROUNDED)
        added = np.maximum((totals - plan.cost) / rules.budget, _FREE)
        worth = np.where(allowed, task.weight * gained / added, 0.0)
        while worth.max() > pays:
            branch, rate = divmod(int(worth.argmax()), worth.shape[1])
            changed = _with(plan, at, board.choices[branch][rate], workload)
            if changed.cost <= rules.budget:
                best, pays = changed, float(worth[branch, rate])
            worth[branch, rate] = 0.0
    return best


def _cost_with(board: _Board, others: Sequence[Choice], workload: Workload) -> Floats:
    """What the others and each choice of this task cost together, (branches, rates)."""
    costs, cuts = workload.costs, [row[0].frozen for row in board.choices]
    stem = stem_of((choice.frozen, choice.rate_fps) for choice in others)
    points = sorted({0, *cuts, *(step.end for step in stem)})
    running = [max((s.rate_fps for s in stem if s.end >= point), default=0.0) for point in points]
    more = np.maximum(np.subtract.outer(workload.rules.rates_fps, running[1:]), 0.0).T
    length = np.diff([costs.stem[point] for point in points])
    through = np.vstack([np.zeros(more.shape[1]), np.cumsum(length[:, None] * more, axis=0)])
    return cost_of(others, costs) + through[np.searchsorted(points, cuts)] + board.own


def _with(plan: Plan, at: int, choice: Choice, workload: Workload) -> Plan:
    """The plan in which one task runs so."""
    return with_choices((*plan.choices[:at], choice, *plan.choices[at + 1 :]), workload)
