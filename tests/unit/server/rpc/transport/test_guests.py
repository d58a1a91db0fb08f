"""Who may have how many calls and unread answers, on a clock that the tests move."""

from dataclasses import dataclass, field

from server.rpc.transport.guests import Guests

NEEDY, GOOD = b"needy", b"good"


@dataclass(eq=False)
class ACall:
    peer: bytes
    ended: list[str] = field(default_factory=list[str])

    def give_up(self, why: str) -> None:
        self.ended.append(why)


class Clock:
    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def a_call(guests: Guests, peer: bytes) -> ACall:
    assert guests.enter(peer) == ""
    return ACall(peer)


def test_calls_are_shared_between_connections_once_they_run_short():
    guests = Guests(most_calls=100, most_bytes=1000, stall_s=10.0)
    for _ in range(100):
        assert guests.enter(NEEDY) == ""

    assert "too many calls are open" in guests.enter(NEEDY)
    taken = [guests.enter(GOOD) for _ in range(51)]
    assert taken[:50] == [""] * 50
    assert "too many calls" in taken[50]


def test_who_reads_slowly_may_have_no_more_calls_though_they_run_short_and_it_has_few():
    clock = Clock()
    guests = Guests(most_calls=10, most_bytes=1000, stall_s=10.0, clock=clock)
    guests.hold(a_call(guests, NEEDY), 600)
    for _ in range(9):
        assert guests.enter(GOOD) == ""

    clock.now_s = 0.3

    assert "wait to be taken" in guests.enter(NEEDY)
    assert "too many calls are open" in guests.enter(GOOD)


def test_a_call_that_ends_makes_room():
    guests = Guests(most_calls=10, most_bytes=1000, stall_s=10.0)
    calls = [a_call(guests, NEEDY) for _ in range(10)]
    assert guests.enter(NEEDY)

    guests.leave(calls[0])

    assert guests.enter(NEEDY) == ""


def test_of_answers_that_wait_the_oldest_of_whoever_holds_most_gives_way():
    guests = Guests(most_calls=100, most_bytes=1000, stall_s=10.0)
    small = a_call(guests, GOOD)
    calls = [a_call(guests, NEEDY) for _ in range(4)]
    assert guests.hold(small, 200) == []

    crowded = [one for call in calls for one in guests.hold(call, 300)]

    assert [call for call, _ in crowded] == calls[:2]
    assert "read answers as they come" in crowded[0][1]
    assert guests.unsent == 800


def test_who_takes_nothing_may_ask_for_nothing_more_until_it_takes_something():
    clock = Clock()
    guests = Guests(most_calls=100, most_bytes=1000, stall_s=10.0, clock=clock)
    calls = [a_call(guests, NEEDY) for _ in range(2)]
    for call in calls:
        guests.hold(call, 300)
    assert guests.unread(NEEDY) == ""

    clock.now_s = 0.3

    assert "wait to be taken" in guests.unread(NEEDY)
    assert "wait to be taken" in guests.enter(NEEDY)
    assert guests.unread(GOOD) == guests.enter(GOOD) == ""
    guests.leave(calls[0])
    assert guests.unread(NEEDY) == guests.enter(NEEDY) == ""


def test_who_reads_is_not_refused_while_another_fills_what_may_wait():
    clock = Clock()
    guests = Guests(most_calls=100, most_bytes=1000, stall_s=10.0, clock=clock)
    hoard = a_call(guests, NEEDY)
    guests.hold(hoard, 900)
    gone: list[object] = []
    for step in range(10):
        clock.now_s = step / 10
        call = a_call(guests, GOOD)
        assert guests.unread(GOOD) == ""
        gone += [one for one, _ in guests.hold(call, 10)]
        guests.leave(call)

    assert gone == [hoard]


def test_a_connection_whose_answers_gave_way_still_counts_as_one_that_reads_nothing():
    clock = Clock()
    guests = Guests(most_calls=100, most_bytes=1000, stall_s=10.0, clock=clock)
    calls = [a_call(guests, NEEDY) for _ in range(3)]
    for call in calls:
        for gone, _ in guests.hold(call, 600):
            guests.leave(gone)  # type: ignore[arg-type]
    clock.now_s = 1.0

    assert guests.enter(NEEDY)


def test_what_is_taken_in_part_waits_at_the_end_of_the_line():
    clock = Clock()
    guests = Guests(most_calls=100, most_bytes=1000, stall_s=10.0, clock=clock)
    first, second = a_call(guests, NEEDY), a_call(guests, NEEDY)
    guests.hold(first, 300)
    guests.hold(second, 300)
    clock.now_s = 6.0
    guests.took(first, 100)
    assert guests.unsent == 500

    clock.now_s = 11.0
    guests.end_stalled()

    assert first.ended == []
    assert second.ended == ["no answer was taken for 10 s; read answers as they come"]
    assert guests.unsent == 200


def test_what_is_taken_of_a_call_that_gave_way_counts_no_more():
    guests = Guests(most_calls=100, most_bytes=1000, stall_s=10.0)
    call = a_call(guests, NEEDY)
    guests.hold(call, 1100)
    assert guests.unsent == 0

    guests.took(call, 1100)
    guests.leave(call)

    assert guests.unsent == 0


def test_a_call_that_gave_way_while_more_was_sent_on_it_takes_off_no_more_than_it_holds():
    guests = Guests(most_calls=100, most_bytes=1000, stall_s=10.0)
    call = a_call(guests, NEEDY)
    guests.hold(call, 1200)
    guests.hold(call, 10)

    guests.took(call, 1200)

    assert guests.unsent == 0


def test_a_connection_that_lost_all_that_it_held_is_taken_again_a_second_later():
    clock = Clock()
    guests = Guests(most_calls=100, most_bytes=1000, stall_s=10.0, clock=clock)
    kept, lost = a_call(guests, NEEDY), a_call(guests, NEEDY)
    guests.hold(lost, 1100)
    guests.leave(lost)
    other = a_call(guests, GOOD)
    guests.hold(other, 600)
    clock.now_s = 0.5
    assert guests.enter(NEEDY)

    clock.now_s = 1.5

    assert guests.enter(NEEDY) == ""
    guests.leave(kept)


def test_a_large_answer_has_as_long_as_a_slow_reader_needs():
    clock = Clock()
    guests = Guests(most_calls=10, most_bytes=1 << 30, stall_s=10.0, clock=clock)
    call = a_call(guests, GOOD)
    guests.hold(call, 64 << 20)

    clock.now_s = 60.0
    guests.end_stalled()
    assert not call.ended
    clock.now_s = 80.0
    guests.end_stalled()
    assert call.ended


def test_a_connection_has_so_many_calls_that_are_not_answered_yet():
    guests = Guests(most_calls=100, most_bytes=1000, stall_s=10.0, most_asked=3)
    for _ in range(3):
        assert guests.enter(NEEDY) == ""

    assert "3 calls of this connection are not answered yet" in guests.enter(NEEDY)
    assert guests.enter(GOOD) == ""
    guests.answered(NEEDY)
    assert guests.enter(NEEDY) == ""


def test_those_that_have_gone_count_no_more_in_anybodys_share():
    guests = Guests(most_calls=20, most_bytes=1000, stall_s=10.0)
    for number in range(10):
        guests.leave(a_call(guests, b"gone %d" % number))

    taken = [guests.enter(NEEDY) for _ in range(21)]

    assert taken[:20] == [""] * 20
    assert taken[20]


def test_connections_without_calls_are_forgotten_after_a_while():
    clock = Clock()
    guests = Guests(most_calls=20, most_bytes=1000, stall_s=10.0, clock=clock)
    guests.leave(a_call(guests, NEEDY))
    kept = a_call(guests, GOOD)

    clock.now_s = 1.5
    guests.forget_gone()

    assert guests.peers == [GOOD]
    guests.leave(kept)
