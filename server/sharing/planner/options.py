"""What each task may choose from, scored and priced: the tables that planners search. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import fsum

import numpy as np
from numpy.typing import NDArray

from server.sharing.planner.events import event_table
from server.sharing.planner.plan import Choice, Plan, Scores
from server.sharing.planner.tree import cost_of, stem_of
from server.sharing.planner.workload import Task, Workload

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run one task; `head_cost` is that of its own layers, a second."""

    frozen: int
    rate_fps: float
    x_vote: int
    scores: Scores
    head_cost: float


@dataclass(frozen=True, slots=True)
class OptionTable:
    """The options of all tasks in one table, (tasks, depths, rates); F1 is -inf where there is none.

    Tasks stand by name, so that the order in which they are given does not matter to a search.
    """

    names: tuple[str, ...]
    weights: Floats
    """Sum to 1."""
    depths: tuple[int, ...]
    """Frozen layers, ascending; the first is 0, whether or not a task has that branch."""
    rates_fps: tuple[float, ...]
    f1: Floats
    head_cost: Floats
    segments: Floats
    """Cost a frame of the stem between neighbouring depths, (depths - 1,)."""
    options: dict[tuple[int, int, int], Option]
    """By the table's three positions."""


def options_of(task: Task, workload: Workload) -> tuple[Option, ...]:
    """Undominated: no other as good costs no more and needs no longer or faster stem. By frozen, then rate.

    Options below the task's floor are left out where the objective is the mean; there may be none. Raises ValueError
    where the cost of a branch is not known.
    """
    rules = workload.rules
    table = event_table(task, rules)
    votes = table.f1.argmax(axis=2)
    f1 = table.f1.max(axis=2)
    heads = np.array([_head_cost(task, branch.frozen, workload) for branch in task.branches])
    head_cost = np.outer(heads, rules.rates_fps)
    kept = ~_dominated(f1, head_cost)
    if rules.objective == "mean":
        kept &= f1 >= task.floor
    return tuple(
        Option(
            task.branches[branch].frozen,
            rules.rates_fps[rate],
            rules.x_votes[votes[branch, rate]],
            table.at(branch, rate, int(votes[branch, rate])),
            float(head_cost[branch, rate]),
        )
        for branch, rate in np.argwhere(kept).tolist()
    )


def _dominated(f1: Floats, head_cost: Floats) -> NDArray[np.bool_]:
    """Options, (branches, rates), beside which another is as good in everything; of equals the first stays."""
    branch, rate = (place.ravel() for place in np.indices(f1.shape))
    scores, costs = f1.ravel(), head_cost.ravel()
    as_good = (branch[:, None] <= branch) & (rate[:, None] <= rate)
    as_good &= (scores[:, None] >= scores) & (costs[:, None] <= costs)
    np.fill_diagonal(as_good, val=False)
    return np.asarray(as_good.any(axis=0), np.bool_).reshape(f1.shape)


def _head_cost(task: Task, frozen: int, workload: Workload) -> float:
    try:
        return workload.costs.heads[task.name, frozen]
    except KeyError:
        raise ValueError(
            f"task {task.name} has a branch at {frozen} whose cost is not known; measure it, or leave it out"
        ) from None


def _stem_cost(depth: int, workload: Workload) -> float:
    try:
        return workload.costs.stem[depth]
    except KeyError:
        raise ValueError(
            f"tasks branch at {depth}, and what the stem costs so far is not known; measure it"
        ) from None


def menu_of(workload: Workload) -> OptionTable:
    """Every task's options as one table. Raises ValueError where there is no task or a cost is not known."""
    tasks = sorted(workload.tasks, key=lambda task: task.name)
    if not tasks:
        raise ValueError("there is no task to plan for; add one")
    depths = tuple(sorted({0} | {b.frozen for task in tasks for b in task.branches}))
    rates_fps = workload.rules.rates_fps
    options = {
        (i, depths.index(option.frozen), rates_fps.index(option.rate_fps)): option
        for i, task in enumerate(tasks)
        for option in options_of(task, workload)
    }
    shape = len(tasks), len(depths), len(rates_fps)
    f1, head_cost = np.full(shape, -np.inf), np.zeros(shape)
    for place, option in options.items():
        f1[place], head_cost[place] = option.scores.f1, option.head_cost
    weights = np.array([task.weight for task in tasks])
    through = np.array([_stem_cost(depth, workload) for depth in depths])
    names = tuple(task.name for task in tasks)
    return OptionTable(
        names, weights / weights.sum(), depths, rates_fps, f1, head_cost, np.diff(through), options
    )


def planned(chosen: Iterable[Option], names: Sequence[str], workload: Workload) -> Plan:
    """The plan in which the named tasks run so; its stem, cost and objective follow."""
    by_name = dict(zip(names, chosen, strict=True))
    choices = tuple(choice(task.name, by_name[task.name]) for task in workload.tasks)
    return with_choices(choices, workload)


def choice(task: str, option: Option) -> Choice:
    """That task runs so."""
    return Choice(task, option.frozen, option.rate_fps, option.x_vote, option.scores)


def with_choices(choices: tuple[Choice, ...], workload: Workload) -> Plan:
    """The plan of these choices, one for each task in the tasks' order."""
    stem = stem_of((c.frozen, c.rate_fps) for c in choices)
    return Plan(choices, stem, cost_of(choices, workload.costs), objective_of(choices, workload))


def objective_of(choices: Sequence[Choice], workload: Workload) -> float:
    """What the rules maximise, of one choice for each task in the tasks' order."""
    if workload.rules.objective == "maxmin":
        return min(c.scores.f1 for c in choices)
    return mean_f1(choices, workload)


def mean_f1(choices: Sequence[Choice], workload: Workload) -> float:
    """Weighted by the tasks' weights; whatever their order, exactly the same."""
    weights = [task.weight for task in workload.tasks]
    return fsum(w * c.scores.f1 for w, c in zip(weights, choices, strict=True)) / fsum(weights)
