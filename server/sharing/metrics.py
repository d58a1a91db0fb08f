"""Series of shared tasks: counted as it happens, and read from the plan whenever somebody scrapes.

Task names come from the package, a closed set; a task out of service has no series.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

_EDGES_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_ENDS = ("ok", "failed")


@dataclass(frozen=True, slots=True)
class TaskFigures:
    """One task now; `measured_f1` is None until labels were fed back."""

    task: str
    frozen: int
    planned_fps: float
    achieved_fps: float
    predicted_f1: float
    measured_f1: float | None


@dataclass(frozen=True, slots=True)
class ShareFigures:
    """All tasks now."""

    tasks: tuple[TaskFigures, ...]
    streams: int
    budget_s: float
    planned_cost_s: float
    """Device seconds a second, of one stream."""
    reuse: float
    busy: float


class ShareMetrics:
    """What a share counts. `outcomes`, `drops` and `reasons`: all that there may be, so that each count begins at 0."""

    def __init__(
        self,
        registry: CollectorRegistry,
        outcomes: Iterable[str],
        drops: Iterable[str],
        reasons: Iterable[str],
    ) -> None:
        self._registry = registry
        self._tasks: frozenset[str] = frozenset()
        counter = partial(Counter, registry=registry)
        histogram = partial(Histogram, registry=registry)
        self.frames = counter("gearshift_share_frames_total", "Frames by outcome", ["outcome"])
        self.dropped = counter(
            "gearshift_share_dropped_frames_total", "Frames dropped, by reason", ["reason"]
        )
        self.replans = counter("gearshift_share_replans_total", "Plans made, by reason", ["reason"])
        self.replan_s = histogram(
            "gearshift_share_replan_seconds", "Making one plan", buckets=_EDGES_S
        )
        self.stem_frames = counter(
            "gearshift_stem_frames_total", "Frames through (part of) the stem"
        )
        self.stem_s = counter("gearshift_stem_seconds_total", "Device time of the stem")
        self.busy_s = counter(
            "gearshift_share_busy_seconds_total", "Time that the share's worker was at work"
        )
        self.task_s = counter(
            "gearshift_task_seconds_total", "Device time of a task's own layers", ["task"]
        )
        self.task_frames = counter(
            "gearshift_task_frames_total",
            "Frames that a task has scored, by success",
            ["task", "outcome"],
        )
        known = ((self.frames, outcomes), (self.dropped, drops), (self.replans, reasons))
        for series, names in known:
            for name in names:
                series.labels(name)

    def analysed(self, task: str, frames: int, failed: int) -> None:
        """A task's head saw so many frames, `failed` of them without a score."""
        if task in self._tasks:  # else its last batch came back after it was taken out
            self.task_frames.labels(task, "ok").inc(frames - failed)
            self.task_frames.labels(task, "failed").inc(failed)

    def head_ran(self, task: str, seconds: float) -> None:
        """A task's head was at work for so long."""
        if task in self._tasks:
            self.task_s.labels(task).inc(seconds)

    def in_service(self, tasks: Iterable[str]) -> None:
        """These are; the counts of others are gone, those of new ones begin at 0."""
        before, self._tasks = self._tasks, frozenset(tasks)
        for task in before - self._tasks:
            self.task_s.remove(task)
            for outcome in _ENDS:
                self.task_frames.remove(task, outcome)
        for task in self._tasks - before:
            self.task_s.labels(task)
            for outcome in _ENDS:
                self.task_frames.labels(task, outcome)

    def watch(self, figures: Callable[[], ShareFigures | None]) -> None:
        """Ask this at every scrape; None: there is nothing to tell yet."""
        self._registry.register(_Gauges(figures))


class _Gauges(Collector):
    """Gauges made anew at every scrape: what is not there any more leaves no trace."""

    def __init__(self, figures: Callable[[], ShareFigures | None]) -> None:
        self._figures = figures

    def describe(self) -> list[GaugeMetricFamily]:
        return []  # else the registry would ask at once

    def collect(self) -> Iterator[GaugeMetricFamily]:
        now = self._figures()
        if now is None:
            return
        yield _gauge("gearshift_share_streams", "Streams open", now.streams)
        yield _gauge(
            "gearshift_share_budget_ratio", "Device seconds a second allowed", now.budget_s
        )
        yield _gauge(
            "gearshift_share_planned_cost_ratio",
            "Device seconds a second planned, of one stream",
            now.planned_cost_s,
        )
        yield _gauge(
            "gearshift_share_busy_ratio", "Share of time the worker was busy, lately", now.busy
        )
        yield _gauge("gearshift_stem_reuse_ratio", "Task-frames a stem frame, lately", now.reuse)
        yield from _by_task(now.tasks)


_TASK_GAUGES: Sequence[tuple[str, str, Callable[[TaskFigures], float | None]]] = (
    (
        "gearshift_task_frozen_layers",
        "Layers shared with the base",
        lambda t: t.frozen,
    ),
    (
        "gearshift_task_planned_fps",
        "Frames a second planned, of one stream",
        lambda t: t.planned_fps,
    ),
    (
        "gearshift_task_achieved_fps",
        "Frames a second, of one stream, lately",
        lambda t: t.achieved_fps,
    ),
    (
        "gearshift_task_predicted_f1_ratio",
        "Event F1 that the plan predicts",
        lambda t: t.predicted_f1,
    ),
    (
        "gearshift_task_measured_f1_ratio",
        "Event F1 by the labels fed back",
        lambda t: t.measured_f1,
    ),
)


def _by_task(tasks: Iterable[TaskFigures]) -> Iterator[GaugeMetricFamily]:
    tasks = tuple(tasks)
    for name, text, of in _TASK_GAUGES:
        family = GaugeMetricFamily(name, text, labels=["task"])
        for task in tasks:
            if (value := of(task)) is not None:
                family.add_metric([task.task], value)
        yield family


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)
