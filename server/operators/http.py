"""HTTP for operators: /metrics for Prometheus, /healthz (alive), /readyz (serving). One thread.

Whoever connects gets one answer within a few seconds or none; of too many, who has waited longest goes.
"""

import contextlib
import errno
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from prometheus_client import CollectorRegistry

from server.operators.pages import MOST_REQUEST_BYTES, Pages, is_whole
from surroundings.addresses import bare, joined

MOST_VISITS = 32  # connections at a time
VISIT_S = 5.0  # from connecting to having taken the answer
_CHUNK_BYTES = 64 << 10
_ABSENT = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
"""Why an address of a name cannot be listened on: it is not this machine's."""
_LOOPBACK = ("127.0.0.1", "::1")
_BREATHER_S = 0.1  # nobody is let in for so long when there is no descriptor for them


@dataclass(slots=True, eq=False)
class _Visit:
    """One connection: what it has asked so far, what is left of its answer (None: none yet), when it must be over."""

    socket: socket.socket
    until_s: float
    asked: bytearray = field(default_factory=bytearray)
    answer: memoryview | None = None


class NotOurs(OSError):
    """The host is unknown, or no address of this machine."""


class Operators:
    """Binds when built; raises OSError naming the address, NotOurs where another port would not help.

    Where a host has several addresses it listens on all of them that are this machine's, as gRPC does.
    """

    def __init__(
        self, host: str, port: int, registry: CollectorRegistry, ready: Callable[[], bool]
    ) -> None:
        self._pages = Pages(registry, ready)
        try:
            self._listeners = _listen(bare(host), port)
        except (OSError, UnicodeError) as error:
            where = joined(host, port)
            reason = error.strerror if isinstance(error, OSError) else error
            kind = NotOurs if _is_the_hosts(error) else OSError
            raise kind(f"cannot listen on {where}: {reason or error}") from error
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


def _listen(host: str, port: int) -> list[socket.socket]:
    """Listens on each address of `host`, on one port; on IPv4 and IPv6 where it is `::`. Raises OSError."""
    listeners: list[socket.socket] = []
    absent: OSError | None = None
    for family, address in _addresses(host, port):
        both = family == socket.AF_INET6 and host == "::" and socket.has_dualstack_ipv6()
        port = listeners[0].getsockname()[1] if listeners else port
        try:
            where: Any = (address[0], port, *address[2:])
            made = socket.create_server(where, family=family, backlog=128, dualstack_ipv6=both)
        except OSError as error:
            if error.errno in _ABSENT:
                absent = error
                continue
            for one in listeners:
                one.close()
            raise
        made.setblocking(False)
        listeners.append(made)
    if absent is not None and not listeners:
        raise absent
    return listeners


def _addresses(host: str, port: int) -> list[tuple[int, tuple[Any, ...]]]:
    """Of `localhost` both, whatever the machine's own tables say: gRPC has them so (RFC 6761)."""
    hosts = _LOOPBACK if host.lower() == "localhost" else (host,)
    kind, flags = socket.SOCK_STREAM, socket.AI_PASSIVE
    rows = [row for one in hosts for row in socket.getaddrinfo(one, port, type=kind, flags=flags)]
    return list(dict.fromkeys((row[0], row[4]) for row in rows))


def _is_the_hosts(error: Exception) -> bool:
    """Whether the host is to blame, so that no other port helps."""
    of_names = isinstance(error, socket.gaierror | UnicodeError)
    return of_names or (isinstance(error, OSError) and error.errno in _ABSENT)
