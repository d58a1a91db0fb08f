"""Clients that let a server send as much as it likes, and then do not read: what waits for them stays within bounds."""

import struct
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from server.rpc.status import ending_of
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.hosting import Handler
from tests.support.fronts import kind_of_front
from tests.support.http2.raw import Raw
from tests.support.serving.server import equal, eventually

WIDEST = (1 << 31) - 1
MESSAGES, SIZE = 9000, 5000
"""Of one answer: so many frames that their heads alone are more than the native front holds at a time."""


class Pours:
    """A server whose one method answers with many messages at once."""

    def __init__(self, front: str) -> None:
        self.poured = threading.Event()
        handler = Handler(self._pour, streaming=True)
        self.front = kind_of_front(front)(
            {"/echo/Pour": handler}, ending_of, lambda: None, Bounds(unsent_bytes=1 << 28)
        )
        self.port = self.front.bind("127.0.0.1:0")
        self.front.start()

    def _pour(self, call: Any, message: bytes | None) -> None:
        if message is None:
            return
        for number in range(MESSAGES):
            call.send(number.to_bytes(4, "big") * (SIZE // 4))
        call.finish()
        self.poured.set()


@pytest.fixture(params=["grpcio", "native"])
def pours(request: pytest.FixtureRequest) -> Iterator[Pours]:
    one = Pours(request.param)
    yield one
    one.front.stop(1.0, lambda: None)


def test_all_of_an_answer_comes_though_none_of_it_was_read_before_it_was_made(pours: Pours):
    raw = Raw(pours.port, window=WIDEST)
    raw.grant([], WIDEST - 65_535)
    raw.open("/echo/Pour", struct.pack(">BI", 0, 0), end=True)
    assert pours.poured.wait(30)

    eventually(lambda: raw.hear() and equal([one.get("grpc-status") for one in raw.said[1:]], ["0"]))
    raw.close()
