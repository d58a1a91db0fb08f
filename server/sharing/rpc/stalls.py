"""Gives up on streams whose clients take none of their answers: one thread, asleep until the next limit is due."""

import threading
import time
from collections.abc import Callable
from typing import Protocol


class Stallable(Protocol):
    """A stream that can be given up."""

    def give_up(self, after_s: float) -> None:
        """Nothing was taken for so long: end."""
        ...


class Stalls:
    """The streams that are full now, and since when nothing was taken of each. All methods from any thread."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._limit_s = limit_s
        self._clock = clock
        self._since_s: dict[Stallable, float] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="stalls", daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        with self._changed:
            self._stopped = True
            self._changed.notify()
        self._thread.join()

    def full(self, stream: Stallable) -> None:
        """Its client has more answers to take than may wait."""
        with self._changed:
            if stream not in self._since_s:
                self._since_s[stream] = self._clock()
                self._changed.notify()

    def taken(self, stream: Stallable) -> None:
        """Its client has taken something."""
        with self._changed:
            if stream in self._since_s:
                self._since_s[stream] = self._clock()

    def forget(self, stream: Stallable) -> None:
        """It has room again, or is over."""
        with self._changed:
            self._since_s.pop(stream, None)

    def overdue(self) -> list[Stallable]:
        """Those whose limit has passed; they are forgotten."""
        with self._changed:
            before_s = self._clock() - self._limit_s
            late = [stream for stream, since_s in self._since_s.items() if since_s <= before_s]
            for stream in late:
                del self._since_s[stream]
            return late

    def _run(self) -> None:
        while not self._stopped:
            for stream in self.overdue():
                stream.give_up(self._limit_s)
            with self._changed:
                if not self._stopped:
                    self._changed.wait(self._left_s())

    def _left_s(self) -> float | None:
        """Until the next limit is due; None: there is none. Called under the lock."""
        if not self._since_s:
            return None
        return max(0.0, min(self._since_s.values()) + self._limit_s - self._clock())
