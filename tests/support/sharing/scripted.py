"""A share whose answers the test gives, in a real front: for what is between a client and the real one."""

import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import grpc
import numpy as np

from models.stems import Base, Package, Point
from server.errors import BudgetTooSmall, UnknownTask
from server.rpc.status import status_of
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.front import Front
from server.sharing.control.share import Share
from server.sharing.planner.plan import Choice, Plan, Scores
from server.sharing.rpc.service import Tasks
from server.sharing.rpc.stream_host import ServedShare
from server.sharing.runtime.frames import Frame, FrameDone, Late, Listener, Result, StreamId
from server.sharing.runtime.views import LabelledWindow, PlanView, StreamCounts
from wire import tasks_pb2 as pb

SHAPE = (1, 2, 3)
BASE = Base("tiny", SHAPE, "", "", (Point(0, "frames", SHAPE, ""),))
PACKAGE = Package(BASE, 10.0, ())
PATIENCE_S = 30.0
SMALLEST_S = 0.25


def a_plan(*tasks: str) -> Plan:
    """These tasks, all alike."""
    choices = tuple(Choice(task, 0, 5.0, 1, Scores(0.5, 0.5, 0.5), "why") for task in tasks)
    return Plan(choices, (), 0.1, 0.5)


class ScriptedShare(Share):
    """Keeps what it is offered until the test answers it, or answers at once; `words` make answers long."""

    def __init__(self, *, at_once: bool = False, words: str = "") -> None:
        self.at_once = at_once
        self._results = (Result("a", 0, None, False, words),) if words else ()
        self.offered: list[tuple[StreamId, Frame]] = []
        self.closed: list[StreamId] = []
        self.learnt: list[tuple[str, Sequence[LabelledWindow]]] = []
        self.changed = threading.Condition()
        self.current = a_plan("a")
        self._listeners: dict[StreamId, Listener] = {}
        self._next = 0

    def open(self, listener: Listener, fps: float, late: Late) -> StreamId:  # noqa: ARG002 - the share's signature
        if fps > 100.0:
            raise BudgetTooSmall(f"the smallest budget is {SMALLEST_S}", SMALLEST_S)
        with self.changed:
            self._next += 1
            self._listeners[self._next] = listener
            return self._next

    def offer(self, stream: StreamId, frame: Frame) -> bool:
        with self.changed:
            self.offered.append((stream, frame))
            self.changed.notify_all()
        if self.at_once:
            self.answer(stream, frame.id)
        return True

    def close(self, stream: StreamId) -> None:
        with self.changed:
            self.closed.append(stream)
            self.changed.notify_all()

    def labels(self, stream: StreamId, task: str, windows: Sequence[LabelledWindow]) -> None:  # noqa: ARG002 - as above
        if task != "a":
            raise UnknownTask(f"no task '{task}'")
        self.learnt.append((task, windows))

    def plan(self) -> PlanView:
        return PlanView("tiny", 0.5, self.current, (), StreamCounts(0, 0, {}, {}), 0.0, 0.0, {})

    def answer(self, stream: StreamId, frame_id: int) -> None:
        """Say of a frame that nothing was due."""
        self._listeners[stream].done(FrameDone(frame_id, "skipped", self._results))

    def await_that(self, claim: Callable[[], bool]) -> None:
        """Return once it holds."""
        with self.changed:
            assert self.changed.wait_for(claim, PATIENCE_S)


class Bench:
    """The service before a scripted share, and a channel to it."""

    def __init__(self, share: ScriptedShare, queue_frames: int, stall_s: float) -> None:
        self.refused: list[int] = []
        self._stopped = False
        served = ServedShare(share, BASE, 10.0, queue_frames, True, lambda: True)
        self.tasks = Tasks(served, lambda: PACKAGE, partial(self.refused.append, 1), stall_s)
        self.front = Front(self.tasks.handlers(), status_of, lambda: None, Bounds(1 << 20))
        self._port = self.front.bind("127.0.0.1:0")
        self.tasks.start()
        self.front.start()
        self.channel = self.connect()

    def stop(self, grace_s: float = 1.0) -> None:
        """Drain and end; once only."""
        if not self._stopped:
            self._stopped = True
            self.front.stop(grace_s, lambda: None)

    def connect(self) -> grpc.Channel:
        """One more channel, on a connection of its own."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        return grpc.insecure_channel(f"127.0.0.1:{self._port}", options)

    def analyse(self, messages: Any, channel: grpc.Channel | None = None) -> Any:
        """One stream of these messages."""
        call = (channel or self.channel).stream_stream(
            "/gearshift.v1.Tasks/Analyse",
            pb.AnalyseRequest.SerializeToString,
            pb.AnalyseResponse.FromString,
        )
        return call(messages, timeout=PATIENCE_S)


@contextmanager
def bench(
    share: ScriptedShare, queue_frames: int = 4, stall_s: float = PATIENCE_S
) -> Generator[Bench]:
    """A bench that is taken down in the end."""
    one = Bench(share, queue_frames, stall_s)
    try:
        yield one
    finally:
        one.channel.close()
        one.stop()
        one.tasks.close()


def opening(**more: Any) -> Any:
    """The first message of a stream."""
    return pb.AnalyseRequest(opening=pb.Opening(**more))


def a_frame(frame_id: int, **more: Any) -> Any:
    """A black frame, but for what is said otherwise."""
    given = {"pixels": np.zeros(SHAPE, np.uint8).tobytes(), **more}
    return pb.AnalyseRequest(frame=pb.StreamFrame(frame_id=frame_id, **given))
