"""Why each task branches and runs as it does: what the next branches and rates would bring and cost. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from server.sharing.planner.events import EventScores, event_table
from server.sharing.planner.plan import Choice, Plan
from server.sharing.planner.tree import cost_of
from server.sharing.planner.workload import Task, Workload

UNCHANGED_F1 = 5e-4
"""A change of F1 that shows as 0.000."""
UNCHANGED_COST = 1e-6
"""Of the plan's cost: less is rounding or might as well be."""


def explained(plan: Plan, workload: Workload) -> Plan:
    """The same plan with a reason for every choice, all others staying as they are.

    Raises ValueError where a choice is not one of its task's branches or the rules' rates.
    """
    tasks = {task.name: task for task in workload.tasks}
    reasons = tuple(
        replace(choice, reason=_reason(plan.choices, at, tasks[choice.task], workload))
        for at, choice in enumerate(plan.choices)
    )
    return replace(plan, choices=reasons)


def _reason(choices: Sequence[Choice], at: int, task: Task, workload: Workload) -> str:
    choice = choices[at]
    others = [
        _in_words(name, change, choices, at, workload)
        for name, change in _next(choice, task, workload)
    ]
    return f"branches at {choice.frozen}, {choice.rate_fps:g} fps: " + "; ".join(
        others or ["nothing else to choose"]
    )


def _next(choice: Choice, task: Task, workload: Workload) -> Iterator[tuple[str, Choice]]:
    """The neighbouring branches and rates, each with the votes that suit it best."""
    rates = workload.rules.rates_fps
    depths = [branch.frozen for branch in task.branches]
    branch, rate = depths.index(choice.frozen), rates.index(choice.rate_fps)
    table = event_table(task, workload.rules)
    for name, step in ("deeper", 1), ("shallower", -1):
        if 0 <= branch + step < len(depths):
            other = _choice(task, workload, table, (branch + step, rate))
            yield f"{name} ({other.frozen})", other
    for step in 1, -1:
        if 0 <= rate + step < len(rates):
            other = _choice(task, workload, table, (branch, rate + step))
            yield f"{other.rate_fps:g} fps", other


def _choice(task: Task, workload: Workload, table: EventScores, place: tuple[int, int]) -> Choice:
    vote = int(table.f1[place].argmax())
    rules, (branch, rate) = workload.rules, place
    scores = table.at(branch, rate, vote)
    return Choice(
        task.name, task.branches[branch].frozen, rules.rates_fps[rate], rules.x_votes[vote], scores
    )


def _in_words(
    name: str, other: Choice, choices: Sequence[Choice], at: int, workload: Workload
) -> str:
    changed = [*choices[:at], other, *choices[at + 1 :]]
    more = cost_of(changed, workload.costs) - cost_of(choices, workload.costs)
    f1 = other.scores.f1 - choices[at].scores.f1
    return f"{name} would {_gained(f1)} and {_priced(more, of=cost_of(choices, workload.costs))}"


def _gained(f1: float) -> str:
    if abs(f1) < UNCHANGED_F1:
        return "leave F1 as it is"
    return f"bring {f1:.3f} F1" if f1 > 0 else f"lose {-f1:.3f} F1"


def _priced(more: float, of: float) -> str:
    if abs(more) <= UNCHANGED_COST * of:
        return "cost the same"
    return f"cost {more:.3g} more a second" if more > 0 else f"save {-more:.3g} a second"
