"""Drive a server: an open loop that follows its schedule whatever happens, and a closed loop of
waiting clients.

Latency counts from when a request was due, not from when it left: a client that falls behind
cannot hide the wait.
"""

import gc
import itertools
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from loadtest.channel import Channel
from loadtest.records import UNAVAILABLE, Cost, Ledger, Records
from loadtest.target import INFER, Target

_LOST_AFTER = 10  # refusals of the connection in a row after which a closed-loop client gives up
_DRAIN_MARGIN_S = 5.0  # beyond the last request's own deadline


@dataclass(frozen=True, slots=True)
class OpenLoop:
    """Requests due at these times (s from the start, ascending)."""

    arrivals_s: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClosedLoop:
    """`concurrency` clients, each sending its next request when the last is answered, for
    `duration_s`."""

    concurrency: int
    duration_s: float


Loop = OpenLoop | ClosedLoop


class Drive:
    """One drive: the channel, the ledger and what is still open. Its numbers may be read from
    any thread."""

    def __init__(self, target: Target, pool: Sequence[bytes], start_s: float) -> None:
        """`start_s` is on the monotonic clock of time.perf_counter."""
        self.ledger = Ledger()
        self.sent = 0
        self.answered = 0
        self.over = threading.Event()
        self._start_s = start_s
        self._target = target
        self._pool = pool
        self._numbers = itertools.count()
        self._drained = threading.Event()
        self._expected: int | None = None
        self._channel = Channel(target.url, INFER, self._on_done)
        self._clients = 0
        self._renew_until_s = 0.0
        self._refused = 0

    def now_s(self) -> float:
        """Seconds since the run's start."""
        return time.perf_counter() - self._start_s

    def open(self, arrivals_s: Sequence[float]) -> None:
        """Send every request when it is due; return when all have ended. An interrupt stops the
        sending."""
        try:
            for due_s in arrivals_s:
                wait_s = due_s - self.now_s()
                if wait_s > 0.0:
                    time.sleep(wait_s)
                self._send(due_s)
        except KeyboardInterrupt:
            pass
        self._expected = self.sent
        if self.answered < self._expected:
            self._drained.wait(self._target.timeout_s + _DRAIN_MARGIN_S)

    def closed(self, loop: ClosedLoop) -> None:
        """Keep `loop.concurrency` requests open; return when the time is over and the last have
        ended."""
        self._clients, self._renew_until_s = loop.concurrency, loop.duration_s
        try:
            for _ in range(loop.concurrency):
                self._send(self.now_s())
            self._drained.wait(loop.duration_s + self._target.timeout_s + _DRAIN_MARGIN_S)
        except KeyboardInterrupt:
            self._renew_until_s = 0.0
            self._drained.wait(self._target.timeout_s)

    def _send(self, due_s: float) -> None:
        now_s = self.now_s()
        number = next(self._numbers)
        self.sent = number + 1
        request = self._pool[number % len(self._pool)]
        self._channel.send(request, self._target.timeout_s + due_s - now_s, (due_s, now_s))

    def _on_done(self, tag: tuple[float, float], code: int, answer: bytes | None, why: str) -> None:
        now_s = self.now_s()
        self.ledger.add((*tag, now_s), code, answer, why)
        self.answered += 1
        if self._clients:
            self._renew(now_s, code)
        elif self.answered == self._expected:
            self._drained.set()

    def _renew(self, now_s: float, code: int) -> None:
        """A closed-loop client sends again, or goes home: at the end, or where nobody answers
        any more."""
        self._refused = self._refused + 1 if code == UNAVAILABLE else 0
        if now_s < self._renew_until_s and self._refused < _LOST_AFTER:
            self._send(now_s)
            return
        self._clients -= 1
        if not self._clients:
            self._drained.set()

    def close(self) -> None:
        """End the connection and tell whoever watches."""
        self.over.set()
        self._channel.close()


def drive(
    target: Target,
    pool: Sequence[bytes],
    loop: Loop,
    watch: Callable[[Drive], None] | None = None,
    start_s: float | None = None,
) -> Records:
    """Send serialised requests from `pool` in turn and record what became of each.

    `start_s` (time.perf_counter) lets several processes start together. Python's garbage
    collector is off meanwhile: a collection is a pause the server would be blamed for.
    """
    begin_s = time.perf_counter() if start_s is None else start_s
    time.sleep(max(0.0, begin_s - time.perf_counter()))
    run = Drive(target, pool, begin_s)
    watcher = threading.Thread(target=watch, args=(run,), name="loadtest-watch") if watch else None
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    gc.disable()
    if watcher is not None:
        watcher.start()
    try:
        if isinstance(loop, OpenLoop):
            run.open(loop.arrivals_s.tolist())
        else:
            run.closed(loop)
    finally:
        gc.enable()
        cost = Cost(time.process_time() - cpu_s, time.perf_counter() - wall_s)
        run.close()
        if watcher is not None:
            watcher.join()
    return run.ledger.close(cost)
