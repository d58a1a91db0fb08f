"""What becomes of the plan in force when tasks, costs or the budget change, and whether a new one is worth it. Pure."""

from collections.abc import Mapping

from server.sharing.planner.events import event_scores
from server.sharing.planner.options import choice, mean_f1, options_of, with_choices
from server.sharing.planner.plan import Choice, Plan
from server.sharing.planner.tree import cost_of
from server.sharing.planner.workload import Task, Workload

MARGIN = 0.005
"""Of the objective. A switch changes branches and rates under tasks that run well, and scores are predicted from rates
measured on some thousand frames, which are no surer than this: less would be switching for noise."""


def worth_switching(current: Plan, new: Plan, workload: Workload) -> bool:
    """Whether `new`, made for this workload, is to replace `current`, which is judged as it would do under it.

    It gives way where it lacks a task, does not fit or misses a floor, and to what is better by more than a margin.
    Under `maxmin` a better mean counts too where the smallest F1 is no worse.
    """
    kept = revalued(current, workload)
    if kept is None:
        return True
    if new.objective > kept.objective * (1.0 + MARGIN):
        return True
    means = (mean_f1(plan.choices, workload) for plan in (new, kept))
    return new.objective >= kept.objective and next(means) > next(means) * (1.0 + MARGIN)


def revalued(current: Plan, workload: Workload) -> Plan | None:
    """The same choices under this workload, without tasks that are gone; None where they cannot go on so."""
    before = {choice.task: choice for choice in current.choices}
    choices = tuple(
        kept for task in workload.tasks if (kept := _kept(task, before, workload)) is not None
    )
    return _fitting(choices, workload) if len(choices) == len(workload.tasks) else None


def adapted(current: Plan, workload: Workload) -> Plan | None:
    """The current plan carried over: tasks that can go on as they do, the others at what costs least beside them.

    None where that exceeds the budget or a task has no option that reaches its floor.
    """
    before = {choice.task: choice for choice in current.choices}
    chosen = {task.name: _kept(task, before, workload) for task in workload.tasks}
    settled = [kept for kept in chosen.values() if kept is not None]
    for task in workload.tasks:
        if chosen[task.name] is None:
            beside = _beside(settled, task, workload)
            if beside is None:
                return None
            settled.append(beside)
            chosen[task.name] = beside
    by_name = {choice.task: choice for choice in settled}
    return _fitting(tuple(by_name[task.name] for task in workload.tasks), workload)


def _kept(task: Task, before: Mapping[str, Choice], workload: Workload) -> Choice | None:
    """The task's choice, scored anew; None where it has none, or rules, branches or its floor no longer allow it."""
    rules, was = workload.rules, before.get(task.name)
    if was is None or was.rate_fps not in rules.rates_fps or was.x_vote not in rules.x_votes:
        return None
    for branch in task.branches:
        if branch.frozen == was.frozen:
            scores = event_scores(task, branch, was.rate_fps, rules, was.x_vote)
            floor = task.floor if rules.objective == "mean" else 0.0
            kept = Choice(task.name, was.frozen, was.rate_fps, was.x_vote, scores)
            return kept if scores.f1 >= floor else None
    return None


def _beside(settled: list[Choice], task: Task, workload: Workload) -> Choice | None:
    """What costs least beside the settled choices; of equals the best."""
    choices = [choice(task.name, option) for option in options_of(task, workload)]
    return min(
        choices,
        key=lambda c: (cost_of([*settled, c], workload.costs), -c.scores.f1),
        default=None,
    )


def _fitting(choices: tuple[Choice, ...], workload: Workload) -> Plan | None:
    plan = with_choices(choices, workload)
    return plan if plan.cost <= workload.rules.budget else None
