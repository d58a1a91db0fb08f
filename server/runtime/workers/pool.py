"""A family's workers, and replacements for those that do not come back from their backend."""

import logging
import threading
import time
from collections.abc import Callable
from math import inf

from server.runtime.workers.executor import Worker, WorkerContext
from server.runtime.workers.failures import Failures
from server.runtime.workers.watch import Watch

SAID_EVERY_S = 60.0
"""So often (s) at most it is said that workers were replaced; the log names their arms."""

_log = logging.getLogger(__name__)


class WorkerPool:
    """One worker for each `gate` that is made."""

    def __init__(self, context: WorkerContext, gate: Callable[[], threading.Lock]) -> None:
        self._context = context
        self._gate = gate
        self._watch = Watch(context.dispatcher)
        self._failures = Failures(context.family.name)
        self._workers: list[Worker] = []
        self._places = 0
        self._replaced, self._replaced_said_s = 0, -inf

    def start(self, workers: int) -> None:
        """Begin to work, so many of them."""
        self._watch.start()
        self.grow(workers)

    def grow(self, workers: int) -> None:
        """Be so many at least; how many of them serve at a time is the dispatcher's affair."""
        while self._places < workers:
            self._places += 1
            worker = self._worker(self._gate())
            self._workers.append(worker)
            worker.start()

    def tick(self) -> None:
        """Let the log have how often batches failed, where it is time to. Any thread."""
        self._failures.tick()

    def join(self) -> None:
        """Wait until all work is done, the dispatcher being closed; not for workers that were replaced."""
        for worker in self._workers:  # grows while a worker is waited for that does not come back
            worker.done.wait()
        self._watch.stop()
        self._watch.join()

    def _worker(self, gate: threading.Lock) -> Worker:
        return Worker(self._context, gate, self._watch, self._failures, self._replace)

    def _replace(self, lost: Worker) -> None:
        self._replaced += 1
        now_s = time.monotonic()
        if now_s >= self._replaced_said_s + SAID_EVERY_S:
            text = "%s: a worker does not come back from its backend; another takes its place (%d so far)"
            _log.warning(text, self._context.family.name, self._replaced)
            self._replaced_said_s = now_s
        lost.gate.release()
        successor = self._worker(lost.gate)
        self._workers.append(successor)
        successor.start()
        lost.done.set()
