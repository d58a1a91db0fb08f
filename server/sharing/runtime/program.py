"""What the worker runs by: a plan with its opened networks, replaced whole by one assignment."""

from collections.abc import Collection, Mapping

from models.stems.package import Package
from server.sharing.planner.frames import Due, Schedule, due, schedule_of
from server.sharing.planner.plan import Choice, Plan
from server.sharing.runtime.networks import Networks

Cut = tuple[str, int]
"""(task, frozen)."""

Fused = Mapping[int, Collection[tuple[str, ...]]]
"""By point, groups of tasks there whose heads run faster together."""


class Program:
    """Immutable but for what it has worked out already."""

    def __init__(
        self,
        plan: Plan,
        package: Package,
        networks: Networks,
        fused: Fused | None = None,
        shelved: Mapping[str, str] | None = None,
    ) -> None:
        self.plan = plan
        self.package = package
        self.networks = networks
        self.fused: Fused = fused or {}
        self.shelved: Mapping[str, str] = shelved or {}
        """Tasks that are not run, and why: what is said on frames they are due on."""
        self.choices: dict[str, Choice] = {choice.task: choice for choice in plan.choices}
        self.points = tuple(sorted({c.frozen for c in plan.choices if c.frozen}))
        """Where the stem is cut."""
        self.thresholds: dict[Cut, float] = {
            (task.name, head.frozen): head.threshold
            for task in package.tasks
            for head in task.heads
        }
        self._schedules: dict[float, Schedule] = {}

    def due(self, frame_index: int, fps: float) -> Due:
        """What is to be done with frame number `frame_index` of a stream of `fps` frames a second."""
        schedule = self._schedules.get(fps)
        if schedule is None:  # two threads may work it out at once: the same
            schedule = self._schedules[fps] = schedule_of(self.plan, fps)
        return due(frame_index, schedule)

    def task_frames(self, fps: float) -> float:
        """How many a second the plan has on one stream of `fps`."""
        return sum(min(choice.rate_fps, fps) for choice in self.plan.choices)
