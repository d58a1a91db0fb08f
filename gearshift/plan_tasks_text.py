"""A plan of tasks as text for a terminal. Pure: plan in, lines out."""

from collections.abc import Iterable, Sequence

from server.sharing.planner.options import mean_f1
from server.sharing.planner.plan import Choice, Plan
from server.sharing.planner.search.rivals import Rival
from server.sharing.planner.workload import Workload


def text_of(plan: Plan, rivals: Iterable[Rival], seconds: float, workload: Workload) -> str:
    """What is shared, how each task runs and why, and how others would fare."""
    return "\n".join(
        [
            f"planned {_count(len(plan.choices), 'task')} in {seconds:.2f} s: "
            f"cost {plan.cost:.4g} of {workload.rules.budget:g} a second",
            *_stem(plan),
            "",
            *_tasks(plan.choices),
            "",
            *_compared(plan, rivals, workload),
        ]
    )


def _stem(plan: Plan) -> Iterable[str]:
    if not plan.stem:
        yield "stem: none, nothing is shared"
    for step in plan.stem:
        yield f"stem: layers {step.start} to {step.end} at {step.rate_fps:g} frames a second"


def _tasks(choices: Sequence[Choice]) -> Iterable[str]:
    width = max(4, *(len(choice.task) for choice in choices))
    yield f"{'task':<{width}}  frozen    fps  votes      F1  recall  precision"
    for c in choices:
        s = c.scores
        yield (
            f"{c.task:<{width}}  {c.frozen:6}  {c.rate_fps:5g}  {c.x_vote:5}  {s.f1:6.4f}  {s.recall:6.4f}"
            f"  {s.precision:9.4f}"
        )
    yield ""
    for c in choices:
        if c.reason:
            yield f"{c.task} {c.reason}"


def _compared(plan: Plan, rivals: Iterable[Rival], workload: Workload) -> Iterable[str]:
    yield f"{'':<12}  mean F1  smallest F1    cost"
    for rival in [Rival("this plan", plan), *rivals]:
        if rival.plan is None:
            yield f"{rival.name:<12}  none: {rival.why}"
            continue
        smallest = min(choice.scores.f1 for choice in rival.plan.choices)
        mean = mean_f1(rival.plan.choices, workload)
        yield f"{rival.name:<12}  {mean:7.4f}  {smallest:11.4f}  {rival.plan.cost:6.4g}"
    yield "max-sharing: every task at its deepest branch. no-sharing: whole networks, for which tasks may also run at"
    yield "tenths of the lowest rate or not at all. Rates and votes of both are the best there are."


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
