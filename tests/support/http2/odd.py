"""The native front in this process, under handlers that let a test see in which order things come to them."""

import threading
from typing import Any

import grpc

from server.rpc.status import ending_of
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.hosting import Handler
from tests.support.fronts import kind_of_front

PATIENCE_S = 30.0


class Odd:
    """A front whose methods answer, hold, or block its thread; `seen` is what came to them, in order."""

    def __init__(self, bounds: Bounds) -> None:
        self.seen: list[str] = []
        self.held: list[Any] = []
        self.left, self.goes_on = threading.Event(), threading.Event()
        handlers = {
            "/odd/Unary": Handler(self._unary, most_bytes=1 << 20),
            "/odd/Held": Handler(self._hold),
            "/odd/Stream": Handler(self._stream, streaming=True),
            "/odd/Paused": Handler(self._pause, streaming=True),
        }
        self.front = kind_of_front("native")(handlers, ending_of, lambda: None, bounds)
        self.port = self.front.bind("127.0.0.1:0")
        self.front.start()

    def ask(self) -> bytes:
        """What a good client is answered."""
        with grpc.insecure_channel(f"127.0.0.1:{self.port}") as channel:
            return channel.unary_unary("/odd/Unary")(b"good", timeout=PATIENCE_S)

    def _unary(self, call: Any, message: bytes) -> None:
        self.seen.append("unary")
        call.reply(bytes(message[:8]))

    def _hold(self, call: Any, _message: bytes) -> None:
        call.on_cancel = self.left.set
        self.held.append(call)

    def _stream(self, _call: Any, message: bytes | None) -> None:
        self.seen.append("stream")
        if message is not None and len(self.seen) == 1:
            self.goes_on.wait(PATIENCE_S)

    def _pause(self, call: Any, _message: bytes | None) -> None:
        call.pause()
