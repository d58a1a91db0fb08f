"""HTTP for operators: /metrics for Prometheus, /healthz (alive), /readyz (serving). One thread.

Whoever connects gets one answer within a few seconds or none; of too many, who has waited longest goes.
"""

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry

from server.operators.pages import MOST_REQUEST_BYTES, Pages, is_whole
from surroundings.listening import listen

MOST_VISITS = 32  # connections at a time
VISIT_S = 5.0  # from connecting to having taken the answer
_CHUNK_BYTES = 64 << 10
_BREATHER_S = 0.1  # nobody is let in for so long when there is no descriptor for them


@dataclass(slots=True, eq=False)
class _Visit:
    """One connection: what it has asked so far, what is left of its answer (None: none yet), when it must be over."""

    socket: socket.socket
    until_s: float
    asked: bytearray = field(default_factory=bytearray)
    answer: memoryview | None = None


class Operators:
    """Binds when built; raises OSError naming the address, NotOurs where another port would not help.

    Where a host has several addresses it listens on all of them that are this machine's, as gRPC does.
    """

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, ready: Callable[[], bool]
    ) -> None:
        self._pages = Pages(registry, ready)
        self._listeners = listen(host, port)
        self._woken, self._wake = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._open_doors()
        self._visits: dict[socket.socket, _Visit] = {}  # the one connected longest first
        self._closed_until_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    @property
    def port(self) -> int:
        """The port it listens on."""
        return self._listeners[0].getsockname()[1]

    def start(self) -> None:
        """Begin answering."""
        self._thread.start()

    def stop(self) -> None:
        """Stop answering and free the port."""
        self._wake.send(b"\0")
        if self._thread.is_alive():
            self._thread.join()
        for visit in list(self._visits.values()):
            self._end(visit)
        for one in (*self._listeners, self._woken, self._wake, self._selector):
            one.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select(self._patience_s()):
                if key.fileobj is self._woken:
                    return
                if key.data is not None:
                    self._let_in(key.data)
                elif (visit := self._visits.get(key.fileobj)) is not None:  # type: ignore[call-overload] - ours are sockets
                    self._go_on(visit)
            self._end_overdue(time.monotonic())

    def _patience_s(self) -> float | None:
        due_s = [visit.until_s for visit in list(self._visits.values())[:1]]
        if self._closed_until_s is not None:
            due_s.append(self._closed_until_s)
        return max(0.0, min(due_s) - time.monotonic()) if due_s else None

    def _end_overdue(self, now_s: float) -> None:
        for visit in list(self._visits.values()):
            if visit.until_s <= now_s:
                self._end(visit)
        if self._closed_until_s is not None and self._closed_until_s <= now_s:
            self._closed_until_s = None
            self._open_doors()

    def _open_doors(self) -> None:
        for listener in self._listeners:
            self._selector.register(listener, selectors.EVENT_READ, listener)

    def _let_in(self, listener: socket.socket) -> None:
        if self._closed_until_s is not None:  # another's turn closed it too
            return
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError:  # out of descriptors, most likely
            for one in self._listeners:
                self._selector.unregister(one)
            self._closed_until_s = time.monotonic() + _BREATHER_S
            return
        connection.setblocking(False)
        while len(self._visits) >= MOST_VISITS:
            self._end(next(iter(self._visits.values())))
        self._visits[connection] = _Visit(connection, time.monotonic() + VISIT_S)
        self._selector.register(connection, selectors.EVENT_READ)
        self._go_on(self._visits[connection])

    def _go_on(self, visit: _Visit) -> None:
        try:
            if visit.answer is None:
                self._hear(visit)
            elif visit.answer:
                self._tell(visit)
            elif not visit.socket.recv(_CHUNK_BYTES):  # it has what it wanted, and says so
                self._end(visit)
        except BlockingIOError:
            pass
        except OSError:
            self._end(visit)

    def _hear(self, visit: _Visit) -> None:
        data = visit.socket.recv(_CHUNK_BYTES)
        visit.asked += data
        if not data:
            self._end(visit)
        elif is_whole(visit.asked) or len(visit.asked) > MOST_REQUEST_BYTES:
            visit.answer = memoryview(self._pages.answer(bytes(visit.asked)))
            self._selector.modify(visit.socket, selectors.EVENT_WRITE)
            self._tell(visit)

    def _tell(self, visit: _Visit) -> None:
        assert visit.answer is not None
        visit.answer = visit.answer[visit.socket.send(visit.answer) :]
        if not visit.answer:  # closed at once, what it still sends would cost it its answer
            visit.socket.shutdown(socket.SHUT_WR)
            self._selector.modify(visit.socket, selectors.EVENT_READ)

    def _end(self, visit: _Visit) -> None:
        del self._visits[visit.socket]
        self._selector.unregister(visit.socket)
        with contextlib.suppress(OSError):
            visit.socket.close()
