"""From what is in service to a plan: the planner's workload, its search, whether the new plan is worth the switch."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from models.stems.package import Package, SharedTask
from server.sharing.control.limits import ShareLimits
from server.sharing.planner.explain import explained
from server.sharing.planner.plan import Infeasible, Plan
from server.sharing.planner.repair import repaired
from server.sharing.planner.search import replan, search
from server.sharing.planner.workload import Branch, NetworkCosts, Rules, Task, Workload

NO_TASKS = Plan((), (), 0.0, 0.0)


@dataclass(frozen=True, slots=True)
class Situation:
    """What is to be planned for. `setup.budget_s` is all streams'."""

    package: Package
    tasks: tuple[str, ...]
    costs: NetworkCosts
    setup: ShareLimits
    streams_fps: tuple[float, ...]

    @property
    def share(self) -> int:
        """Streams that the budget is divided among: a plan is for one, and there is a plan before there is any."""
        return max(1, len(self.streams_fps))

    @property
    def workload(self) -> Workload:
        """Of one stream."""
        fps = max(self.streams_fps, default=self.package.stream_fps)
        rates = [rate for rate in self.setup.rates_fps if rate <= fps] or [self.setup.rates_fps[0]]
        setup = self.setup
        rules = Rules(
            setup.budget_s / self.share, tuple(rates), fps, setup.x_votes, setup.objective
        )
        tasks = tuple(task_of(t) for t in self.package.tasks if t.name in self.tasks)
        return Workload(tasks, self.costs, rules)


def task_of(task: SharedTask) -> Task:
    """As the planner knows it: rates are repaired, so that sharing less never looks worse."""
    raw = (Branch(h.frozen, h.true_positive, h.false_positive) for h in task.heads)
    return Task(
        task.name, repaired(raw), task.event_length_s, task.event_frequency, task.correlation
    )


def planned(now: Situation, current: Plan, keep_going: Callable[[], bool]) -> Plan:
    """The plan to go on with. Raises Infeasible, whose `smallest` is the budget of one stream."""
    if not now.tasks:
        return NO_TASKS
    workload = now.workload
    new = search.plan(workload, warm=current if current.choices else None, keep_going=keep_going)
    kept = replan.revalued(current, workload)
    if kept is not None and not replan.worth_switching(current, new, workload):
        return explained(kept, workload)
    return explained(new, workload)


def planned_beyond(now: Situation, current: Plan, keep_going: Callable[[], bool]) -> Plan:
    """As `planned`, but where nothing fits the cheapest there is: what is in service stays in service."""
    try:
        return planned(now, current, keep_going)
    except Infeasible as error:
        budget_s = error.smallest * now.share * (1 + 1e-9)
        roomy = replace(now, setup=replace(now.setup, budget_s=budget_s))
        return planned(roomy, current, keep_going)
