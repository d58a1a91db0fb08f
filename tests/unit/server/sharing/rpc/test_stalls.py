"""Streams that nobody reads are given up once their limit has passed; those that move, or have room again, are not."""

import threading
from collections.abc import Iterator

import pytest

from server.sharing.rpc.stalls import Stallable, Stalls

PATIENCE_S = 30.0


class Stream:
    """Notes that it was given up."""

    def __init__(self) -> None:
        self.given_up = threading.Event()
        self.after_s = 0.0

    def give_up(self, after_s: float) -> None:
        self.after_s = after_s
        self.given_up.set()


@pytest.fixture
def stalls() -> Iterator[Stalls]:
    """With a limit of 50 ms."""
    one = Stalls(0.05)
    one.start()
    yield one
    one.stop()


def test_a_full_stream_is_given_up_once_and_others_go_on(stalls: Stalls):
    first, second = Stream(), Stream()

    stalls.full(first)
    assert first.given_up.wait(PATIENCE_S)
    first.given_up.clear()
    stalls.full(second)
    assert second.given_up.wait(PATIENCE_S)

    assert first.after_s == second.after_s == 0.05
    assert not first.given_up.is_set()


def test_one_that_has_room_again_is_left_alone(stalls: Stalls):
    freed, full = Stream(), Stream()

    stalls.full(freed)
    stalls.forget(freed)
    stalls.full(full)

    assert full.given_up.wait(PATIENCE_S)
    assert not freed.given_up.is_set()


def test_being_full_still_does_not_begin_the_limit_anew_and_being_read_does():
    now = [0.0]
    stalls = Stalls(10.0, lambda: now[0])
    stuck, read = Stream(), Stream()

    seen: list[tuple[float, list[Stallable]]] = []
    for now[0] in (0.0, 5.0, 9.9, 10.0, 14.9, 15.0):
        stalls.full(read)
        if now[0] < 10.0:
            stalls.full(stuck)
        if now[0] == 5.0:
            stalls.taken(read)
        seen.append((now[0], stalls.overdue()))

    assert [(at_s, late) for at_s, late in seen if late] == [(10.0, [stuck]), (15.0, [read])]


def test_what_is_not_full_may_be_read_or_forgotten_without_harm(stalls: Stalls):
    stalls.taken(Stream())
    stalls.forget(Stream())
