"""What is in service and what is known of it: one value, replaced whole."""

from dataclasses import dataclass, field, replace

from models.stems.package import Package, SharedTask
from server.sharing.control.limits import ShareLimits
from server.sharing.control.planning import NO_TASKS, Situation
from server.sharing.planner.plan import Plan
from server.sharing.planner.workload import NetworkCosts
from server.sharing.runtime.networks import Networks


@dataclass(frozen=True, slots=True)
class InService:
    """What is in service and what is known of it."""

    networks: Networks
    package: Package
    tasks: tuple[str, ...]
    costs: NetworkCosts
    setup: ShareLimits
    streams_fps: tuple[float, ...] = ()
    """The open streams that the plan is for."""
    plan: Plan = NO_TASKS
    shelved: dict[str, str] = field(default_factory=dict[str, str])
    """Tasks that are not run until they are upgraded or removed, and why."""

    @property
    def situation(self) -> Situation:
        """What is to be planned for."""
        return Situation(self.package, self.tasks, self.costs, self.setup, self.streams_fps)

    @property
    def serving(self) -> list[SharedTask]:
        """The tasks in service, in the package's order."""
        return [task for task in self.package.tasks if task.name in self.tasks]

    @property
    def over_budget(self) -> bool:
        """Whether the plan costs more than there is: nothing that fits was left to choose."""
        return self.plan.cost * self.situation.share > self.setup.budget_s

    def forgetting(self, *tasks: str) -> "InService":
        """Without what is known of these tasks' heads."""
        heads = {cut: cost for cut, cost in self.costs.heads.items() if cut[0] not in tasks}
        shelved = {task: text for task, text in self.shelved.items() if task not in tasks}
        return replace(self, costs=NetworkCosts(self.costs.stem, heads), shelved=shelved)

    def costing(self, costs: NetworkCosts) -> "InService":
        """With these costs, as far as they go."""
        heads = {cut: costs.heads.get(cut, cost) for cut, cost in self.costs.heads.items()}
        return replace(self, costs=NetworkCosts(costs.stem, heads))
