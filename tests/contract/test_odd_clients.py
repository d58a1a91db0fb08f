"""Clients that let a server send as much as it likes and do not read, and such as reset calls by the thousand."""

import gc
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.rpc.status import ending_of
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.hosting import Handler
from tests.support.fronts import kind_of_front
from tests.support.http2.raw import Raw
from tests.support.serving.server import equal, eventually

EMPTY = struct.pack(">BI", 0, 0)
WIDEST = (1 << 31) - 1
MESSAGES, SIZE = 9000, 5000
"""Of one answer: so many frames that their heads alone are more than the native front holds at a time."""


class Pours:
    """A server of which one method answers with many messages at once, and one never."""

    def __init__(self, front: str) -> None:
        self.poured = threading.Event()
        handlers = {
            "/echo/Pour": Handler(self._pour, streaming=True),
            "/echo/Held": Handler(lambda _call, _message: None),
            "/echo/Unary": Handler(lambda call, message: call.reply(bytes(message))),
        }
        bounds = Bounds(unsent_bytes=1 << 28)
        self.front = kind_of_front(front)(handlers, ending_of, lambda: None, bounds)
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


def is_answered(raw: Raw) -> bool:
    return raw.hear() and any(one.get("grpc-status") == "0" for one in raw.said)


def test_all_of_an_answer_comes_though_none_of_it_was_read_before_it_was_made(pours: Pours):
    raw = Raw(pours.port, window=WIDEST)
    raw.grant([], WIDEST - 65_535)
    raw.open("/echo/Pour", EMPTY, end=True)
    assert pours.poured.wait(30)

    eventually(lambda: equal(is_answered(raw), True))
    raw.close()


def test_a_client_may_give_up_thousands_of_calls_and_keep_its_connection(pours: Pours):
    raw = Raw(pours.port)
    for _ in range(50):
        raw.reset_many("/echo/Held", 50, EMPTY)
        assert raw.hear()
        time.sleep(0.01)  # not all before the server has seen one
    raw.open("/echo/Unary", EMPTY, end=True)

    eventually(lambda: equal(is_answered(raw), True))
    raw.close()


def test_a_native_front_that_has_stopped_holds_no_descriptors():
    def come_and_go() -> int:
        one = Pours("native")
        raw = Raw(one.port)
        raw.open("/echo/Held", EMPTY, end=True)
        raw.open("/echo/Unary", EMPTY, end=True)
        eventually(lambda: equal(is_answered(raw), True))
        one.front.stop(0.0, lambda: None)
        raw.close()
        del one
        gc.collect()
        return len(list(Path("/proc/self/fd").iterdir()))

    assert come_and_go() == come_and_go()
