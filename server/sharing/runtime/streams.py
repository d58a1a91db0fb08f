"""Streams and the frames that wait on them: bounded queues, late frames dropped or kept, the worker served in turn.

A monitor: transports offer, the worker takes; nothing is delivered while the lock is held.
"""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from server.errors import NotReady, UnknownStream
from server.sharing.planner.voting import Vote
from server.sharing.runtime.frames import DropReason, Frame, Late, Listener, StreamId


@dataclass(slots=True, eq=False)
class FrameStream:
    """One stream. `votes` is the worker's alone, the rest is guarded by the streams' lock."""

    id: StreamId
    listener: Listener
    fps: float
    late: Late
    frames: int = 0
    """Offered and taken in so far: the next one's index."""
    waiting: deque["WaitingFrame"] = field(default_factory=deque["WaitingFrame"])
    refused: bool = False
    """Whoever offers waits for `ready`."""
    votes: dict[str, Vote] = field(default_factory=dict[str, Vote])


@dataclass(frozen=True, slots=True)
class WaitingFrame:
    """A frame, number `index` of its stream, that `tasks` tasks were due on when it came."""

    stream: FrameStream
    frame: Frame
    index: int
    tasks: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """A frame that will not be run."""

    waiting: WaitingFrame
    reason: DropReason


@dataclass(frozen=True, slots=True)
class Taken:
    """What the worker is to do next: run some, answer the dropped, and tell `ready` streams that they have room."""

    run: tuple[WaitingFrame, ...]
    dropped: tuple[Dropped, ...]
    ready: tuple[FrameStream, ...]


class Streams:
    """All open streams. `late_s`: how long a frame of a "drop" stream may wait; `limit`: how many frames of each."""

    def __init__(self, late_s: float, limit: int) -> None:
        self._late_s, self._limit = late_s, limit
        self._changed = threading.Condition(threading.Lock())
        self._streams: dict[StreamId, FrameStream] = {}
        self._turns: deque[FrameStream] = deque()
        self._next_id = 1
        self._stopped = False

    def open(self, listener: Listener, fps: float, late: Late) -> StreamId:
        """Begin a stream."""
        with self._changed:
            stream = FrameStream(self._next_id, listener, fps, late)
            self._next_id += 1
            self._streams[stream.id] = stream
            self._turns.append(stream)
            return stream.id

    def get(self, stream: StreamId) -> FrameStream:
        """Raises UnknownStream."""
        with self._changed:
            return self._get(stream)

    def ids(self) -> frozenset[StreamId]:
        """Of the open streams."""
        with self._changed:
            return frozenset(self._streams)

    def rates_fps(self) -> tuple[float, ...]:
        """Of the open streams, one each."""
        with self._changed:
            return tuple(stream.fps for stream in self._streams.values())

    def waiting(self) -> int:
        """Frames, over all streams."""
        with self._changed:
            return sum(len(stream.waiting) for stream in self._streams.values())

    def offer(
        self, stream: StreamId, frame: Frame, due: Callable[[int, float], int]
    ) -> tuple[bool, WaitingFrame | None, Dropped | None]:
        """Queue the next frame of a stream; `due` counts the tasks due on a frame (index, fps).

        Answers whether it was taken in, then what is to be answered at once: it (nothing is due on it), or the
        oldest frame, whose place it took. Raises UnknownStream, NotReady once stopped.
        """
        with self._changed:
            to = self._get(stream)
            if self._stopped:
                raise NotReady("the server is stopping; try another replica")
            tasks = due(to.frames, to.fps)
            full = len(to.waiting) >= self._limit
            if tasks and full and to.late == "wait":
                to.refused = True
                return False, None, None
            waiting = WaitingFrame(to, frame, to.frames, tasks)
            to.frames += 1
            if not tasks:
                return True, waiting, None
            oldest = Dropped(to.waiting.popleft(), "queue_full") if full else None
            to.waiting.append(waiting)
            self._changed.notify()
            return True, None, oldest

    def take(self, count: int, clock: Callable[[], float]) -> Taken | None:
        """Block until frames wait, then take up to `count` of them, streams in turn; None once stopped."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopped or self._any())
            if self._stopped:
                return None
            return self._take(count, clock())

    def close(self, stream: StreamId) -> tuple[Dropped, ...]:
        """End a stream; what waited on it. Raises UnknownStream."""
        with self._changed:
            ended = self._get(stream)
            del self._streams[stream]
            self._turns.remove(ended)
            return _emptied(ended)

    def stop(self) -> tuple[Dropped, ...]:
        """Take and give nothing more; what waited."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
            return tuple(d for stream in self._streams.values() for d in _emptied(stream))

    def _get(self, stream: StreamId) -> FrameStream:
        if stream not in self._streams:
            raise UnknownStream(f"no stream {stream} is open; open one first")
        return self._streams[stream]

    def _any(self) -> bool:
        return any(stream.waiting for stream in self._streams.values())

    def _take(self, count: int, now_s: float) -> Taken:
        dropped = [d for stream in self._streams.values() for d in self._late(stream, now_s)]
        run: list[WaitingFrame] = []
        while len(run) < count and self._any():
            stream = self._turns[0]
            self._turns.rotate(-1)
            if stream.waiting:
                run.append(stream.waiting.popleft())
        ready = [s for s in self._streams.values() if s.refused and len(s.waiting) < self._limit]
        for stream in ready:
            stream.refused = False
        return Taken(tuple(run), tuple(dropped), tuple(ready))

    def _late(self, stream: FrameStream, now_s: float) -> list[Dropped]:
        late: list[Dropped] = []
        while stream.late == "drop" and stream.waiting:
            if now_s - stream.waiting[0].frame.arrived_s <= self._late_s:
                break
            late.append(Dropped(stream.waiting.popleft(), "late"))
        return late


def _emptied(stream: FrameStream) -> tuple[Dropped, ...]:
    left = tuple(Dropped(waiting, "closed") for waiting in stream.waiting)
    stream.waiting.clear()
    return left
