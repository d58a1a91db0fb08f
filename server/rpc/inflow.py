"""How much of messages that are not complete yet has come on each connection, as the kernel counts it.

gRPC's core puts a message together whatever its size, and compares that with its limit only then; a client may so fill
the memory with messages that will never be taken. All methods are called under the front's lock.
"""

import os
import socket
import stat
import struct
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import unquote

LOOK_S = 0.005
"""So often it is looked while calls are open: what comes in between is not seen in time."""
_TCP_INFO_BYTES = 136
_RECEIVED_AT = 128  # tcpi_bytes_received of Linux's struct tcp_info
_FREE_BYTES = 1 << 20
"""Headers, pings and frames that belong to no message, and what the kernel holds."""
_A_CALL_BYTES = 16 << 10
_A_LOOK_BYTES = 64


class Awaiting(Protocol):
    """A call that may wait for a message of its client."""

    peer: bytes

    @property
    def most_awaited(self) -> int:
        """Bytes of the largest message that it waits for; 0 where it waits for none."""
        ...

    def give_up(self, why: str) -> None:
        """End it."""
        ...


@dataclass(slots=True)
class _Flow:
    """One connection: its descriptor, what the kernel had counted when last asked (0: it never was), and what of
    that is no message yet."""

    descriptor: int | None = None
    counted: int = 0
    owed: int = 0
    explained: int = 0


class Inflow:
    """At most `most_bytes` of incomplete messages, and of each connection no more than its calls may take."""

    def __init__(
        self, most_bytes: int, received: "Callable[[int, bytes], int | None] | None" = None
    ) -> None:
        self._most_bytes = most_bytes
        self._received = received or received_bytes
        self._flows: dict[bytes, _Flow] = {}

    def opened(self, peer: bytes, *, first: bool) -> None:
        """A call has begun; `first`: no other is open on this connection."""
        flow = self._flows.get(peer)
        if flow is None:
            flow = self._flows[peer] = _Flow()
        elif first:
            flow.counted, flow.owed, flow.explained = self._now(peer, flow), 0, 0
        flow.explained += _A_CALL_BYTES

    def prune(self, peers: Collection[bytes]) -> None:
        """Forget connections that have ended."""
        gone = [
            one
            for one, flow in self._flows.items()
            if one not in peers and not self._now(one, flow)
        ]
        for peer in gone:
            del self._flows[peer]

    def delivered(self, peer: bytes, size: int) -> None:
        """A message of so many bytes is complete."""
        flow = self._flows.get(peer)
        if flow is not None:
            flow.explained += size + size // 16 + 64

    def look(self, peers: Collection[bytes], calls: Collection[Awaiting]) -> None:
        """End the calls whose connections (those of `peers` have any) have sent more than their messages may have."""
        flows = {peer: flow for peer in peers if (flow := self._flows.get(peer)) is not None}
        self._find(flows)
        for peer, flow in flows.items():
            self._count(peer, flow)
            if flow.owed <= _FREE_BYTES:
                continue
            theirs = [call for call in calls if call.peer == peer]
            allowed = sum(call.most_awaited for call in theirs)
            if flow.owed > _FREE_BYTES + allowed:
                _end(flow, theirs, f"message larger than max ({flow.owed} so far vs. {allowed})")
        if sum(flow.owed for flow in flows.values()) > self._most_bytes:
            peer, flow = max(flows.items(), key=lambda one: one[1].owed)
            theirs = [call for call in calls if call.peer == peer]
            _end(flow, theirs, f"more than {self._most_bytes} bytes of incomplete messages wait")

    def _count(self, peer: bytes, flow: _Flow) -> None:
        now = self._now(peer, flow)
        if now and flow.counted:
            come = now - flow.counted
            flow.owed = max(0, flow.owed + come - flow.explained - _A_LOOK_BYTES)
        if now:  # the first time it is only known from where to count
            flow.counted, flow.explained = now, 0

    def _now(self, peer: bytes, flow: _Flow) -> int:
        """What the kernel counts now; 0 where that is not known."""
        now = None if flow.descriptor is None else self._received(flow.descriptor, peer)
        if now is None:
            flow.descriptor = None
        return now or 0

    def _find(self, flows: dict[bytes, _Flow]) -> None:
        """Descriptors of connections that are not known yet; of one that has none (it is not TCP) nothing is known."""
        if all(flow.descriptor is not None for flow in flows.values()):
            return
        known = {flow.descriptor for flow in flows.values()}
        with suppress(OSError):
            for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - numbers, not paths
                if (descriptor := int(name)) not in known and (peer := _peer(descriptor)):
                    flow = flows.get(peer)
                    if flow is not None and flow.descriptor is None:
                        flow.descriptor = descriptor


def received_bytes(descriptor: int, peer: bytes) -> int | None:
    """What has come on this connection so far; None where the descriptor is not (or not any more) that of `peer`."""
    if _peer(descriptor) != peer:
        return None
    with suppress(OSError, struct.error):
        one = socket.socket(fileno=descriptor)
        try:
            told = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_BYTES)
        finally:
            one.detach()
        return struct.unpack_from("=Q", told, _RECEIVED_AT)[0]
    return None


def _peer(descriptor: int) -> bytes | None:
    """Who is at the other end, as gRPC's core writes it but for the escapes; None where it is no connected socket."""
    with suppress(OSError):
        if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
            return None
        one = socket.socket(fileno=descriptor)
        try:
            address = one.getpeername()
        finally:
            one.detach()
        if one.family in (socket.AF_INET, socket.AF_INET6):
            host, port = address[0].removeprefix("::ffff:"), address[1]  # the core listens for both
            return (f"ipv6:[{host}]:{port}" if ":" in host else f"ipv4:{host}:{port}").encode()
    return None


def plain_peer(peer: bytes) -> bytes:
    """The address that the core tells, without escapes."""
    return unquote(peer.decode(errors="replace")).encode() if b"%" in peer else peer


def _end(flow: _Flow, calls: list[Awaiting], why: str) -> None:
    flow.owed = 0
    for call in calls:
        if call.most_awaited:
            call.give_up(why)
