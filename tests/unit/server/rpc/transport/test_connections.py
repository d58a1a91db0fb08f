"""Who gives way where connections run short, and that those are ended and nobody else."""

import os
import socket
from collections import Counter
from collections.abc import Iterator

import grpc
import pytest

from server.rpc.status import ending_of
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.call import Handler
from server.rpc.transport.connections import Connection, are_short, to_give_way
from tests.support.fronts import kind_of_front

PATIENCE_S = 30.0


def some(host: str, count: int, quiet_s: float = 5.0, *, spoken: bool = True) -> list[Connection]:
    return [Connection(host, 1000 + n, quiet_s + n / 100, spoken) for n in range(count)]


@pytest.mark.parametrize(("count", "short"), [(0, False), (896, False), (897, True), (1024, True)])
def test_connections_are_short_once_seven_of_eight_are_used(count: int, short: bool):
    assert are_short(count, 1024) is short


def test_nobody_gives_way_while_nothing_is_short():
    assert to_give_way(some("10.0.0.1", 700), 1024, ()) == []


def test_whoever_has_most_gives_way_until_a_quarter_is_free():
    many, few = some("10.0.0.1", 900), some("10.0.0.2", 100)

    gone = to_give_way([*few, *many], 1024, ())

    assert len(gone) == 1000 - 768
    assert {one.host for one in gone} == {"10.0.0.1"}


def test_who_has_been_quiet_longest_goes_first_and_before_them_who_has_never_spoken():
    spoken, silent = some("10.0.0.1", 6), some("10.0.0.1", 2, 1.0, spoken=False)

    gone = to_give_way([*spoken, *silent], 8, ())

    assert gone == [silent[1], silent[0]]
    assert to_give_way([*spoken, *some("10.0.0.1", 2)], 8, ())[0].quiet_s == spoken[-1].quiet_s


def test_connections_with_calls_and_those_that_spoke_just_now_stay():
    everybody = [*some("10.0.0.1", 10, 0.2), *some("10.0.0.1", 10, 0.2, spoken=False)]
    busy = some("10.0.0.3", 20)

    assert to_give_way([*everybody, *busy], 40, {one.port for one in busy}) == []


def test_addresses_that_have_as_many_give_way_alike():
    found = [*some("10.0.0.1", 50), *some("10.0.0.2", 50)]

    gone = Counter(one.host for one in to_give_way(found, 100, ()))

    assert set(gone.values()) <= {12, 13}


@pytest.mark.parametrize(
    ("host", "holder"),
    [
        ("10.0.0.1", "10.0.0.1"),
        ("::ffff:10.0.0.1", "10.0.0.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
    ],
)
def test_an_address_stands_for_whoever_can_have_many_of_its_kind(host: str, holder: str):
    assert Connection(host, 1, 0.0, has_spoken=True).holder == holder


class Side:
    """A server for eight connections, and what it tells of them."""

    def __init__(self, front: str) -> None:
        self.told: list[tuple[int, int, int]] = []
        self.front = kind_of_front(front)(
            {"/test/Ask": Handler(lambda call, _message: call.reply(b"here"))},
            ending_of,
            lambda: None,
            Bounds(1 << 20, connections=8),
            lambda *counts: self.told.append(counts),
        )
        self.port = self.front.bind("127.0.0.1:0")
        self.front.start()

    def ask(self, channel: grpc.Channel) -> bytes:
        """One call that waits until it is let in."""
        return channel.unary_unary("/test/Ask")(b"", timeout=PATIENCE_S, wait_for_ready=True)

    def channel(self) -> grpc.Channel:
        """A connection of its own."""
        soon = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)]
        return grpc.insecure_channel(
            f"127.0.0.1:{self.port}", [*soon, ("grpc.use_local_subchannel_pool", 1)]
        )


@pytest.fixture(params=["grpcio", "native"])
def side(request: pytest.FixtureRequest) -> Iterator[Side]:
    one = Side(request.param)
    yield one
    one.front.stop(1.0, lambda: None)


def test_silent_connections_are_ended_for_newcomers_and_counted(
    side: Side, caplog: pytest.LogCaptureFixture
):
    silent = [socket.create_connection(("127.0.0.1", side.port)) for _ in range(12)]

    with side.channel() as channel:
        assert side.ask(channel) == b"here"

    assert any(count == most == 8 for count, most, _ in side.told)
    assert sum(ended for _, _, ended in side.told) >= 2
    assert (
        "connections run short: 8 of 8 (max_connections), 8 of them from 127.0.0.1" in caplog.text
    )
    for one in silent:
        one.close()


def test_looking_at_connections_leaves_no_descriptor_open(side: Side):
    with side.channel() as channel:
        side.ask(channel)
        side.front.connections.look()
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
        for _ in range(20):
            side.front.connections.look()

        assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208
        assert side.told[-1][0] == 1
