"""One Analyse call: frames in, answers and changes of the plan out, neither faster than the other side takes them."""

import math
from collections.abc import Callable
from contextlib import suppress

import grpc

from server.errors import BadInput, NotReady, Overloaded, RequestError
from server.rpc.status import status_of
from server.rpc.transport.call import Call
from server.rpc.transport.endings import STOPPING
from server.sharing.planner.plan import Plan
from server.sharing.rpc import decode as sharing_in
from server.sharing.rpc import encode as sharing_out
from server.sharing.rpc.stream_host import StreamHost
from server.sharing.runtime.frames import FrameDone, Listener, StreamId
from wire import tasks_pb2 as pb

MOST_UNSENT = 64
"""Answers that may wait for the client before its frames are not read any more."""
_MOST_LABELS = 32
"""Messages of labels that may wait to be looked at."""


class Analysis:
    """The call's state. `take` is the front's, answers come from the share's threads, opening and closing go aside."""

    def __init__(self, call: Call, host: StreamHost) -> None:
        self._call = call
        self._host = host
        self._opened: sharing_in.Opened | None = None
        self._stream: StreamId | None = None
        self._in_flight = 0
        self._labels = 0
        self._sent: Plan | None = None
        self._news: tuple[Plan, str] | None = None
        self._ending: tuple[grpc.StatusCode, str] | None = None
        self._left = False
        call.on_cancel = lambda: self.end(grpc.StatusCode.CANCELLED, "")
        call.on_drain = lambda: self._end_when_answered(*STOPPING)
        call.on_taken = self._taken

    def take(self, message: pb.AnalyseRequest | None) -> None:
        """The client's next message; None: it was the last. Raises BadInput where it may not come now."""
        if self._ending is not None:
            return  # it was under way when the call came to its end
        if message is None:
            self._end_when_answered(grpc.StatusCode.OK, "")
            return
        kind = message.WhichOneof("message")
        if (kind == "opening") != (self._opened is None) or kind is None:
            raise BadInput(
                f"Analyse: got {kind or 'an empty message'}; the first message must be an opening, and no other one"
            )
        match kind:
            case "opening":
                self._open(message.opening)
            case "frame":
                self._offer(message.frame)
            case _:
                self._hear(message.labels)

    def tell(self, plan: Plan, reason: str) -> None:
        """The plan is this now."""
        with self._call.lock:
            self._news = (plan, reason)
        self._send_news()

    def end(self, code: grpc.StatusCode, details: str) -> None:
        """End with this status; frames that wait are answered as dropped first."""
        with self._call.lock:
            self._ending = self._ending or (code, details)
        self._leave()

    def give_up(self, after_s: float) -> None:
        """The client has stopped reading."""
        text = f"no answer was taken for {after_s:g} s while {self._call.unsent} wait; read answers as they come"
        self._call.abort(*status_of(Overloaded(text)))
        self._leave()

    def _open(self, message: pb.Opening) -> None:
        served = self._host.served
        if not served.is_ready():
            raise NotReady(f"task package '{served.base.name}' is still loading", 1.0)
        self._opened = sharing_in.opening(message, served.stream_fps)
        self._aside(self._begin)
        self._regulate()

    def _begin(self) -> None:
        """Open the stream; on the thread for what takes a while."""
        assert self._opened is not None
        share = self._host.served.share
        listener = Listener(self._answer)
        self._stream = share.open(listener, self._opened.fps, self._opened.late)
        plan = share.plan().plan
        with self._call.lock:
            if (
                self._news is None and self._sent is None
            ):  # else a later one has been told meanwhile
                self._news = (plan, "")
        self._send_news()
        self._regulate()

    def _offer(self, message: pb.StreamFrame) -> None:
        assert self._stream is not None
        served = self._host.served
        with self._call.lock:
            self._in_flight += 1
        try:
            frame = sharing_in.frame(message, served.base, finite=served.finite)
            if not served.share.offer(self._stream, frame):
                self._answer(FrameDone(frame.id, "dropped", reason="queue_full"))
        except RequestError as error:
            self._host.refused()
            self._answered(_refusal(error, frame_id=message.frame_id))
        self._regulate()

    def _hear(self, message: pb.Labels) -> None:
        """Labels are handed over on the other thread: the share may be planning."""
        with self._call.lock:
            self._labels += 1
        self._aside(lambda: self._learn(message))
        self._regulate()

    def _learn(self, message: pb.Labels) -> None:
        assert self._stream is not None
        try:
            windows = sharing_in.labels(message)
            self._host.served.share.labels(self._stream, message.task, windows)
        except RequestError as error:
            self._call.send(_refusal(error, task=message.task))
        with self._call.lock:
            self._labels -= 1
        self._regulate()

    def _answer(self, done: FrameDone) -> None:
        self._answered(pb.AnalyseResponse(frame=sharing_out.answer(done)).SerializeToString())

    def _answered(self, message: bytes) -> None:
        """The one answer to one frame; any thread."""
        self._call.send(message)
        with self._call.lock:
            self._in_flight -= 1
        self._regulate()
        self._leave_if_answered()

    def _taken(self) -> None:
        """The client has taken a message: the stream is alive, and perhaps has room."""
        self._host.stalls.taken(self)
        self._send_news()
        self._regulate()

    def _send_news(self) -> None:
        """The latest plan, where the client does not know it and has room; those in between need not be told."""
        with self._call.lock:
            if self._news is None or self._stream is None or self._call.unsent >= MOST_UNSENT:
                return
            (plan, reason), self._news = self._news, None
            if plan != self._sent:
                self._sent = plan
                message = pb.AnalyseResponse(plan=sharing_out.plan(plan, reason))
                self._call.send(message.SerializeToString())

    def _regulate(self) -> None:
        """Read on, or do not: whichever is due now."""
        call = self._call
        with call.lock:
            most = (
                1 if self._left else MOST_UNSENT
            )  # of a stream that is over, any answer left holds it up
            full = call.unsent >= most and call.is_open
            if full or not self._has_room():
                call.pause()
            else:
                call.resume()
            self._host.stalls.full(self) if full else self._host.stalls.forget(self)

    def _has_room(self) -> bool:
        """Whether one more message may be read. Called under the lock."""
        if self._opened is None or self._stream is None or self._ending is not None:
            return False
        return self._in_flight < self._room and self._labels < _MOST_LABELS

    @property
    def _room(self) -> float:
        """Frames that may be under way. A live stream's queue drops some itself; one that waits must not fill it."""
        assert self._opened is not None
        if self._opened.late == "drop":
            return math.inf
        most = self._host.served.queue_frames
        return min(self._opened.max_in_flight or most, most)

    def _end_when_answered(self, code: grpc.StatusCode, details: str) -> None:
        with self._call.lock:
            self._ending = self._ending or (code, details)
        self._regulate()
        self._leave_if_answered()

    def _leave_if_answered(self) -> None:
        with self._call.lock:
            due = self._ending is not None and self._in_flight == 0
        if due:
            self._leave()

    def _leave(self) -> None:
        with self._call.lock:
            if self._left:
                return
            self._left = True
        self._host.between(self._close)

    def _close(self) -> None:
        """Give the stream back, then end the call; on the thread for what takes a while."""
        try:
            if self._stream is not None:
                with suppress(RequestError):  # the share has stopped before
                    self._host.served.share.close(self._stream)
        finally:
            self._host.left(self)
            if self._ending is not None:
                self._call.fail(*self._ending)
            self._regulate()

    def _aside(self, job: Callable[[], None]) -> None:
        def guarded() -> None:
            try:
                job()
            except Exception as error:  # noqa: BLE001 - this stream must end, and the thread serve the others
                self.end(*status_of(error))

        self._host.between(guarded)


def _refusal(error: RequestError, *, frame_id: int | None = None, task: str | None = None) -> bytes:
    code, text = status_of(error)
    refused = pb.Refused(frame_id=frame_id, task=task, code=code.name, error=text)
    return pb.AnalyseResponse(refused=refused).SerializeToString()
