"""Whose answers give way: readers of every pace at once, on a clock that the tests move."""

import itertools
from collections import Counter, deque
from dataclasses import dataclass, field

import pytest

from server.rpc.transport.guests import Guests

MOST_BYTES = 32 << 20
ANSWER_BYTES = 480_000
STEP_S = 0.04
PROMPT_BYTES_S, SLOW_BYTES_S = 50e6, 10e3


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


@dataclass(eq=False)
class ACall:
    peer: bytes
    left: float = ANSWER_BYTES

    def give_up(self, why: str) -> None:
        raise AssertionError(why)


@dataclass(eq=False)
class Reader:
    """Keeps `calls` calls in flight and takes `bytes_s` of their answers, one after the other."""

    peer: bytes
    calls: int
    bytes_s: float
    open: deque[ACall] = field(default_factory=deque[ACall])


class Place:
    """Guests, and readers whose calls are all answered at once. `told`: by connection, why it got no answer."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.guests = Guests(2048, MOST_BYTES, 10.0, clock=self.clock)
        self.readers: dict[bytes, Reader] = {}
        self.told: dict[bytes, Counter[str]] = {}
        self.served: Counter[bytes] = Counter()

    def seat(self, peer: bytes, calls: int, bytes_s: float) -> Reader:
        """One more connection."""
        reader = self.readers[peer] = Reader(peer, calls, bytes_s)
        self.told[peer] = Counter()
        return reader

    def pass_s(self, seconds: float) -> None:
        """Let everybody ask and read for so long."""
        for _ in range(round(seconds / STEP_S)):
            for reader in list(self.readers.values()):
                self.ask(reader)
            self.clock.now_s += STEP_S
            for reader in list(self.readers.values()):
                self.read(reader)

    def ask(self, reader: Reader) -> None:
        """Have as many calls as the reader wants, each answered at once, or refused."""
        for _ in range(reader.calls - len(reader.open)):
            if why := self.guests.enter(reader.peer):
                self.told[reader.peer][why] += 1
                return
            call = ACall(reader.peer)
            reader.open.append(call)
            if why := self.guests.unread(reader.peer):
                self.drop(call, why)
                continue
            for gone, why in self.guests.hold(call, ANSWER_BYTES):
                assert isinstance(gone, ACall)
                self.drop(gone, why)

    def drop(self, call: ACall, why: str) -> None:
        """A call ends without its answer."""
        self.told[call.peer][why] += 1
        self.readers[call.peer].open.remove(call)
        self.guests.leave(call, taken=False)

    def read(self, reader: Reader) -> None:
        """What a reader takes in one step."""
        may = reader.bytes_s * STEP_S
        while reader.open and may > 0:
            call = reader.open[0]
            taken = min(may, call.left)
            call.left -= taken
            may -= taken
            if call.left <= 0:
                self.served[reader.peer] += 1
                self.guests.leave(reader.open.popleft())

    def hang_up(self, reader: Reader) -> None:
        """A connection ends, and with it its calls."""
        while reader.open:
            self.guests.leave(reader.open.popleft(), taken=False)
        del self.readers[reader.peer]


@pytest.fixture
def place() -> Place:
    return Place()


def test_many_that_read_slowly_cost_one_that_reads_promptly_nothing(place: Place):
    for number in range(20):
        place.seat(b"slow %d" % number, 40, SLOW_BYTES_S)
    place.pass_s(1.0)
    place.seat(b"prompt", 8, PROMPT_BYTES_S)

    place.pass_s(3.0)

    assert not place.told[b"prompt"]
    assert place.served[b"prompt"] > 200


def test_a_prompt_one_that_was_there_first_keeps_its_answers(place: Place):
    place.seat(b"prompt", 8, PROMPT_BYTES_S)
    place.pass_s(1.0)
    for number in range(20):
        place.seat(b"slow %d" % number, 40, SLOW_BYTES_S)

    place.pass_s(3.0)

    assert not place.told[b"prompt"]


def test_where_all_are_slow_they_are_told_so_and_never_hold_more_than_may_wait(place: Place):
    for number in range(10):
        place.seat(b"slow %d" % number, 20, SLOW_BYTES_S)
    place.pass_s(0.5)
    before = {peer: Counter(whys) for peer, whys in place.told.items()}

    place.pass_s(1.0)

    assert place.guests.unsent <= MOST_BYTES
    assert all(
        "takes them slowly" in why for peer in before for why in place.told[peer] - before[peer]
    )


def test_one_slow_reader_among_many_prompt_ones_is_the_one_to_give_way(place: Place):
    for number in range(20):
        place.seat(b"prompt %d" % number, 3, PROMPT_BYTES_S)
    place.pass_s(0.5)
    place.seat(b"slow", 100, SLOW_BYTES_S)

    place.pass_s(3.0)

    assert place.told[b"slow"]
    assert not [peer for peer, whys in place.told.items() if whys and peer != b"slow"]


def test_connections_that_come_and_go_without_reading_cost_a_prompt_one_nothing(place: Place):
    place.seat(b"prompt", 8, PROMPT_BYTES_S)
    place.pass_s(0.5)
    renewed = deque(place.seat(b"slow %d" % number, 40, SLOW_BYTES_S) for number in range(20))

    for number in itertools.islice(itertools.count(20), 100):
        place.hang_up(renewed.popleft())
        renewed.append(place.seat(b"slow %d" % number, 40, SLOW_BYTES_S))
        place.pass_s(2 * STEP_S)

    assert not place.told[b"prompt"]


def test_calls_that_are_cancelled_and_made_anew_are_not_taken_for_read(place: Place):
    slow = [place.seat(b"slow %d" % number, 40, SLOW_BYTES_S) for number in range(10)]
    place.pass_s(0.5)
    place.seat(b"prompt", 8, PROMPT_BYTES_S)

    for _ in range(50):
        for reader in slow:
            for _ in range(min(4, len(reader.open))):
                place.guests.leave(reader.open.popleft(), taken=False)
        place.pass_s(STEP_S)

    assert not place.told[b"prompt"]


def test_who_takes_a_little_just_in_time_is_slow_all_the_same(place: Place):
    trickles = place.seat(b"trickles", 0, 0.0)
    assert place.guests.enter(trickles.peer) == ""
    stream = ACall(trickles.peer)
    trickles.calls = 60
    place.seat(b"prompt", 8, PROMPT_BYTES_S)

    for _ in range(20):
        place.guests.hold(stream, 1000)
        place.pass_s(0.1)
        place.guests.took(stream, 1000)

    assert any("slowly" in why for why in place.told[b"trickles"])
    assert not place.told[b"prompt"]


def test_who_reads_some_answers_and_leaves_others_is_known_by_the_oldest(place: Place):
    hoards = place.seat(b"hoards", 60, 0.0)
    place.pass_s(STEP_S)
    hoards.open.rotate(-59)  # what comes is read from here on, what is there is left
    hoards.bytes_s = PROMPT_BYTES_S / 100
    place.pass_s(2.0)
    place.seat(b"prompt", 8, PROMPT_BYTES_S)

    place.pass_s(2.0)

    assert place.told[b"hoards"]
    assert not place.told[b"prompt"]


def test_a_prompt_reader_alone_has_the_whole_room_and_is_told_to_ask_for_fewer(place: Place):
    alone = place.seat(b"alone", MOST_BYTES // ANSWER_BYTES, PROMPT_BYTES_S)
    place.pass_s(1.0)
    assert not place.told[b"alone"]

    alone.calls = 200
    place.pass_s(STEP_S)

    assert place.told[b"alone"]
    assert all("ask for fewer at a time" in why for why in place.told[b"alone"])
    assert not any("slowly" in why for why in place.told[b"alone"])
    assert place.guests.unsent > MOST_BYTES * 0.9
