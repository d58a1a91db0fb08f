"""The native front's thread: it takes events off the core in batches, and hands them to the same handlers."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import grpc

from server.rpc.transport import unix
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.connections import Connections, Counted
from server.rpc.transport.endings import STOPPING, Trailers
from server.rpc.transport.hosting import Handler
from server.rpc.transport.native._core import Core, Exchange
from server.rpc.transport.native.call import NativeCall

MESSAGE, END, CANCELLED, TAKEN, WITHDRAWN, BEGUN = 0, 1, 2, 3, 5, 6
"""Kinds of events; plain requests, which would be 4, come apart from them."""
_GOODBYE_S = 1.0
_LOOK_S = 1.0


class TakesPlain(Protocol):
    """Who takes plain requests. Nothing of it may raise."""

    def take(self, key: int, exchanges: list[Exchange]) -> None:
        """These came together, and have the signature of this key."""
        ...

    def withdraw(self, exchange: Exchange) -> None:
        """Its client has left."""
        ...


class NativeFront:
    """As Front, on the native core."""

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        ending_of: Callable[[BaseException], tuple[grpc.StatusCode, str, Trailers]],
        on_quiet: Callable[[], None],
        bounds: Bounds,
        connected: Counted = lambda _open, _most, _ended: None,
    ) -> None:
        self.name = "native"
        self.ending_of = ending_of
        self.lock = threading.RLock()
        self.most_bytes = bounds.message_bytes
        self._handlers = list(handlers.values())
        self._on_quiet = on_quiet
        self._plain: TakesPlain | None = None
        self.core = core_of(handlers, bounds)
        self.connections = Connections(bounds.connections, self._busy_ports, connected)
        self._port = 0
        self._unix = ""
        self._streams: set[NativeCall] = set()
        self._thread = threading.Thread(target=self._loop, name="front", daemon=True)

    def bind(self, address: str) -> int:
        """Listen on host:port (port 0: any) and return the port. Raises OSError naming the address where that fails."""
        host, _, port = address.rpartition(":")
        try:
            self._port = self.core.bind(host.removeprefix("[").removesuffix("]"), int(port))
        except OSError as error:
            raise OSError(
                f"cannot listen on {address}: the port is in use or the address is not ours"
            ) from error
        return self._port

    def bind_unix(self, path: str) -> None:
        """Listen on a Unix socket, too. Raises OSError naming the path where that fails."""
        unix.bound(path, lambda: self._add_unix(path))
        self._unix = path

    def start(self) -> None:
        """Begin accepting calls."""
        self._thread.start()
        self.core.start()
        self.connections.start(self._port)

    def stop(self, grace_s: float, give_up: Callable[[], object]) -> None:
        """Refuse new calls, wait up to `grace_s` for those in flight, then end the thread.

        `give_up` is called once waiting is over, to answer what it can of the rest; what is left is cancelled.
        """
        self.connections.stop()
        code, details = STOPPING
        self.core.stop_accepting_calls(code.value[0], details)
        with self.lock:
            streams = list(self._streams)
        for call in streams:
            call.drain()
        self.core.wait_empty(grace_s)
        give_up()
        self.core.wait_empty(_GOODBYE_S)
        self.core.goodbye()
        until_s = time.monotonic() + _GOODBYE_S
        while self.core.connected() and time.monotonic() < until_s:
            time.sleep(0.005)  # clients take their last answers before the connection is cut
        self.core.close()
        self._thread.join(timeout=5.0)
        unix.remove(self._unix) if self._unix else None

    def take_plain(self, signatures: Sequence[Any], plain: TakesPlain) -> None:
        """From now on requests that are plain by these signatures go to `plain`."""
        self._plain = plain
        self.core.publish(signatures)

    def answer_long(self, exchange: Exchange) -> None:
        """Have a plain request handled as any other message. On the front's thread."""
        if (message := exchange.go_long()) is not None:
            self._call_of(exchange).received(message, packed=False)

    def _add_unix(self, path: str) -> None:
        try:
            self.core.bind_unix(path)
        except OSError as error:
            raise OSError(f"cannot listen on {path}: {error}") from error

    def _busy_ports(self) -> set[int]:
        return set(self.core.busy_ports())

    def _loop(self) -> None:
        poll, goes_on = self.core.poll, True
        while goes_on:
            plain, events, over, goes_on = poll(time.monotonic() + _LOOK_S)
            if plain and self._plain is not None:
                for key, exchanges in plain:
                    self._plain.take(key, exchanges)
            for kind, exchange, data, packed in events:
                self._handle(kind, exchange, data, packed=bool(packed))
            self._on_quiet()
            for exchange in over:
                self._forget(exchange)
            del plain, events, over
        poll(0.0)  # lets go of the last exchanges, and they of the core

    def _handle(self, kind: int, exchange: Exchange, data: bytes | None, *, packed: bool) -> None:
        if kind in (MESSAGE, END):
            self._call_of(exchange).received(data, packed=packed)
        elif kind == BEGUN:  # it may never say a word, and is to be told when the server stops
            self._call_of(exchange)
        elif kind == WITHDRAWN and not isinstance(exchange.state, NativeCall):
            if self._plain is not None:
                self._plain.withdraw(exchange)
        elif (call := exchange.state) is not None:
            call.taken() if kind == TAKEN else call.left()

    def _call_of(self, exchange: Exchange) -> NativeCall:
        call = exchange.state
        if call is None:
            handler = self._handlers[exchange.method]
            call = exchange.state = NativeCall(self, exchange, handler)
            if handler.streaming:
                with self.lock:
                    self._streams.add(call)
        return call

    def _forget(self, exchange: Exchange) -> None:
        call, exchange.state = exchange.state, None
        if call is not None:
            call.over()
            with self.lock:
                self._streams.discard(call)


def core_of(handlers: Mapping[str, Handler], bounds: Bounds) -> Core:
    """A core for these methods."""
    methods = [
        (path, one.streaming, one.is_plain, min(one.most_bytes, bounds.message_bytes))
        for path, one in handlers.items()
    ]
    return Core(
        methods,
        bounds.message_bytes,
        bounds.unsent_bytes,
        bounds.connections,
        bounds.streams_a_connection,
        bounds.calls,
        bounds.stall_s,
        bounds.max_idle_s,
        bounds.max_age_s,
        bounds.keepalive_s,
        max(bounds.coming_bytes, 2 * bounds.message_bytes),
    )
