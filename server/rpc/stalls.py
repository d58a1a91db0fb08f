"""Gives up on streams whose clients take none of their answers: one thread, asleep until the next limit is due."""

import math
import threading
import time
from typing import Protocol


class Stallable(Protocol):
    """A stream that can be given up."""

    def give_up(self, after_s: float) -> None:
        """Nothing was taken for so long: end."""
        ...


class Stalls:
    """The streams that are full now, and since when nothing was taken of each. All methods from any thread."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
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
                self._since_s[stream] = time.monotonic()
                self._changed.notify()

    def taken(self, stream: Stallable) -> None:
        """Its client has taken something."""
        with self._changed:
            if stream in self._since_s:
                self._since_s[stream] = time.monotonic()

    def forget(self, stream: Stallable) -> None:
        """It has room again, or is over."""
        with self._changed:
            self._since_s.pop(stream, None)

    def _run(self) -> None:
        while (overdue := self._overdue()) is not None:
            for stream in overdue:
                stream.give_up(self._limit_s)

    def _overdue(self) -> list[Stallable] | None:
        """Wait for streams whose limit has passed; None once stopped."""
        with self._changed:
            while not self._stopped:
                now_s = time.monotonic()
                overdue = [
                    s for s, since_s in self._since_s.items() if now_s >= since_s + self._limit_s
                ]
                if overdue:
                    for stream in overdue:
                        del self._since_s[stream]
                    return overdue
                due_s = min(self._since_s.values(), default=math.inf) + self._limit_s
                self._changed.wait(due_s - now_s if due_s < math.inf else None)
        return None
