"""Who is connected: calls open and answers not taken, by connection, so that one cannot have what is meant for all.

A connection is told by its peer's address. All methods are called under the front's lock.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

_FEW = 8
"""Calls that a connection may have however many others are there."""
_PATIENCE_S = 0.25
"""Who reads as fast as it can takes an answer within this."""
_SLOWEST_BYTES_S = 1 << 20
"""Who reads so many bytes a second is not taken for stalled: what has been taken of one answer cannot be seen."""
_REMEMBERED_S = 1.0
"""So long a connection that holds nothing any more is one that did not read what it held."""


class Holder(Protocol):
    """A call, as far as it may hold answers that its client has not taken."""

    peer: bytes

    def give_up(self, why: str) -> None:
        """End it, and let go of what it holds."""
        ...


@dataclass(slots=True)
class _Guest:
    """One connection. `held`: call -> (bytes not taken, since when none was), the one that waits longest first.

    `idle_since_s`: since when nothing has been taken though something waited; None where nothing waits. `lost_s`: when
    a call of it gave way last.
    """

    calls: int = 0
    unsent: int = 0
    idle_since_s: float | None = None
    lost_s: float = -math.inf
    held: "dict[Holder, tuple[int, float]]" = field(
        default_factory=dict["Holder", tuple[int, float]]
    )


class Guests:
    """`most_calls` calls, shared fairly once they run short; `most_bytes` of answers not taken, for `stall_s` each."""

    def __init__(
        self,
        most_calls: int,
        most_bytes: int,
        stall_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most_calls, self._most_bytes, self._stall_s = most_calls, most_bytes, stall_s
        self._clock = clock
        self._guests: dict[bytes, _Guest] = {}
        self._calls = self._unsent = 0

    @property
    def are_crowded(self) -> bool:
        """Whether more than half of what may wait to be taken does."""
        return self._unsent > self._most_bytes // 2

    @property
    def unsent(self) -> int:
        """Bytes that wait to be taken."""
        return self._unsent

    def enter(self, peer: bytes) -> str:
        """Count one more call of this connection and return ""; or return why it may have no more."""
        guest = self._guests.get(peer)
        if guest is None:
            guest = self._guests[peer] = _Guest()
        elif self._calls >= self._most_calls:
            if guest.calls >= max(_FEW, self._most_calls // len(self._guests)):
                return "too many calls are open, and this connection has its share of them; end some first"
        elif self.are_crowded and self._does_not_read(guest):
            return self._unread()
        guest.calls += 1
        self._calls += 1
        return ""

    def unread(self, peer: bytes) -> str:
        """Why this connection should be sent no more answers now; "": it may."""
        if not self.are_crowded:
            return ""
        guest = self._guests.get(peer)
        return self._unread() if guest is not None and self._does_not_read(guest) else ""

    def leave(self, call: Holder) -> None:
        """The call is over."""
        guest = self._guests[call.peer]
        if self._let_go(guest, call):
            self._note_taken(guest)
        guest.calls -= 1
        self._calls -= 1
        if not guest.calls:
            del self._guests[call.peer]

    def hold(self, call: Holder, size: int) -> list[tuple[Holder, str]]:
        """An answer of so many bytes waits for its client.

        Returns the calls that must give way, with what to say: of whoever holds most, where all hold too much. They
        hold nothing any more; end them once the lock is free.
        """
        guest = self._guests[call.peer]
        now_s = self._clock()
        before, since_s = guest.held.get(call) or (0, now_s)
        guest.held[call] = (before + size, since_s)
        if guest.idle_since_s is None:
            guest.idle_since_s = now_s
        guest.unsent += size
        self._unsent += size
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
        size = min(size, known[0])  # less, where the call gave way while more was being sent
        guest.unsent -= size
        self._unsent -= size
        if known[0] > size:
            guest.held[call] = (known[0] - size, self._clock())
        self._note_taken(guest)

    def end_stalled(self) -> None:
        """End the calls of which nothing has been taken for `stall_s`."""
        before_s = self._clock() - self._stall_s
        late = [
            (guest, call)
            for guest in self._guests.values()
            for call, (size, since_s) in guest.held.items()
            if since_s + size / _SLOWEST_BYTES_S <= before_s
        ]
        for guest, call in late:
            self._give_way(guest, call)
            call.give_up(f"no answer was taken for {self._stall_s:g} s; read answers as they come")

    def _crowded(self) -> tuple[Holder, str] | None:
        """The next to give way. Above half of what may wait, only one that is not being read."""
        guest = max(self._guests.values(), key=lambda one: one.unsent)
        call, (_, since_s) = next(iter(guest.held.items()))
        if self._unsent <= self._most_bytes and self._clock() - since_s < _PATIENCE_S:
            return None
        self._give_way(guest, call)
        return call, self._unread()

    def _give_way(self, guest: _Guest, call: Holder) -> None:
        self._let_go(guest, call)
        guest.lost_s = self._clock()

    def _does_not_read(self, guest: _Guest) -> bool:
        """Whether it has taken nothing for a while; or holds its share when there is hardly room left."""
        now_s = self._clock()
        if guest.idle_since_s is None or not (guest.held or now_s - guest.lost_s < _REMEMBERED_S):
            return False
        nearly_full = self._unsent > self._most_bytes // 4 * 3
        holds_much = guest.unsent >= self._unsent // (2 * len(self._guests))
        return (nearly_full and holds_much) or now_s - guest.idle_since_s >= _PATIENCE_S

    def _unread(self) -> str:
        return (
            f"answers of {self._unsent} bytes wait to be taken, many of them on this connection; "
            "read answers as they come"
        )

    def _note_taken(self, guest: _Guest) -> None:
        guest.idle_since_s = self._clock() if guest.held else None

    def _let_go(self, guest: _Guest, call: Holder) -> bool:
        """Forget what it holds; whether it held anything."""
        known = guest.held.pop(call, None)
        if known is None:
            return False
        guest.unsent -= known[0]
        self._unsent -= known[0]
        return True
