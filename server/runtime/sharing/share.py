"""One package's tasks in service: control calls and streams come in here; a worker runs what the plan says."""

import time
from collections.abc import Callable, Sequence

from server.policy.sharing.plan import Plan
from server.runtime.sharing.frames import Frame, Late, Listener, StreamId
from server.runtime.sharing.meter import Meter
from server.runtime.sharing.networks import Source
from server.runtime.sharing.setup import Setup
from server.runtime.sharing.views import PlanView, Window


class Share:
    """Safe to call from any thread. Control calls (tasks, streams, budget) take turns; none holds up the worker."""

    def __init__(
        self,
        source: Source,
        setup: Setup,
        meter: Meter | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        raise NotImplementedError

    def start(self) -> None:
        """Open and measure the stem, and start working; no task is in service yet."""
        raise NotImplementedError

    def stop(self) -> None:
        """Answer what waits as dropped ("closed"), close the networks, return when the threads have ended."""
        raise NotImplementedError

    def add_task(self, name: str) -> Plan:
        """Take a task of the package on disk into service; one that is there and has changed on disk is upgraded.

        Raises UnknownTask, TaskPresent (in service as it is on disk), BudgetTooSmall; then all is as it was.
        """
        raise NotImplementedError

    def remove_task(self, name: str) -> Plan:
        """Take a task out of service. Raises UnknownTask."""
        raise NotImplementedError

    def upgrade(self) -> Plan:
        """Read the package again and put changed heads of tasks in service in the place of the old ones."""
        raise NotImplementedError

    def set_budget(self, budget_s: float) -> Plan:
        """Plan within another budget. Raises BudgetTooSmall; then all is as it was."""
        raise NotImplementedError

    def open(self, listener: Listener, fps: float, late: Late) -> StreamId:
        """Begin a stream of `fps` frames a second. Raises BudgetTooSmall where it cannot be had beside the others."""
        raise NotImplementedError

    def offer(self, stream: StreamId, frame: Frame) -> bool:
        """Hand in the next frame. Its one answer goes to the listener, perhaps before this returns.

        False: the stream waits and is full; the frame was not taken, and `ready` will be called. Raises UnknownStream,
        BadInput (the shape).
        """
        raise NotImplementedError

    def close(self, stream: StreamId) -> None:
        """End a stream: what waits is answered as dropped ("closed"), nothing after this returns."""
        raise NotImplementedError

    def labels(self, stream: StreamId, task: str, windows: Sequence[Window]) -> None:
        """Learn what was really on a stream. Raises UnknownStream, UnknownTask, BadInput (a window's order)."""
        raise NotImplementedError

    def plan(self) -> PlanView:
        """Everything at this moment."""
        raise NotImplementedError
