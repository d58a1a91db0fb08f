"""What was asked of a thread that does one thing after the other: each is answered, done or not."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from server.errors import NotReady
from server.runtime.arms.work_queue import WorkQueue


class Asked:
    """Tasks in the queue for which somebody waits. Any thread."""

    def __init__(self, tasks: WorkQueue) -> None:
        self._tasks = tasks
        self._lock = threading.Lock()
        self._waited_for: set[Future[None]] = set()
        self._stopping = False

    def later(self, what: str, task: Callable[[], None]) -> "Future[None]":
        """Have it done; what it raises, the future does. Raises NotReady while stopping."""
        done: Future[None] = Future()
        with self._lock:
            if self._stopping:
                raise NotReady("the server is stopping; ask another replica")
            self._waited_for.add(done)
        self._tasks.add(what, lambda: self._run(task, done))
        return done

    def refuse(self) -> None:
        """Take no more; whoever waits is told that it will not be."""
        with self._lock:
            self._stopping = True
            waited_for, self._waited_for = self._waited_for, set()
        for done in waited_for:
            done.set_exception(NotReady("the server stopped before that was done"))

    def _run(self, task: Callable[[], None], done: "Future[None]") -> None:
        error: BaseException | None = None
        try:
            task()
        except Exception as failure:  # noqa: BLE001 - whoever asked is to be answered
            error = failure
        with self._lock:
            if done not in self._waited_for:
                return
            self._waited_for.remove(done)
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
