"""Connections of HTTP clients, watched: who sends or takes nothing for long is let go, and there are only so many."""

import asyncio
import time
from typing import Any, NamedTuple

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from server.rest.codes import words

MOST_HEADER_BYTES = 64 << 10
"""Of a request's line and headers."""


class Allowed(NamedTuple):
    """What clients may have: connections, and for how long (s) they may stall in a request or be idle between two."""

    connections: int
    stall_s: float
    idle_s: float


class HttpConnection(HttpToolsProtocol):
    """uvicorn's, with bounds. For the loop's thread alone."""

    def __init__(self, config: Config, state: ServerState, allowed: Allowed) -> None:
        super().__init__(config=config, server_state=state, app_state={})
        self._allowed = allowed
        self._in_head, self._head_bytes = False, 0
        self._moved_s = time.monotonic()
        self._unsent = 0

    def connection_made(self, transport: Any) -> None:
        """Refused above the bound."""
        super().connection_made(transport)
        if len(self.connections) > self._allowed.connections:
            transport.abort()

    def data_received(self, data: bytes) -> None:
        """Counted while the headers are not whole."""
        self._moved_s = time.monotonic()
        super().data_received(data)
        if self._in_head and not self.transport.is_closing():
            self._head_bytes += len(data)
            if self._head_bytes > MOST_HEADER_BYTES:
                self.send_400_response("the headers are too long")

    def on_message_begin(self) -> None:
        """Of a request."""
        super().on_message_begin()
        self._in_head, self._head_bytes = True, 0

    def on_headers_complete(self) -> None:
        """Its headers are whole."""
        self._in_head = False
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """As JSON, like all errors."""
        body = words(msg)
        head = (
            "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()

    def look(self, now_s: float) -> None:
        """Let its client go where that has stalled."""
        unsent = self.transport.get_write_buffer_size()
        if (unsent and unsent != self._unsent) or self._computes:
            self._moved_s = now_s
        self._unsent = unsent
        idle = not unsent and self._waits and not self._in_head
        most_s = self._allowed.idle_s if idle else self._allowed.stall_s
        if most_s and now_s > self._moved_s + most_s:
            self.transport.abort()

    @property
    def _waits(self) -> bool:
        """Whether no request is under way; headers may be."""
        cycle: Any = self.cycle  # None at first
        return cycle is None or cycle.response_complete

    @property
    def _computes(self) -> bool:
        """Whether a request is whole and nothing of its answer is there."""
        cycle = self.cycle
        return not self._waits and not cycle.more_body and not cycle.response_started


async def watch(state: ServerState, period_s: float) -> None:
    """Look at all connections, so often (s), until cancelled."""
    while True:
        await asyncio.sleep(period_s)
        for one in list(state.connections):
            if isinstance(one, HttpConnection):
                one.look(time.monotonic())
