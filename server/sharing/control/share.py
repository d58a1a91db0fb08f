"""One package's tasks in service: control calls and streams come in here; a worker runs what the plan says."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.errors import BadInput, NotReady, UnknownTask
from server.sharing.control.control import ShareControl
from server.sharing.control.keeper import Keeper
from server.sharing.control.limits import ShareLimits
from server.sharing.control.loading import first_program
from server.sharing.planner.plan import Choice, Plan
from server.sharing.planner.workload import NetworkCosts
from server.sharing.runtime.frames import Frame, Late, Listener, StreamId
from server.sharing.runtime.ledger import Ledger, RecentWork
from server.sharing.runtime.meter import Meter
from server.sharing.runtime.networks import Source
from server.sharing.runtime.reports import Reports
from server.sharing.runtime.streams import Streams
from server.sharing.runtime.views import LabelledWindow, PlanView, StreamCounts, TaskView
from server.sharing.runtime.worker import FrameWorkerContext
from server.texts import shown

STOP_S = 5.0  # for threads to end: a round of the worker, a plan


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a share consists of once it has started."""

    context: FrameWorkerContext
    control: ShareControl
    keeper: Keeper


class Share:
    """Safe to call from any thread. Control calls (tasks, streams, budget) take turns; none holds up the worker.

    Before `start` has returned, and after `stop`, every other call raises NotReady.
    """

    def __init__(
        self,
        source: Source,
        setup: ShareLimits,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._setup = setup
        self._meter = meter or Meter()
        self._clock = clock
        self._parts: _Parts | None = None

    def start(self) -> None:
        """Open and measure the stem, and start working; no task is in service yet. Raises as `add_task`."""
        setup = self._setup
        streams = Streams(setup.late_s, setup.queue_frames)
        context = FrameWorkerContext(
            first_program(self._source),
            streams,
            Ledger(self._clock()),
            Reports(),
            self._meter,
            self._clock,
            setup.max_batch,
        )
        control = ShareControl(self._source, setup, context)
        keeper = Keeper(context, control, setup.hung_s)
        keeper.worker.start()
        keeper.start()
        self._parts = _Parts(context, control, keeper)

    def stop(self) -> None:
        """Answer what waits as dropped ("closed"), end the threads, close the networks. Idempotent."""
        parts, self._parts = self._parts, None
        if parts is None:
            return
        parts.keeper.stop()
        for dropped in parts.context.streams.stop():
            parts.context.answers.drop(dropped)
        parts.keeper.join(STOP_S)
        parts.keeper.worker.join(STOP_S)
        parts.control.close()
        parts.context.program.networks.close()

    def tend(self) -> None:
        """Look after worker, streams and costs now; a thread does so once a second."""
        self._running.keeper.tend()

    def add_task(self, name: str) -> Plan:
        """Take a task of the package on disk into service; one that is there and has changed on disk is upgraded.

        Raises UnknownTask, TaskPresent (in service as it is on disk), BudgetTooSmall, BadPackage (damaged, or its base
        is another), NotReady (it cannot be read), ComputeFailed (a head cannot be run); then all is as it was.
        """
        return self._running.control.add(name)

    def remove_task(self, name: str) -> Plan:
        """Take a task out of service. Raises UnknownTask."""
        return self._running.control.remove(name)

    def upgrade(self) -> Plan:
        """Read the package again and put changed heads of tasks in service in the place of the old ones.

        Raises as `add_task`; then all is as it was.
        """
        return self._running.control.upgrade()

    def set_budget(self, budget_s: float) -> Plan:
        """Plan within another budget. Raises BudgetTooSmall; then all is as it was."""
        if not budget_s > 0:
            raise BadInput(f"the budget is {budget_s:g} device seconds a second; give more than 0")
        return self._running.control.budget(budget_s)

    def open(self, listener: Listener, fps: float, late: Late) -> StreamId:
        """Begin a stream of `fps` frames a second. Raises BudgetTooSmall where it cannot be had beside the others."""
        if not 0 < fps < float("inf"):
            raise BadInput(f"a stream of {fps:g} frames a second; give more than 0")
        parts = self._running
        with parts.control.turn():
            parts.control.admit(fps)
            stream = parts.context.streams.open(listener, fps, late)
            parts.context.ledger.restart(self._clock())
        parts.context.meter.streams(len(parts.context.streams.rates_fps()))
        return stream

    def offer(self, stream: StreamId, frame: Frame) -> bool:
        """Hand in the next frame. Its one answer goes to the listener, perhaps before this returns.

        False: the stream waits and is full; the frame was not taken, and `ready` will be called. Raises UnknownStream,
        BadInput (the shape).
        """
        parts = self._running
        program, shape = parts.context.program, parts.context.program.package.base.shape
        if frame.pixels.shape != shape:
            raise BadInput(
                f"frame {frame.id} has shape {frame.pixels.shape}; the base takes {shape}"
            )

        def due(index: int, fps: float) -> int:
            return len(program.due(index, fps).tasks)

        taken, skipped, oldest = parts.context.streams.offer(stream, frame, due)
        if skipped is not None:
            parts.context.answers.skip(skipped)
        if oldest is not None:
            parts.context.answers.drop(oldest)
        return taken

    def close(self, stream: StreamId) -> None:
        """End a stream: what waits is answered as dropped ("closed"), what runs now when it has run."""
        parts = self._running
        for dropped in parts.context.streams.close(stream):
            parts.context.answers.drop(dropped)
        parts.context.meter.streams(len(parts.context.streams.rates_fps()))
        parts.keeper.wake()

    def labels(self, stream: StreamId, task: str, windows: Sequence[LabelledWindow]) -> int:
        """Learn what was really on a stream; how many windows could be compared with what was said.

        Raises UnknownStream, UnknownTask, BadInput (a window's order).
        """
        context = self._running.context
        context.streams.get(stream)
        choice = context.program.choices.get(task)
        if choice is None:
            names = list(context.program.choices)
            raise UnknownTask(f"task '{shown(task)}' is not in service; {names} are")
        return context.reports.label(stream, task, windows, choice.x_vote)

    def plan(self) -> PlanView:
        """Everything at this moment."""
        parts = self._running
        context, in_service = parts.context, parts.control.in_service
        recent, rates_fps = context.ledger.recent(self._clock()), context.streams.rates_fps()
        traffic = StreamCounts(
            len(rates_fps),
            context.streams.waiting(),
            dict(context.ledger.outcomes),
            dict(context.ledger.dropped),
        )
        return PlanView(
            in_service.package.base.name,
            in_service.setup.budget_s,
            in_service.plan,
            tuple(_task_view(c, recent, context, rates_fps) for c in in_service.plan.choices),
            traffic,
            recent.on_stem / recent.stem_frames if recent.stem_frames else 0.0,
            min(1.0, recent.busy_s / recent.seconds) if recent.seconds > 0 else 0.0,
            dict(context.ledger.replans),
        )

    def costs(self) -> NetworkCosts:
        """What stem and heads cost now: device seconds a frame."""
        return self._running.control.in_service.costs

    @property
    def _running(self) -> _Parts:
        if self._parts is None:
            raise NotReady(
                "the shared tasks are loading, or the server is stopping; try again", 1.0
            )
        return self._parts


def _task_view(
    choice: Choice, recent: RecentWork, context: FrameWorkerContext, rates_fps: Sequence[float]
) -> TaskView:
    quick = sum(min(1.0, fps / choice.rate_fps) for fps in rates_fps)
    seconds = recent.seconds * quick
    achieved_fps = recent.tasks.get(choice.task, 0) / seconds if seconds > 0 else 0.0
    return TaskView(choice, achieved_fps, context.reports.measured(choice.task))
