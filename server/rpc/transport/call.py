# pyright: basic
"""One RPC in flight on gRPC's C core: received on the front's thread, answered once, from any thread."""

import time
from collections import deque
from collections.abc import Callable

import grpc
from grpc._cython import cygrpc  # pyright: ignore[reportAttributeAccessIssue] - compiled, no stub

from server.rpc.transport.endings import (
    CODES,
    INITIAL_METADATA,
    NO_FLAGS,
    STOPPING,
    Trailers,
    clipped,
    nothing,
    too_long,
)
from server.rpc.transport.hosting import Handler, Host

__all__ = ["Call", "Handler", "Host"]

_QUICK_BYTES = 64 << 10
"""Larger answers are written to the socket outside of the lock, for which the front, and so everybody, would wait; for
smaller ones that costs more than it saves."""
MOST_UNSENT = 64
"""Messages of a streamed answer that may wait for the client before its own are not read any more."""


class Call:
    """One RPC in flight. Unary calls are answered by `reply` or `fail`, streams by `send`s, then `finish` or `fail`.

    The first final answer counts, later ones are ignored; all methods may be called from any thread.
    `arrival_s` is that of the message in hand, `deadline_s` the whole call's, None where the client set none; both are
    on time.monotonic's clock. `state` is the handler's own; `lock` is the host's, reentrant, for handlers that keep
    state between messages. A stream's `on_taken` is called, on the front's thread, whenever the client's side has taken
    a message, and with it `unsent` has fallen.
    """

    __slots__ = (
        "_core",
        "_ended",
        "_ending_of",
        "_given_up",
        "_guests",
        "_handler",
        "_host",
        "_open",
        "_outbox",
        "_paused",
        "_sending",
        "_started",
        "_status",
        "_trailers",
        "_unasked",
        "arrival_s",
        "deadline_s",
        "lock",
        "on_cancel",
        "on_drain",
        "on_taken",
        "peer",
        "state",
    )

    def __init__(
        self, host: Host, core, handler: Handler, peer: bytes, deadline_s: float | None
    ) -> None:
        self._host = host
        self._ended = host.ended
        self._guests = host.guests
        self.peer = peer
        self._ending_of = host.ending_of
        self._core = core
        self._handler = handler
        self.lock = host.lock
        self._open = True
        self._given_up = self._started = False
        self._sending = 0  # bytes
        self._paused = self._unasked = False
        self._outbox: deque[bytes] | None = None
        self._status: tuple[grpc.StatusCode, str] | None = None
        self._trailers: Trailers = ()
        self.deadline_s = deadline_s
        self.arrival_s = time.monotonic()
        self.on_cancel: Callable[[], object] | None = None
        self.on_drain: Callable[[], object] | None = None
        self.on_taken: Callable[[], object] | None = None
        self.state: object = None

    def reply(self, message: bytes, trailers: Trailers = ()) -> None:
        """Answer a unary call with one message and OK, and metadata that goes with it."""
        if len(message) > self._host.most_bytes:
            self.fail(*too_long(len(message), self._host.most_bytes))
            return
        with self.lock:
            if not self._close():
                return
            crowded = self._guests.hold(self, len(message))  # until the call is over
            if len(message) <= _QUICK_BYTES:
                self._answer(message, trailers)
        if len(message) > _QUICK_BYTES:
            self._answer(message, trailers)
        for call, why in crowded:
            call.give_up(why)

    def _answer(self, message: bytes, trailers: Trailers) -> None:
        self._start(
            INITIAL_METADATA,
            cygrpc.SendMessageOperation(message, NO_FLAGS),
            cygrpc.SendStatusFromServerOperation(trailers, cygrpc.StatusCode.ok, b"", NO_FLAGS),
        )

    @property
    def unread(self) -> str:
        """Why an answer need not be made for this client, which does not take those that it has; "": it must."""
        if not self._guests.are_crowded:  # without the lock: nothing hangs on the last answer
            return ""
        with self.lock:
            return self._guests.unread(self.peer)

    def fail(self, code: grpc.StatusCode, details: str, trailers: Trailers = ()) -> None:
        """End the call with an error, and metadata that goes with it."""
        with self.lock:
            if not self._open or self._status is not None:
                return
            self._status, self._trailers = (code, details), trailers
            self._advance()

    def send(self, message: bytes) -> None:
        """Queue one message of a streamed answer."""
        with self.lock:
            if not self._open or self._status is not None:
                return
            if self._outbox is None:
                self._outbox = deque()
            self._outbox.append(message)
            crowded = self._guests.hold(self, len(message))
            self._advance()
        for call, why in crowded:
            call.give_up(why)

    def finish(self) -> None:
        """End a streamed answer with OK, after what has been sent."""
        self.fail(grpc.StatusCode.OK, "")

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        """End the call at once, without `on_cancel`: what is unsent is lost. For clients that have stopped reading."""
        with self.lock:
            if self._close():
                self._outbox = None
                self._core.cancel(CODES[code], clipped(details))

    def give_up(self, why: str) -> None:
        """End a call whose client does not take its answers: what is unsent is lost, what still runs is called off."""
        with self.lock:
            self._outbox = None
            self._status = self._status or (grpc.StatusCode.RESOURCE_EXHAUSTED, why)
            self._given_up = self._open  # else it had been answered, and nothing runs
        self._core.cancel(CODES[grpc.StatusCode.RESOURCE_EXHAUSTED], clipped(why))

    @property
    def unsent(self) -> int:
        """Messages of a streamed answer that the client's side has not taken yet."""
        with self.lock:
            return len(self._outbox or ()) + bool(self._sending)

    def pause(self) -> None:
        """Read no more messages of a stream until `resume`; one that has been asked for may still come."""
        with self.lock:
            self._paused = True

    def resume(self) -> None:
        """Read on."""
        with self.lock:
            self._paused = False
            self._ask_if_due()

    def drain(self) -> None:
        """The server stops: a unary call is answered as it would be, a stream must come to an end."""
        if self._handler.streaming:
            self.on_drain() if self.on_drain is not None else self.fail(*STOPPING)

    @property
    def is_open(self) -> bool:
        """False once answered or cancelled."""
        return self._open

    def begin(self) -> None:
        """Start receiving. For the front only."""
        self._core.start_server_batch(
            (cygrpc.ReceiveCloseOnServerOperation(NO_FLAGS),), self._closed
        )
        self.receive()

    def receive(self) -> None:
        """Ask for the next message. For the front only."""
        self._core.start_server_batch((cygrpc.ReceiveMessageOperation(NO_FLAGS),), self._received)

    def _close(self) -> bool:
        with self.lock:
            was_open, self._open = self._open, False
            if was_open:
                self._guests.answered(self.peer)
            return was_open

    def _start(self, *operations) -> None:
        self._core.start_server_batch(operations, nothing)

    def _advance(self) -> None:
        """Send what is due next: one message at a time, the status last. Called under the lock."""
        if (
            self._sending or not self._open
        ):  # the client may have left, and the front's queue be gone
            return
        first = () if self._started else (INITIAL_METADATA,)
        if self._outbox:
            message = self._outbox.popleft()
            self._started, self._sending = True, len(message) or 1
            operation = cygrpc.SendMessageOperation(message, NO_FLAGS)
            self._core.start_server_batch((*first, operation), self._sent)
        elif self._status is not None:
            self._close()
            code, details = self._status
            status = cygrpc.SendStatusFromServerOperation(
                self._trailers, CODES[code], clipped(details), NO_FLAGS
            )
            self._start(*first, status)

    def _sent(self, _event) -> None:
        with self.lock:
            self._guests.took(self, self._sending)
            self._sending = 0
            self._advance()
            self._ask_if_due()
        if (on_taken := self.on_taken) is not None:
            on_taken()

    def _received(self, event) -> None:
        message = event.batch_operations[0].message()
        if not self._open:  # the client left while its message came
            return
        if self._handler.streaming:
            self.arrival_s = time.monotonic()
        else:  # it may have waited as long as the call itself, where the front was busy since then
            self.arrival_s = max(self.arrival_s, self._host.woken_s)
        if message is None and not self._handler.streaming:
            self.fail(
                grpc.StatusCode.INVALID_ARGUMENT, "the call ended before its message was complete"
            )
            return
        try:
            handler = self._handler
            handler.function(self, message if message is None else handler.checked(message))
        except Exception as error:  # noqa: BLE001 - one bad call must not end the loop that serves them all
            self._give_back(*self._ending_of(error))
        if message is not None and self._handler.streaming and self._open:
            self._ask_on()

    def _give_back(self, code: grpc.StatusCode, details: str, trailers: Trailers) -> None:
        """A message could not be handled: the call ends, and what it has begun is called off."""
        on_cancel, self.on_cancel = self.on_cancel, None
        self.fail(code, details, trailers)
        if on_cancel is not None:
            on_cancel()

    def _ask_on(self) -> None:
        with self.lock:
            self._unasked = True
            self._ask_if_due()

    def _ask_if_due(self) -> None:
        """Read on where that was put off, and nothing is in its way any more. Called under the lock."""
        if self._unasked and self._open and not self._paused and self.unsent < MOST_UNSENT:
            self._unasked = False
            self.receive()

    def _closed(self, event) -> None:
        with self.lock:
            on_cancel = self.on_cancel
            # They refer to the request, which refers to this call: cut here, its memory is free at once.
            self.on_cancel = self.on_drain = self.on_taken = self.state = None
            cancelled = event.batch_operations[0].cancelled()
            left = (self._close() and cancelled) or self._given_up
        self._ended(self, not cancelled)
        if left and on_cancel is not None:
            on_cancel()
