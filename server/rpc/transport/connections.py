"""The connections to our port as the kernel has them, and which of them give way where they run short.

gRPC's core bounds connections, silent ones included, but tells of none, and ends none at our wish. They are found among
this process's descriptors, and shut down through a duplicate: the core sees their end, as if the client had left.
"""

import ipaddress
import logging
import math
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from server.texts import shown

_log = logging.getLogger(__name__)

LOOK_S = 1.0
"""So often connections are counted;"""
SHORT_LOOK_S = 0.1
"""and so often while they are short."""
SILENT_S, QUIET_S = 0.5, 1.0
"""A connection gives way after so long without a word: from the beginning, or since its last."""
_SAID_AGAIN_S = 60.0
_DESCRIPTORS = Path("/proc/self/fd")
_LAST_HEARD_AT, _HEARD_BYTES_AT, _INFO_BYTES = 52, 128, 136
"""Where Linux's tcp_info has the ms since something came last, and the bytes that have come in all."""

Counted = Callable[[int, int, int], object]
"""Is given how many connections there are, how many there may be, and how many of them were ended just now."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One of a client's: its address and port, for how long nothing came (s), whether anything ever did."""

    host: str
    port: int
    quiet_s: float
    has_spoken: bool

    @property
    def holder(self) -> str:
        """Whose it is: the address, of IPv6 the network of one customer (/64)."""
        address = ipaddress.ip_address(self.host.partition("%")[0])
        if address.version == 4:
            return self.host
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))


def are_short(count: int, most: int) -> bool:
    """Whether so many connections leave hardly any: an eighth of them."""
    return count > most - most // 8


def to_give_way(
    connections: Collection[Connection], most: int, busy_ports: Collection[int]
) -> list[Connection]:
    """Those to be ended so that a quarter of `most` is free: of whoever has most without calls, the longest quiet.

    `busy_ports`: those from which calls have come that are not over. Nobody gives way while connections are not short.
    """
    if not are_short(len(connections), most):
        return []
    idle: dict[str, list[Connection]] = {}
    for one in sorted(connections, key=lambda one: (not one.has_spoken, one.quiet_s)):
        if one.port not in busy_ports and one.quiet_s >= (QUIET_S if one.has_spoken else SILENT_S):
            idle.setdefault(one.holder, []).append(one)
    gone: list[Connection] = []
    excess = len(connections) - (most - most // 4)
    while len(gone) < excess and idle:
        holder = max(idle, key=lambda name: len(idle[name]))
        gone.append(idle[holder].pop())
        if not idle[holder]:
            del idle[holder]
    return gone


class Connections:
    """Counts the connections to a port on a thread of its own, and ends some where they run short of `most`.

    `busy_ports` tells from which ports of clients calls have come that are not over; `counted` is called after
    each look. Without Linux's /proc it does nothing.
    """

    def __init__(
        self,
        most: int,
        busy_ports: Callable[[], Collection[int]],
        counted: Counted,
    ) -> None:
        self._most, self._busy_ports, self._counted = most, busy_ports, counted
        self._port = 0
        self._said_s: float | None = None
        self._ended = 0  # since it was said last
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="connections", daemon=True)

    def start(self, port: int) -> None:
        """Begin to look after the connections to this port."""
        self._port = port
        if _DESCRIPTORS.is_dir():
            self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        wait_s = LOOK_S
        while not self._stopping.wait(wait_s):
            try:
                wait_s = SHORT_LOOK_S if self.look() else LOOK_S
            except OSError as error:  # out of descriptors, most likely: later, then
                _log.debug("connections cannot be counted", exc_info=error)

    def look(self) -> bool:
        """Count once, end whom that leaves no room; whether connections are short."""
        found = list(_to_port(self._port))
        short = are_short(len(found), self._most)
        gone = to_give_way(found, self._most, self._busy_ports()) if short else []
        ended = _shut_down(self._port, gone) if gone else 0
        self._ended += ended
        self._counted(len(found), self._most, ended)
        self._say(found, short=short)
        return short

    def _say(self, found: Collection[Connection], *, short: bool) -> None:
        """Once while they are short, then how many were ended, once a minute."""
        now_s = time.monotonic()
        if self._said_s is not None and now_s < self._said_s + _SAID_AGAIN_S:
            return
        if not short and not self._ended:
            self._said_s = None
            return
        holder, count = Counter(one.holder for one in found).most_common(1)[0] if found else ("", 0)
        _log.warning(
            "connections run short: %d of %d (max_connections), %d of them from %s; %d without calls were ended",
            len(found),
            self._most,
            count,
            shown(holder),
            self._ended,
        )
        self._said_s, self._ended = now_s, 0


def _to_port(port: int) -> Iterator[Connection]:
    return (found for _, found in _sockets(port))


def _shut_down(port: int, gone: Iterable[Connection]) -> int:
    """End those of them that have not said a word since; how many."""
    quiet_s = {(one.host, one.port): one.quiet_s for one in gone}
    count = 0
    for one, now in _sockets(port):
        if now.quiet_s >= quiet_s.get((now.host, now.port), math.inf):
            with suppress(OSError):  # it has ended by itself
                one.shutdown(socket.SHUT_RDWR)
                count += 1
    return count


def _sockets(port: int) -> Iterator[tuple[socket.socket, Connection]]:
    """Duplicates of this process's connections to a port, each open until the next one."""
    for name in os.listdir(_DESCRIPTORS):  # noqa: PTH208 - numbers are wanted, no paths
        with (
            suppress(OSError, IndexError),
            _duplicate(int(name)) as one,
        ):  # else closed by now, or no connection
            if one.getsockname()[1] == port:
                yield one, _connection_of(one)


def _duplicate(descriptor: int) -> socket.socket:
    copy = os.dup(descriptor)
    try:
        return socket.socket(fileno=copy)
    except OSError:
        os.close(copy)
        raise


def _connection_of(one: socket.socket) -> Connection:
    host, port = one.getpeername()[:2]
    info = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    (last_heard_ms,) = struct.unpack_from("I", info, _LAST_HEARD_AT)
    (heard_bytes,) = struct.unpack_from("Q", info, _HEARD_BYTES_AT)
    return Connection(host, port, last_heard_ms / 1e3, heard_bytes > 0)
