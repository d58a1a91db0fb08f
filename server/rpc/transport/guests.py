"""Who is connected: calls open and answers not taken, by connection, so that one cannot have what is meant for all.

A connection is told by its peer's address. All methods are called under the front's lock.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from server.rpc.transport.pace import SLOW_BYTES_S, Pace, of_the_oldest

_FEW = 8
"""Calls that a connection may have however many others are there."""
_UNLIMITED = 1 << 31
_SLOWEST_BYTES_S = 1 << 20
"""Who reads so many bytes a second is not taken for stalled: what has been taken of one answer cannot be seen."""
_REMEMBERED_S = 1.0
"""So long a connection that holds nothing any more is known for how it read what it held."""
_JUDGED_S = 0.01
"""How fast a connection reads is found out so often: it is asked for each that holds something, for each answer."""
_LITTLE = 512
"""A connection that holds less than this part of all that may wait does not prove by it how fast it reads."""


class Holder(Protocol):
    """A call, as far as it may hold answers that its client has not taken."""

    peer: bytes

    def give_up(self, why: str) -> None:
        """End it, and let go of what it holds."""
        ...


class _Judged(NamedTuple):
    """How fast a connection was found to read; `about`: hardly slower is not slower."""

    at_s: float = -math.inf
    is_slow: bool = False
    about: int = 0


@dataclass(slots=True)
class _Guest:
    """One connection. `held`: call -> (bytes not taken, since when none was), the one that waits longest first.

    `calls`: until their answers are taken; `asked`: until they are answered. `lost_s`: when a call of it gave way last;
    `free_s`: since when it has held nothing.
    """

    calls: int = 0
    asked: int = 0
    unsent: int = 0
    lost_s: float = -math.inf
    free_s: float = 0.0
    pace: Pace = field(default_factory=Pace)
    judged: _Judged = field(default_factory=_Judged)
    held: "dict[Holder, tuple[int, float]]" = field(
        default_factory=dict["Holder", tuple[int, float]]
    )

    def judge(self, now_s: float) -> _Judged:
        """How fast it reads: as it did lately, and no faster than its oldest answer tells."""
        if now_s - self.judged.at_s >= _JUDGED_S:
            bytes_s = self.pace.bytes_s(now_s)
            if self.held:
                size, since_s = next(iter(self.held.values()))
                bytes_s = min(bytes_s, of_the_oldest(size, now_s - since_s))
            self.judged = _Judged(now_s, bytes_s <= SLOW_BYTES_S, round(math.log2(bytes_s)))
        return self.judged


class Guests:
    """`most_calls` calls, shared fairly once they run short; `most_bytes` of answers not taken, for `stall_s` each.

    A connection may have `most_asked` calls that are not answered yet.
    """

    def __init__(
        self,
        most_calls: int,
        most_bytes: int,
        stall_s: float,
        most_asked: int = _UNLIMITED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_calls, self._most_bytes, self._stall_s = most_calls, most_bytes, stall_s
        self._most_asked = most_asked
        self._little = most_bytes // _LITTLE
        self._clock = clock
        self._guests: dict[bytes, _Guest] = {}
        self._holding: dict[bytes, _Guest] = {}
        self._calls = self._unsent = self._here = 0

    @property
    def are_crowded(self) -> bool:
        """Whether more than half of what may wait to be taken does."""
        return self._unsent > self._most_bytes // 2

    @property
    def unsent(self) -> int:
        """Bytes that wait to be taken."""
        return self._unsent

    @property
    def peers(self) -> list[bytes]:
        """The connections that have calls."""
        return [peer for peer, guest in self._guests.items() if guest.calls]

    def enter(self, peer: bytes) -> str:
        """Count one more call of this connection and return ""; or return why it may have no more."""
        guest = self._guests.get(peer)
        if guest is None:
            guest = self._guests[peer] = _Guest(free_s=self._clock())
        elif refusal := self._refusal(guest):
            return refusal
        self._here += not guest.calls
        guest.calls += 1
        guest.asked += 1
        self._calls += 1
        return ""

    def _refusal(self, guest: _Guest) -> str:
        if guest.asked >= self._most_asked:
            return (
                f"{guest.asked} calls of this connection are not answered yet, as many as it may have; "
                "wait for some, or connect once more"
            )
        share = max(_FEW, self._most_calls // self._here) if self._here else _FEW
        if self._calls >= self._most_calls and guest.calls >= share:
            return (
                "too many calls are open, and this connection has its share of them; end some first"
            )
        return self._unread(guest) if self.are_crowded and self._does_not_read(guest) else ""

    def unread(self, peer: bytes) -> str:
        """Why this connection should be sent no more answers now; "": it may."""
        if not self.are_crowded:
            return ""
        guest = self._guests.get(peer)
        return self._unread(guest) if guest is not None and self._does_not_read(guest) else ""

    def answered(self, peer: bytes) -> None:
        """A call of this connection has its answer, which may wait to be taken; or it was cancelled."""
        self._guests[peer].asked -= 1

    def leave(self, call: Holder, *, taken: bool = True) -> None:
        """The call is over: its answer was taken, or it was cancelled."""
        guest = self._guests[call.peer]
        self._let_go(guest, call, taken=taken)
        guest.calls -= 1
        self._calls -= 1
        self._here -= not guest.calls

    def hold(self, call: Holder, size: int) -> list[tuple[Holder, str]]:
        """An answer of so many bytes waits for its client.

        Returns the calls that must give way, with what to say: of whoever reads slowest, where all hold too much. They
        hold nothing any more; end them once the lock is free.
        """
        guest = self._guests[call.peer]
        now_s = self._clock()
        if not guest.held and now_s - guest.free_s >= _REMEMBERED_S:
            guest.pace = Pace()
        before, since_s = guest.held.get(call) or (0, now_s)
        guest.held[call] = (before + size, since_s)
        self._holding[call.peer] = guest
        self._weigh(guest, size, now_s)
        crowded: list[tuple[Holder, str]] = []
        while self.are_crowded and (one := self._crowded()) is not None:
            crowded.append(one)
        return crowded

    def took(self, call: Holder, size: int) -> None:
        """The client has taken an answer of so many bytes: its call goes to the end of the line."""
        guest = self._guests.get(call.peer)
        known = guest.held.pop(call, None) if guest is not None else None
        if guest is None or known is None:  # the call is over, or was ended
            return
        now_s = self._clock()
        size = min(size, known[0])  # less, where the call gave way while more was being sent
        if known[0] > size:
            guest.held[call] = (known[0] - size, now_s)
        self._weigh(guest, -size, now_s)
        guest.pace.took(size)
        self._note_free(call.peer, guest, now_s)

    def end_stalled(self) -> None:
        """End the calls of which nothing has been taken for `stall_s`."""
        before_s = self._clock() - self._stall_s
        late = [
            (guest, call)
            for guest in self._holding.values()
            for call, (size, since_s) in guest.held.items()
            if since_s + size / _SLOWEST_BYTES_S <= before_s
        ]
        for guest, call in late:
            self._give_way(guest, call)
            call.give_up(f"no answer was taken for {self._stall_s:g} s; read answers as they come")

    def forget_gone(self) -> None:
        """Drop the connections that have had no calls for a while."""
        before_s = self._clock() - _REMEMBERED_S
        gone = [
            peer
            for peer, guest in self._guests.items()
            if not guest.calls and guest.free_s <= before_s
        ]
        for peer in gone:
            del self._guests[peer]

    def _crowded(self) -> tuple[Holder, str] | None:
        """The next to give way: of whoever reads slowest, or holds most of those as slow, what waits longest.

        Up to the whole of what may wait nobody must who is not slow.
        """
        now_s = self._clock()
        guest = min(self._holding.values(), key=lambda one: (one.judge(now_s).about, -one.unsent))
        if self._unsent <= self._most_bytes and not guest.judged.is_slow:
            return None
        why = self._unread(guest)
        call = next(iter(guest.held))
        self._give_way(guest, call)
        return call, why

    def _give_way(self, guest: _Guest, call: Holder) -> None:
        self._let_go(guest, call, taken=False)
        guest.lost_s = self._clock()

    def _does_not_read(self, guest: _Guest) -> bool:
        """Whether it takes what it holds slowly; or lost just now all that it held."""
        now_s = self._clock()
        if not guest.held:
            return now_s - guest.lost_s < _REMEMBERED_S
        return guest.judge(now_s).is_slow

    def _unread(self, guest: _Guest) -> str:
        if not guest.held:
            return (
                "answers on this connection gave way just now, for want of room; "
                "ask for fewer at a time, and read answers as they come"
            )
        held = f"{guest.unsent} bytes of answers wait to be taken on this connection"
        if guest.judge(self._clock()).is_slow:
            return f"{held}, which takes them slowly; read answers as they come"
        return (
            f"{held}, and of all together {self._most_bytes} may; "
            "ask for fewer at a time, and read answers as they come"
        )

    def _weigh(self, guest: _Guest, size: int, now_s: float) -> None:
        """It holds so many bytes more, or fewer."""
        guest.unsent += size
        self._unsent += size
        waits = guest.unsent > self._little
        if waits or guest.pace.waiting_since_s is not None:
            guest.pace.goes_on(now_s, waiting=waits)

    def _let_go(self, guest: _Guest, call: Holder, *, taken: bool) -> None:
        """Forget what it holds, if anything."""
        known = guest.held.pop(call, None)
        if known is None:
            return
        now_s = self._clock()
        self._weigh(guest, -known[0], now_s)
        if taken:
            guest.pace.took(known[0])
        self._note_free(call.peer, guest, now_s)

    def _note_free(self, peer: bytes, guest: _Guest, now_s: float) -> None:
        if not guest.held:
            self._holding.pop(peer, None)
            guest.free_s = now_s
