"""How requests fared in the last seconds: a ring of one-second slots, so that it costs two additions a request."""

from dataclasses import dataclass

WINDOW_S = 10
"""What counts as recent: long enough for a share of a few hundred requests, short enough to show a change."""


@dataclass(frozen=True, slots=True)
class Results:
    """`offered` requests ended, `in_time` of them answered in time, with `accuracy` the sum of their variants'."""

    offered: int
    in_time: int
    accuracy: float

    @property
    def attainment(self) -> float:
        """Share answered in time; 0 where nothing was offered."""
        return self.in_time / self.offered if self.offered else 0.0

    @property
    def effective_accuracy(self) -> float:
        """Mean accuracy of the answers in time; 0 where there were none."""
        return self.accuracy / self.in_time if self.in_time else 0.0


class Recent:
    """The ring. Its clock must not step back; it is not safe for several threads at once."""

    def __init__(self) -> None:
        self._slots = [(-WINDOW_S, 0, 0, 0.0)] * WINDOW_S  # (second, offered, in time, accuracy)

    def ended(self, offered: int, in_time: int, accuracy: float, now_s: float) -> None:
        """So many requests ended now, so many in time."""
        second = int(now_s)
        at, before, on_time, total = self._slots[second % WINDOW_S]
        if at != second:
            before, on_time, total = 0, 0, 0.0
        added = second, before + offered, on_time + in_time, total + accuracy
        self._slots[second % WINDOW_S] = added

    def results(self, now_s: float) -> Results:
        """What ended in the present second and the WINDOW_S - 1 before it."""
        first = int(now_s) - WINDOW_S
        slots = [slot for slot in self._slots if slot[0] > first]
        return Results(sum(s[1] for s in slots), sum(s[2] for s in slots), sum(s[3] for s in slots))
