# pyright: basic
"""The transport: one thread that drives gRPC's C core through its completion queue, and calls answered from any thread.

grpcio's public servers spend three to five times the CPU of this loop per request (docs/decisions/0002); the price is
that `grpc._cython.cygrpc` is not a public interface, so grpcio is pinned exactly and every use of it is here, in
call.py and in endings.py.
"""

import threading
import time
from collections.abc import Callable, Mapping

import grpc
from grpc._cython import cygrpc  # pyright: ignore[reportAttributeAccessIssue] - compiled, no stub

from server.rpc.transport import unix
from server.rpc.transport.bounds import Bounds, arguments
from server.rpc.transport.call import Call, Handler
from server.rpc.transport.clocks import monotonic, wall
from server.rpc.transport.connections import Connections, Counted
from server.rpc.transport.endings import STOPPING, Trailers, refuse
from server.rpc.transport.guests import Guests
from server.texts import shown

_PENDING_ACCEPTS = 16  # calls the core may hand over before we ask for more
_GOODBYE_S = 1.0
"""How long connections may take to end by themselves, once nothing is left to answer."""
_LOOK_S = 1.0
"""So often calls are looked for whose clients take no answers."""
_LONGEST_RUSH_S = 5e-3
"""What was collected is handed on after so long at the latest, though events go on coming: they may be an enemy's."""
_QUEUE_TIMEOUT = cygrpc.CompletionType.queue_timeout
_QUEUE_SHUTDOWN = cygrpc.CompletionType.queue_shutdown


class Front:
    """Accepts calls on a port and hands their messages to handlers, on one thread of its own.

    `on_quiet` is called whenever no event is waiting: the moment to hand collected work on as one batch. `connected` is
    told of the connections every second, on a thread of its own.
    """

    def __init__(
        self,
        handlers: Mapping[str, Handler],
        ending_of: Callable[[BaseException], tuple[grpc.StatusCode, str, Trailers]],
        on_quiet: Callable[[], None],
        bounds: Bounds,
        connected: Counted = lambda _open, _most, _ended: None,
    ) -> None:
        self.name = "gRPC's own core"
        self.ending_of = ending_of
        self.lock = threading.RLock()
        self.woken_s = 0.0
        self.most_bytes = bounds.message_bytes
        most_bytes = max(handler.most_bytes for handler in handlers.values())
        self.guests = Guests(
            bounds.calls, bounds.unsent_bytes, bounds.stall_s, bounds.streams_a_connection
        )
        self._handlers = {path.encode(): handler for path, handler in handlers.items()}
        self._on_quiet = on_quiet
        self._queue = cygrpc.CompletionQueue()
        self._server = cygrpc.Server(arguments(bounds, most_bytes), False)
        self._server.register_completion_queue(self._queue)
        self.connections = Connections(bounds.connections, self._busy_ports, connected)
        self._port = 0
        self._unix = ""
        self._calls: set[Call] = set()
        self._empty = threading.Condition(self.lock)
        self._stopping = False
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="front", daemon=True)

    def bind(self, address: str) -> int:
        """Listen on host:port (port 0: any) and return the port. Raises OSError naming the address where that fails."""
        try:
            port = self._server.add_http2_port(address.encode())
        except RuntimeError:
            port = 0
        if not port:
            raise OSError(
                f"cannot listen on {address}: the port is in use or the address is not ours"
            )
        self._port = port
        return port

    def bind_unix(self, path: str) -> None:
        """Listen on a Unix socket, too. Raises OSError naming the path where that fails."""
        unix.bound(path, lambda: self._add_unix(path))
        self._unix = path

    def start(self) -> None:
        """Begin accepting calls."""
        self._server.start()
        for _ in range(_PENDING_ACCEPTS):
            self._accept()
        self._thread.start()
        self.connections.start(self._port)

    def stop(self, grace_s: float, give_up: Callable[[], object]) -> None:
        """Refuse new calls, wait up to `grace_s` for those in flight, then end the thread.

        `give_up` is called once waiting is over, to answer what it can of the rest; what is left is cancelled. The core
        is shut down last: it cancels calls that it has not handed over yet, and until then those are refused in words.
        """
        self.connections.stop()
        with self.lock:
            self._stopping = True
            calls = list(self._calls)
        for call in calls:
            call.drain()
        with self._empty:
            self._empty.wait_for(lambda: not self._calls, timeout=grace_s)
        for last_resort in (give_up, self._shut_down):
            last_resort()
            with self._empty:
                self._empty.wait_for(lambda: not self._calls, timeout=1.0)
        self._queue.shutdown()
        self._thread.join(timeout=5.0)
        self._server.destroy()
        unix.remove(self._unix) if self._unix else None

    def _shut_down(self) -> None:
        gone = threading.Event()
        with self.lock:
            self._closed = True
            self._server.shutdown(self._queue, lambda _event: gone.set())
        gone.wait(_GOODBYE_S)  # clients take their last answers before the connection is cut
        self._server.cancel_all_calls()

    def ended(self, call: Call, taken: bool) -> None:
        """Forget a finished call, whose answer was taken or which was cancelled. For Call only."""
        with self._empty:
            self._calls.discard(call)
            self.guests.leave(call, taken=taken)
            if self._stopping and not self._calls:
                self._empty.notify_all()

    def _busy_ports(self) -> set[int]:
        """Of clients: the ports from which calls have come that are not over."""
        with self.lock:
            ports = [peer.rpartition(b":")[2] for peer in self.guests.peers]
        return {int(port) for port in ports if port.isdigit()}  # those of Unix sockets have none

    def _add_unix(self, path: str) -> None:
        try:
            self._server.add_http2_port(f"unix:{path}".encode())
        except RuntimeError as error:
            raise OSError(f"cannot listen on {path}") from error

    def _loop(self) -> None:
        poll, tick = self._queue.poll, self._on_quiet
        looked_s = began_s = time.monotonic()
        event = poll(wall(looked_s + _LOOK_S))
        while event.completion_type != _QUEUE_SHUTDOWN:
            if event.completion_type != _QUEUE_TIMEOUT:
                event.tag(event)
            event = None  # the core frees a call only when its last event is gone
            event = poll(0)
            if event.completion_type == _QUEUE_TIMEOUT:
                tick()
                event = None
                event = poll(wall(looked_s + _LOOK_S))
                self.woken_s = began_s = time.monotonic()
            elif (now_s := time.monotonic()) > began_s + _LONGEST_RUSH_S:
                tick()
                began_s = now_s
            if began_s >= looked_s + _LOOK_S:
                looked_s = began_s
                with self.lock:
                    self.guests.end_stalled()
                    self.guests.forget_gone()

    def _accept(self) -> None:
        self._server.request_call(self._queue, self._queue, self._accepted)

    def _accepted(self, event) -> None:
        if not event.success:
            return
        with self.lock:
            if not self._closed:
                self._accept()
            if self._stopping:
                refuse(event.call, *STOPPING)
                return
        handler = self._handlers.get(event.call_details.method)
        if handler is None:
            method = event.call_details.method.decode(errors="replace")
            refuse(event.call, grpc.StatusCode.UNIMPLEMENTED, f"unknown method {shown(method)}")
            return
        peer = event.call.peer()
        with self.lock:
            if refusal := self.guests.enter(peer):
                refuse(event.call, grpc.StatusCode.RESOURCE_EXHAUSTED, refusal)
                return
            call = Call(self, event.call, handler, peer, monotonic(event.call_details.deadline))
            self._calls.add(call)
        call.begin()
