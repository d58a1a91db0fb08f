"""One package's tasks in service: control calls and streams come in here; a worker runs what the plan says."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.errors import BadInput, NotReady, UnknownTask
from server.sharing.control.control import Control
from server.sharing.control.keeper import Keeper
from server.sharing.control.limits import Setup
from server.sharing.control.loading import first_program
from server.sharing.planner.plan import Choice, Plan
from server.sharing.planner.workload import Costs
from server.sharing.runtime.frames import Frame, Late, Listener, StreamId
from server.sharing.runtime.ledger import Ledger, Recent
from server.sharing.runtime.meter import Meter
from server.sharing.runtime.networks import Source
from server.sharing.runtime.reports import Reports
from server.sharing.runtime.streams import Streams
from server.sharing.runtime.views import PlanView, TaskView, Traffic, Window
from server.sharing.runtime.worker import Desk
from server.texts import shown

STOP_S = 5.0
"""For threads to end: a round of the worker, a plan."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a share consists of once it has started."""

    desk: Desk
    control: Control
    keeper: Keeper


class Share:
    """Safe to call from any thread. Control calls (tasks, streams, budget) take turns; none holds up the worker.

    Before `start` has returned, and after `stop`, every other call raises NotReady.
    """

    def __init__(
        self,
        source: Source,
        setup: Setup,
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
        desk = Desk(
            first_program(self._source),
            streams,
            Ledger(self._clock()),
            Reports(),
            self._meter,
            self._clock,
            setup.max_batch,
        )
        control = Control(self._source, setup, desk)
        keeper = Keeper(desk, control, setup.hung_s)
        keeper.worker.start()
        keeper.start()
        self._parts = _Parts(desk, control, keeper)

    def stop(self) -> None:
        """Answer what waits as dropped ("closed"), end the threads, close the networks. Idempotent."""
        parts, self._parts = self._parts, None
        if parts is None:
            return
        parts.keeper.stop()
        for dropped in parts.desk.streams.stop():
            parts.desk.answers.drop(dropped)
        parts.keeper.join(STOP_S)
        parts.keeper.worker.join(STOP_S)
        parts.control.close()
        parts.desk.program.networks.close()

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
            stream = parts.desk.streams.open(listener, fps, late)
            parts.desk.ledger.restart(self._clock())
        parts.desk.meter.streams(len(parts.desk.streams.rates_fps()))
        return stream

    def offer(self, stream: StreamId, frame: Frame) -> bool:
        """Hand in the next frame. Its one answer goes to the listener, perhaps before this returns.

        False: the stream waits and is full; the frame was not taken, and `ready` will be called. Raises UnknownStream,
        BadInput (the shape).
        """
        parts = self._running
        program, shape = parts.desk.program, parts.desk.program.package.base.shape
        if frame.pixels.shape != shape:
            raise BadInput(
                f"frame {frame.id} has shape {frame.pixels.shape}; the base takes {shape}"
            )

        def due(index: int, fps: float) -> int:
            return len(program.due(index, fps).tasks)

        taken, skipped, oldest = parts.desk.streams.offer(stream, frame, due)
        if skipped is not None:
            parts.desk.answers.skip(skipped)
        if oldest is not None:
            parts.desk.answers.drop(oldest)
        return taken

    def close(self, stream: StreamId) -> None:
        """End a stream: what waits is answered as dropped ("closed"), what runs now when it has run."""
        parts = self._running
        for dropped in parts.desk.streams.close(stream):
            parts.desk.answers.drop(dropped)
        parts.desk.meter.streams(len(parts.desk.streams.rates_fps()))
        parts.keeper.wake()

    def labels(self, stream: StreamId, task: str, windows: Sequence[Window]) -> int:
        """Learn what was really on a stream; how many windows could be compared with what was said.

        Raises UnknownStream, UnknownTask, BadInput (a window's order).
        """
        desk = self._running.desk
        desk.streams.get(stream)
        choice = desk.program.choices.get(task)
        if choice is None:
            names = list(desk.program.choices)
            raise UnknownTask(f"task '{shown(task)}' is not in service; {names} are")
        return desk.reports.label(stream, task, windows, choice.x_vote)

    def plan(self) -> PlanView:
        """Everything at this moment."""
        parts = self._running
        desk, standing = parts.desk, parts.control.standing
        recent, rates_fps = desk.ledger.recent(self._clock()), desk.streams.rates_fps()
        traffic = Traffic(
            len(rates_fps),
            desk.streams.waiting(),
            dict(desk.ledger.outcomes),
            dict(desk.ledger.dropped),
        )
        return PlanView(
            standing.package.base.name,
            standing.setup.budget_s,
            standing.plan,
            tuple(_task_view(c, recent, desk, rates_fps) for c in standing.plan.choices),
            traffic,
            recent.on_stem / recent.stem_frames if recent.stem_frames else 0.0,
            min(1.0, recent.busy_s / recent.seconds) if recent.seconds > 0 else 0.0,
            dict(desk.ledger.replans),
        )

    def costs(self) -> Costs:
        """What stem and heads cost now: device seconds a frame."""
        return self._running.control.standing.costs

    @property
    def _running(self) -> _Parts:
        if self._parts is None:
            raise NotReady(
                "the shared tasks are loading, or the server is stopping; try again", 1.0
            )
        return self._parts


def _task_view(choice: Choice, recent: Recent, desk: Desk, rates_fps: Sequence[float]) -> TaskView:
    quick = sum(min(1.0, fps / choice.rate_fps) for fps in rates_fps)
    seconds = recent.seconds * quick
    achieved_fps = recent.tasks.get(choice.task, 0) / seconds if seconds > 0 else 0.0
    return TaskView(choice, achieved_fps, desk.reports.measured(choice.task))
