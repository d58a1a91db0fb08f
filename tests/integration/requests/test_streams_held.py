"""A stream between a fast side and a slow one: reading is held up, memory is bounded, neighbours are not affected."""

import itertools
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from server.rpc.status import ending_of
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.call import Call, Handler
from tests.support.fronts import kind_of_front

PATIENCE_S = 30.0
BIG = b"x" * 50_000


class Side:
    """A server of one streaming method, whose handler is the test's; and a channel to it."""

    def __init__(self, front: str) -> None:
        self.handler: Any = None
        handlers = {"/test/Stream": Handler(self._hear, streaming=True)}
        kind = kind_of_front(front)
        self.front = kind(handlers, ending_of, lambda: None, Bounds(1 << 20))
        port = self.front.bind("127.0.0.1:0")
        self.front.start()
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}")

    def begin(self, messages: Iterator[bytes]) -> Any:
        """One stream of these messages."""
        return self.channel.stream_stream("/test/Stream")(messages, timeout=PATIENCE_S)

    def _hear(self, call: Call, message: bytes | None) -> None:
        self.handler(call, message)


@pytest.fixture(params=["grpcio", "native"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    one = Side(request.param)
    yield one
    one.channel.close()
    one.front.stop(1.0, lambda: None)


def test_a_paused_stream_reads_nothing_until_another_thread_resumes_it(side: Side):
    heard: list[bytes] = []
    paused, ended = threading.Event(), threading.Event()
    calls: list[Call] = []

    def hear(call: Call, message: bytes | None) -> None:
        if message is None:
            call.finish()
            ended.set()
            return
        heard.append(message)
        if len(heard) == 2:
            calls.append(call)
            call.pause()
            paused.set()

    side.handler = hear
    answers = side.begin(iter([b"1", b"2", b"3", b"4"]))
    assert paused.wait(PATIENCE_S)
    other = side.channel.stream_stream("/nowhere")(iter([b""]), timeout=PATIENCE_S)
    with pytest.raises(
        grpc.RpcError
    ):  # the front has gone round once more, and read nothing of the paused stream
        next(other)

    held = list(heard)
    calls[0].resume()

    assert list(answers) == []
    assert ended.wait(PATIENCE_S)
    assert held == [b"1", b"2"]
    assert heard == [b"1", b"2", b"3", b"4"]


def test_a_client_that_leaves_while_paused_is_noticed(side: Side):
    paused, gone = threading.Event(), threading.Event()

    def hear(call: Call, _message: bytes | None) -> None:
        call.on_cancel = gone.set
        call.pause()
        paused.set()

    side.handler = hear
    answers = side.begin(itertools.repeat(b"frame"))
    assert paused.wait(PATIENCE_S)

    answers.cancel()

    assert gone.wait(PATIENCE_S)


def test_what_a_client_does_not_take_is_counted_and_taking_it_is_told(side: Side):
    full, room = threading.Event(), threading.Event()
    sent: list[int] = []

    def hear(call: Call, _message: bytes | None) -> None:
        call.on_taken = lambda: room.set() if full.is_set() and call.unsent == 0 else None
        call.send(BIG)
        sent.append(call.unsent)
        if call.unsent >= 8:
            call.pause()
            full.set()

    side.handler = hear
    answers = side.begin(itertools.repeat(b"frame"))
    assert full.wait(PATIENCE_S)

    taken = [next(answers) for _ in sent]

    assert room.wait(PATIENCE_S)
    assert sent[-1] == 8
    assert taken == [BIG] * len(sent)
    answers.cancel()


def test_a_client_that_does_not_read_can_be_cut_off_with_a_reason(side: Side):
    full = threading.Event()
    calls: list[Call] = []

    def hear(call: Call, _message: bytes | None) -> None:
        call.send(BIG)
        if call.unsent >= 8:
            call.pause()
            calls.append(call)
            full.set()

    side.handler = hear
    answers = side.begin(itertools.repeat(b"frame"))
    assert full.wait(PATIENCE_S)

    calls[0].abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "nothing was taken")

    with pytest.raises(grpc.RpcError, match="nothing was taken"):
        list(answers)
    assert answers.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert not calls[0].is_open
