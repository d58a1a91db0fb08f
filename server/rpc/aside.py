"""Large messages are unpacked, parsed and checked on threads of their own, rows decoded too; few may wait for it."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from server.errors import Overloaded

LARGE_BYTES = 1 << 20
"""From this size on a message is no work for the front's thread."""
_MOST_WAITING = 2
"""Largest messages that may wait."""


class Aside:
    """`threads` of them; one keeps the order. `most_bytes` is the largest message's size."""

    def __init__(self, most_bytes: int, threads: int = 1) -> None:
        self._room = _MOST_WAITING * most_bytes
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="parser")

    def do(self, size: int, job: Callable[[], None]) -> None:
        """Do this, which is about a message of so many bytes; it must not raise. Raises Overloaded if too many wait."""
        with self._lock:
            if size > self._room:
                raise Overloaded("too many large requests wait to be read; ask again later", 1.0)
            self._room -= size
        self._pool.submit(self._do, size, job)

    def close(self) -> None:
        """End the threads: what waits is not done. After the front has stopped, and with it all calls."""
        self._pool.shutdown(cancel_futures=True)

    def _do(self, size: int, job: Callable[[], None]) -> None:
        try:
            job()
        finally:
            with self._lock:
                self._room += size
