"""The tasks of one package at work: the share, its service, what both tell metrics; built from a Config."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import cast, get_args

from prometheus_client import CollectorRegistry

from models.artifacts import ArtifactError, default_repository
from models.backends.base import BackendError
from models.stems import Package, load_package
from server.config import Config
from server.errors import BadConfiguration, NotReady, RequestError
from server.sharing.control.limits import ShareLimits
from server.sharing.control.share import Share
from server.sharing.metrics import ShareFigures, ShareMetrics, TaskFigures
from server.sharing.planner.plan import Plan
from server.sharing.planner.workload import Objective
from server.sharing.rpc.service import Tasks
from server.sharing.rpc.stream_host import ServedShare
from server.sharing.runtime.frames import DropReason, Outcome
from server.sharing.runtime.meter import Meter
from server.sharing.runtime.networks import Folder
from server.sharing.runtime.views import PlanView, ReplanReason, TaskView

_log = logging.getLogger(__name__)

RATES_FPS = (0.5, *map(float, range(1, 11)), 12.0, 15.0, 20.0, 25.0, 30.0, 60.0)
"""Frames a second that a task may run at, as far as its stream goes: fine where a frame more tells, coarse beyond."""


class ShareUnit:
    """Everything of one package. Raises BadConfiguration for what it cannot be built with."""

    def __init__(self, config: Config, registry: CollectorRegistry) -> None:
        root = Path(config.repository) if config.repository else default_repository()
        folder = root / config.share_package
        package = _package(folder)
        self._package, self._initial = config.share_package, _initial(config, package)
        self._ready, self._stopping = threading.Event(), threading.Event()
        counts = ShareMetrics(
            registry, (*get_args(Outcome), "refused"), get_args(DropReason), get_args(ReplanReason)
        )
        self._meter = _Counting(counts)
        self._share = Share(Folder(folder, config.threads or 1), _setup(config), self._meter)
        served = ServedShare(
            self._share,
            package.base,
            package.stream_fps,
            config.share_queue,
            config.reject_non_finite,
            self._ready.is_set,
        )
        self.service = Tasks(
            served,
            partial(load_package, folder, verify=False),
            lambda: counts.frames.labels("refused").inc(),
            config.share_stall_s,
        )
        self._meter.tell = self.service.replanned
        counts.watch(self._figures)

    @property
    def is_ready(self) -> bool:
        """Whether the tasks named are in service."""
        return self._ready.is_set()

    def start(self) -> None:
        """Look after clients; before the front does."""
        self.service.start()

    def prepare(self) -> None:
        """Load the stem and take the tasks into service. Raises BadConfiguration where that cannot be.

        A server that is stopped meanwhile is no error: what has been loaded is let go.
        """
        try:
            self._share.start()
            for name in self._initial:
                if not self._stopping.is_set():
                    self._share.add_task(name)
        except (RequestError, BackendError, ArtifactError) as error:
            if not self._stopping.is_set():
                raise BadConfiguration(f"share_package: {error}") from error
        if self._stopping.is_set():
            self._share.stop()  # `stop` may have come before there was anything to stop
        else:
            self._ready.set()
            names = ", ".join(self._initial) or "none"
            _log.info("tasks of package %s in service: %s", self._package, names)

    def stop(self) -> None:
        """Answer what waits, unload. After the front has stopped."""
        self._stopping.set()
        self._ready.clear()
        self._share.stop()
        self.service.close()

    def _figures(self) -> ShareFigures | None:
        try:
            return _figures(self._share.plan()) if self.is_ready else None
        except NotReady:  # it is stopping
            return None


class _Counting(Meter):
    """Passes on what the share tells: to metrics, and plans to `tell`."""

    def __init__(self, counts: ShareMetrics) -> None:
        self._counts = counts
        self.tell: Callable[[str, Plan], None] = lambda _reason, _plan: None

    def frame(self, outcome: Outcome, reason: DropReason | None) -> None:
        self._counts.frames.labels(outcome).inc()
        if reason is not None:
            self._counts.dropped.labels(reason).inc()

    def stem(self, frames: int, seconds: float) -> None:
        self._counts.stem_frames.inc(frames)
        self._counts.stem_s.inc(seconds)

    def task(self, task: str, frames: int, failed: int) -> None:
        self._counts.analysed(task, frames, failed)

    def head(self, task: str, frames: int, seconds: float) -> None:  # noqa: ARG002 - Meter's signature
        self._counts.head_ran(task, seconds)

    def busy(self, seconds: float) -> None:
        self._counts.busy_s.inc(seconds)

    def replanned(self, reason: ReplanReason, plan: Plan, seconds: float) -> None:
        self._counts.replans.labels(reason).inc()
        self._counts.replan_s.observe(seconds)
        self._counts.in_service(choice.task for choice in plan.choices)
        self.tell(reason, plan)


def _package(folder: Path) -> Package:
    try:
        return load_package(folder)
    except ArtifactError as error:
        raise BadConfiguration(f"share_package: {error}") from error


def _initial(config: Config, package: Package) -> tuple[str, ...]:
    held = [task.name for task in package.tasks]
    if unknown := [name for name in config.share_tasks if name not in held]:
        raise BadConfiguration(
            f"share_tasks: package {package.base.name} has no task {', '.join(unknown)}; "
            f"it has {', '.join(held) or 'none'}"
        )
    return config.share_tasks or tuple(held)


def _setup(config: Config) -> ShareLimits:
    return ShareLimits(
        budget_s=config.share_budget,
        rates_fps=RATES_FPS,
        objective=cast(Objective, config.share_objective),
        x_votes=tuple(range(1, config.share_x_vote + 1)),
        late_s=config.share_late_ms / 1e3,
        queue_frames=config.share_queue,
    )


def _figures(seen: PlanView) -> ShareFigures:
    return ShareFigures(
        tuple(_task(one) for one in seen.tasks),
        seen.traffic.streams,
        seen.budget_s,
        seen.plan.cost,
        seen.reuse,
        seen.busy,
    )


def _task(one: TaskView) -> TaskFigures:
    choice, measured = one.choice, one.measured
    return TaskFigures(
        choice.task,
        choice.frozen,
        choice.rate_fps,
        one.achieved_fps,
        choice.scores.f1,
        None if measured is None else measured.scores.f1,
    )
