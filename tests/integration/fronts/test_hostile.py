"""What clients may do to the native front that no client should: each costs them their own calls, and nobody else's."""

import socket
import struct
from collections.abc import Iterator
from contextlib import suppress

import pytest

from server.rpc.transport.bounds import Bounds
from tests.support.http2.odd import PATIENCE_S, Odd
from tests.support.http2.raw import Raw, frame
from tests.support.serving.server import equal, eventually

EMPTY = bytes(5)
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"")
CALM = struct.pack(">I", 11)
"""ENHANCE_YOUR_CALM."""


@pytest.fixture
def odd(request: pytest.FixtureRequest) -> Iterator[Odd]:
    made = Odd(getattr(request, "param", Bounds()))
    yield made
    made.goes_on.set()
    made.front.stop(0.0, lambda: None)


def ends(raw: Raw) -> list[str]:
    """The status of each call that has ended."""
    raw.hear()
    return [one["grpc-status"] for one in raw.said if "grpc-status" in one]


def test_who_sends_no_more_is_answered_all_the_same(odd: Odd):
    raw = Raw(odd.port)
    raw.open("/odd/Held", EMPTY, end=True)
    eventually(lambda: equal(len(odd.held), 1))
    raw.end()
    assert odd.ask() == b"good"  # the front has seen the end by now
    assert not odd.left.is_set()
    odd.held[0].reply(b"")

    eventually(lambda: equal(ends(raw), ["0"]))
    eventually(lambda: equal(raw.hear(), False))  # and then the connection is at its end
    raw.close()


@pytest.mark.parametrize("first_ends", [False, True])
def test_who_leaves_has_calls_cancelled(odd: Odd, first_ends: bool):
    raw = Raw(odd.port)
    raw.open("/odd/Held", EMPTY, end=True)
    eventually(lambda: equal(len(odd.held), 1))
    if first_ends:
        raw.end()
    raw.close()

    assert odd.left.wait(PATIENCE_S)


def test_a_call_whose_message_can_never_be_whole_is_cancelled(odd: Odd):
    raw = Raw(odd.port)
    raw.open("/odd/Stream", EMPTY[:3])
    raw.open("/odd/Held", EMPTY)  # whole, and not ended: it may well be
    eventually(lambda: equal(len(odd.held), 1))
    raw.end()

    assert odd.left.wait(PATIENCE_S)
    raw.close()


def test_others_are_read_while_messages_of_a_stream_wait(odd: Odd):
    raw, other = Raw(odd.port), Raw(odd.port)
    other.open("/odd/Held", EMPTY, end=True)
    eventually(lambda: equal(len(odd.held), 1))  # its connection is known
    raw.open("/odd/Stream", EMPTY * 60, end=True)
    eventually(lambda: equal(odd.seen, ["stream"]))
    other.open("/odd/Unary", EMPTY, end=True)
    odd.goes_on.set()

    eventually(lambda: equal(len(odd.seen), 62))
    raw.close()
    other.close()
    assert odd.seen.index("unary") < 10


def test_calls_that_are_reset_before_anybody_looked_are_nobodys_work(odd: Odd):
    raw, other = Raw(odd.port), Raw(odd.port)
    raw.open("/odd/Stream", EMPTY)
    eventually(lambda: equal(odd.seen, ["stream"]))
    other.reset_many("/odd/Unary", 200, EMPTY)
    odd.goes_on.set()

    assert odd.ask() == b"good"
    assert odd.seen.count("unary") == 1
    raw.close()
    other.close()


@pytest.mark.parametrize("odd", [Bounds(1 << 20, coming_bytes=4 << 20)], indirect=True)
def test_requests_under_way_are_bounded_and_who_sends_most_gives_way(odd: Odd):
    few, many = Raw(odd.port), Raw(odd.port)
    length = struct.pack(">BI", 0, 900_000)
    mine = few.open("/odd/Unary", length + bytes(10_000))
    theirs = [many.open("/odd/Unary", length) for _ in range(8)]
    with suppress(OSError):  # it is written faster than read
        for _ in range(8):
            for stream in theirs:
                many.write(stream, bytes(100_000))
    eventually(lambda: equal(set(ends(many)), {"8"}))
    assert "bytes of requests are held for this connection" in many.reasons()[0]
    few.send(frame(0, 0, mine, bytes(800_000)) + frame(0, 1, mine, bytes(90_000)))

    eventually(lambda: equal(ends(few), ["0"]))
    few.close()
    many.close()


@pytest.mark.parametrize("odd", [Bounds(1 << 18, coming_bytes=1 << 20)], indirect=True)
def test_messages_of_nothing_that_wait_on_a_stream_are_not_free(odd: Odd):
    raw = Raw(odd.port)
    raw.open("/odd/Paused", EMPTY * 3000)

    eventually(lambda: equal(ends(raw), ["8"]))
    raw.close()


@pytest.mark.parametrize("odd", [Bounds(stall_s=0.5)], indirect=True)
def test_who_does_not_read_is_not_read_from_and_ended(odd: Odd):
    calls = 0
    with socket.create_connection(("127.0.0.1", odd.port), timeout=PATIENCE_S) as one:
        one.sendall(GREETING)
        with suppress(ConnectionError):
            while calls < 1_000_000:
                many = range(2 * calls + 1, 2 * calls + 2001, 2)
                one.sendall(b"".join(frame(1, 5, s, b"\x82\x86\x84\x01\x01x") for s in many))
                calls += 1000

    assert calls < 1_000_000
    assert odd.ask() == b"good"


def test_who_begins_a_greeting_and_does_not_end_it_is_cut_off(odd: Odd):
    with socket.create_connection(("127.0.0.1", odd.port), timeout=PATIENCE_S) as one:
        one.sendall(GREETING[:3])
        while one.recv(65_536):
            pass


LARGE_LIST = b"\x10\x01a\x01b" * 1000
CALL = b"\x83\x86\x04\x0b/odd/Stream\x01\x01x\x5f\x10application/grpc"


@pytest.mark.parametrize(
    "flood",
    [
        frame(1, 4, 1, CALL) + frame(0, 0, 1, b"") * 20_000,
        frame(2, 0, 1, struct.pack(">IB", 3, 1)) * 20_000,
        b"".join(frame(1, 5, s, CALL + LARGE_LIST) for s in range(1, 401, 2)),
        b"".join(frame(1, 4, s, CALL) + frame(1, 5, s, LARGE_LIST) for s in range(1, 401, 2)),
    ],
    ids=["empty data", "priorities", "long headers", "long trailers"],
)
def test_a_flood_of_what_serves_nobody_ends_its_connection(odd: Odd, flood: bytes):
    heard = b""
    with socket.create_connection(("127.0.0.1", odd.port), timeout=PATIENCE_S) as one:
        one.sendall(GREETING)
        with suppress(ConnectionError):  # the end came while more was on its way
            one.sendall(flood)
            while data := one.recv(65_536):
                heard += data

    assert CALM in heard or not heard
    assert odd.ask() == b"good"
