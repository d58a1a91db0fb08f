"""One connection, driven at the level of gRPC's C core: half the client CPU of `grpc`'s own
futures.

A load generator that shares a small machine with the server it measures must be cheap. Measured
at 400 requests a second of 203 KB: 0.18 ms of CPU each, against 0.39 ms for
`UnaryUnaryMultiCallable.future` and 0.29 ms for grpc.aio (whose timer is also 1 ms coarse). The
price is a private interface of grpcio, which is why its version is pinned.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from grpc._cython import cygrpc as _cygrpc  # pyright: ignore[reportAttributeAccessIssue]

_core: Any = _cygrpc

OnDone = Callable[[Any, int, bytes | None, str], None]
"""(tag, status code number, answer or None, status details), called on the channel's own thread."""

_OPTIONS = (
    (b"grpc.max_send_message_length", -1),
    (b"grpc.max_receive_message_length", -1),
    (b"grpc.use_local_subchannel_pool", 1),
)


class Channel:
    """Sends serialised requests to one method and reports each answer once. `send` may be called
    from any thread."""

    def __init__(self, url: str, method: str, on_done: OnDone) -> None:
        """Connects lazily, at the first request. `on_done` must not raise."""
        self._channel = _core.Channel(url.encode(), _OPTIONS, None)
        self._method = method.encode()
        self._on_done = on_done
        self._sent = threading.Semaphore(0)
        self._closed = False
        self._receiver = threading.Thread(
            target=self._receive, name="loadtest-receive", daemon=True
        )
        self._receiver.start()

    def send(self, request: bytes, timeout_s: float, tag: Any) -> None:
        """Start one call that ends after `timeout_s` at the latest."""
        message = _core.ReceiveMessageOperation(0)
        status = _core.ReceiveStatusOnClientOperation(0)
        operations = (
            _core.SendInitialMetadataOperation(None, 0),
            _core.SendMessageOperation(request, 0),
            _core.SendCloseFromClientOperation(0),
            _core.ReceiveInitialMetadataOperation(0),
            message,
            status,
        )
        calls = ((operations, (tag, message, status)),)
        deadline_s = time.time() + timeout_s  # the core takes a wall-clock deadline
        self._channel.integrated_call(
            0, self._method, None, deadline_s, None, None, calls, None, None
        )
        self._sent.release()

    def _receive(self) -> None:
        while True:
            self._sent.acquire()
            if self._closed:
                return
            event = self._channel.next_call_event()
            while event.tag is None:  # the core looks up once a second where fork support is on
                event = self._channel.next_call_event()
            tag, message, status = event.tag
            self._on_done(tag, status.code(), message.message(), status.details() or "")

    def close(self) -> None:
        """End the receiver and the connection. Calls still open are abandoned: drain first."""
        self._closed = True
        self._sent.release()
        self._receiver.join(timeout=5.0)
        self._channel.close(_core.StatusCode.cancelled, "load generator closed")
