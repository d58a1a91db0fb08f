"""What the tuner's thread does after the start, one thing after the other: loading and measuring."""

import logging
import queue
from collections.abc import Callable

_log = logging.getLogger(__name__)

Task = Callable[[], None]


class WorkQueue:
    """A queue of things to do. Any thread adds; one thread works them off until it is told to end."""

    def __init__(self) -> None:
        self._waiting: queue.SimpleQueue[tuple[str, Task] | None] = queue.SimpleQueue()

    def add(self, what: str, task: Task) -> None:
        """Have `task` done; `what` names it for the log if it fails."""
        self._waiting.put((what, task))

    def end(self) -> None:
        """Let the worker return once it has done what was added before."""
        self._waiting.put(None)

    def work(self, every_s: Callable[[], float], otherwise: Task) -> None:
        """Do what is added, until `end`; whenever nothing was for `every_s()`, `otherwise`."""
        while True:
            try:
                item = self._waiting.get(timeout=every_s())
            except queue.Empty:
                item = ("look for idle slots", otherwise)
            if item is None:
                return
            _attempt(*item)


def _attempt(what: str, task: Task) -> None:
    try:
        task()
    except Exception:  # noqa: BLE001 - the tuner must go on: what it knows still holds
        _log.exception("%s failed; serving goes on with what is known", what)
