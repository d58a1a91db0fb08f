"""A family's workers, and whoever takes the place of one that does not come back from its backend."""

import logging
import threading
from collections.abc import Iterable

from server.runtime.executor import Post, Worker
from server.runtime.watch import Watch

_log = logging.getLogger(__name__)


class Crew:
    """One worker per gate."""

    def __init__(self, post: Post, gates: Iterable[threading.Lock]) -> None:
        self._post = post
        self._watch = Watch(post.dispatcher)
        self._workers = [self._worker(gate) for gate in gates]

    def start(self) -> None:
        """Begin to work."""
        self._watch.start()
        for worker in self._workers:
            worker.start()

    def join(self) -> None:
        """Wait until all work is done, the dispatcher being closed; not for workers that were replaced."""
        for worker in self._workers:  # grows while a worker is waited for that does not come back
            worker.done.wait()
        self._watch.stop()
        self._watch.join()

    def _worker(self, gate: threading.Lock) -> Worker:
        return Worker(self._post, gate, self._watch, self._replace)

    def _replace(self, lost: Worker) -> None:
        _log.warning(
            "%s: a worker does not come back from its backend; another takes its place",
            self._post.family.name,
        )
        lost.gate.release()
        successor = self._worker(lost.gate)
        self._workers.append(successor)
        successor.start()
        lost.done.set()
