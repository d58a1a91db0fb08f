"""One RPC in flight on the native front: received on the front's thread, answered once, from any thread."""

import threading
from collections.abc import Callable
from typing import Protocol

import grpc

from server.errors import BadInput
from server.rpc.transport.endings import STOPPING, Trailers, clipped, too_long
from server.rpc.transport.hosting import Handler
from server.rpc.transport.native._core import Exchange
from server.rpc.transport.packing import Packed


class NativeHost(Protocol):
    """What a call needs of whoever accepted it; as for Host."""

    lock: threading.RLock
    ending_of: Callable[[BaseException], tuple[grpc.StatusCode, str, Trailers]]
    most_bytes: int


class NativeCall:
    """As Call on gRPC's C core, and told by the same words; what it counts is counted in the native core."""

    __slots__ = (
        "_exchange",
        "_handler",
        "_host",
        "deadline_s",
        "lock",
        "on_cancel",
        "on_drain",
        "on_taken",
        "peer",
        "state",
    )

    def __init__(self, host: NativeHost, exchange: Exchange, handler: Handler) -> None:
        self._host, self._exchange, self._handler = host, exchange, handler
        self.peer = exchange.peer
        self.lock = host.lock
        self.deadline_s = exchange.deadline_s
        self.on_cancel: Callable[[], object] | None = None
        self.on_drain: Callable[[], object] | None = None
        self.on_taken: Callable[[], object] | None = None
        self.state: object = None

    @property
    def arrival_s(self) -> float:
        """When the message in hand came."""
        return self._exchange.arrival_s

    @property
    def is_open(self) -> bool:
        """False once answered or cancelled."""
        return self._exchange.is_open

    @property
    def unread(self) -> str:
        """Why an answer need not be made for this client, which does not take those that it has; "": it must."""
        return self._exchange.unread()

    @property
    def unsent(self) -> int:
        """Messages of a streamed answer that the client's side has not taken yet."""
        return self._exchange.unsent()

    def reply(self, message: bytes, trailers: Trailers = ()) -> None:
        """Answer a unary call with one message and OK, and metadata that goes with it."""
        if len(message) > self._host.most_bytes:
            self.fail(*too_long(len(message), self._host.most_bytes))
        else:
            self._exchange.reply(message, trailers)

    def fail(self, code: grpc.StatusCode, details: str, trailers: Trailers = ()) -> None:
        """End the call with an error, and metadata that goes with it."""
        self._exchange.finish(_number(code), clipped(details), trailers)

    def send(self, message: bytes) -> None:
        """Queue one message of a streamed answer."""
        self._exchange.send(message)

    def finish(self) -> None:
        """End a streamed answer with OK, after what has been sent."""
        self.fail(grpc.StatusCode.OK, "")

    def abort(self, code: grpc.StatusCode, details: str) -> None:
        """End the call at once, without `on_cancel`: what is unsent is lost. For clients that have stopped reading."""
        self._exchange.abort(_number(code), clipped(details))

    def give_up(self, why: str) -> None:
        """End a call whose client does not take its answers: what is unsent is lost, what still runs is called off."""
        self._exchange.give_up(why)

    def pause(self) -> None:
        """Read no more messages of a stream until `resume`; one that has been asked for may still come."""
        self._exchange.pause(True)

    def resume(self) -> None:
        """Read on."""
        self._exchange.pause(False)

    def drain(self) -> None:
        """The server stops: a unary call is answered as it would be, a stream must come to an end."""
        if self._handler.streaming:
            self.on_drain() if self.on_drain is not None else self.fail(*STOPPING)

    def received(self, data: bytes | None, *, packed: bool) -> None:
        """A message came; None: the last has. For the front only."""
        handler = self._handler
        try:
            handler.function(self, None if data is None else _opened(handler, data, packed=packed))
        except Exception as error:  # noqa: BLE001 - one bad call must not end the loop that serves them all
            on_cancel, self.on_cancel = self.on_cancel, None
            self.fail(*self._host.ending_of(error))
            if on_cancel is not None:
                on_cancel()
        if data is not None and handler.streaming:
            self._exchange.ask()

    def left(self) -> None:
        """Its client has left, or it was given up. For the front only."""
        on_cancel, self.on_cancel = self.on_cancel, None
        if on_cancel is not None:
            on_cancel()

    def taken(self) -> None:
        """The client's side has taken a message of a streamed answer. For the front only."""
        if (on_taken := self.on_taken) is not None:
            on_taken()

    def over(self) -> None:
        """Nothing comes any more. For the front only."""
        with self.lock:  # they refer to the request, which refers to this call: cut here, its memory is free at once
            self.on_cancel = self.on_drain = self.on_taken = self.state = None


def _opened(handler: Handler, data: bytes, *, packed: bool) -> bytes | Packed:
    """Raises BadInput or TooLarge."""
    if not packed:
        return data
    found = handler.checked(data)
    if found is data:
        raise BadInput("compressed message cannot be unpacked: it is neither gzip nor deflate")
    return found


def _number(code: grpc.StatusCode) -> int:
    return code.value[0]
