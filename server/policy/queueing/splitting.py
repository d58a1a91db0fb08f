"""Requests that no arm answers in time in one batch: in which pieces they run, and how long that takes. Pure.

Pieces have any size up to the largest batch: what is offered is what some size answers in time, and so is cut.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate
from math import ceil, inf
from typing import NamedTuple

from server.policy.decision import ArmProfile, Ticket
from server.policy.queueing.admission import fastest


class Split(NamedTuple):
    """`rows` of each piece; `need_s`: what the pieces take at least, run by all workers at a time."""

    rows: tuple[int, ...]
    need_s: float


class _Sizes(NamedTuple):
    """How large pieces may be: from `least` rows on. `piece_s[n]`: the time (s) in which an arm answers n rows."""

    least: int
    piece_s: Sequence[float]

    @property
    def all(self) -> range:
        """The largest first."""
        return range(len(self.piece_s) - 1, self.least - 1, -1)


def split(
    ticket: Ticket, arms: Iterable[ArmProfile], workers: int, within_s: float = inf
) -> Split | None:
    """As few pieces as can be in time, as equal as they can be; where none are in time, those that need least.

    None where no arm may serve it in pieces. They may run on different arms, each one that the ticket accepts.
    """
    sizes = _sizes([arm for arm in arms if ticket.accepts(arm)])
    found: Split | None = None
    for size in sizes.all:
        count = ceil(ticket.rows / size)
        largest = max(sizes.least, ceil(ticket.rows / count))
        need_s = ceil(count / workers) * sizes.piece_s[largest]
        if found is None or need_s < found.need_s:
            found = Split(_equal(ticket.rows, count), need_s)
        if found.need_s <= within_s:
            break
    return found


def in_rows_of(units: int, arms: Sequence[ArmProfile]) -> Sequence[ArmProfile]:
    """The arms as they run rows of so many units of work each; none where rows of one of them may hang on each other:
    it might be given a piece."""
    if not all(arm.separable for arm in arms):
        return ()
    return [replace(a, mean_s=a.mean_s[::units], upper_s=a.upper_s[::units]) for a in arms]


def most_rows(arms: Sequence[ArmProfile], workers: int, within_s: float, whole: int) -> int:
    """The most rows of one request, `whole` at most, that `split` has answered within so long (s) by these arms."""
    sizes, most = _sizes(arms), 0
    for size in sizes.all:
        most = max(most, _rounds(sizes.piece_s[size], within_s, whole) * workers * size)
    return min(most, whole)


def _sizes(arms: Sequence[ArmProfile]) -> _Sizes:
    """Those for pieces that may run on any of `arms`; no size is held to take less time than a smaller one.

    Arms whose rows may hang on each other run no more than one, and would run a piece of one row. Where there are such,
    pieces have up to three rows at least: then none has less than two.
    """
    apart = [arm for arm in arms if arm.separable]
    if not apart:
        return _Sizes(1, ())
    return _Sizes(1 if len(apart) == len(arms) else 3, [*accumulate(fastest(apart), max)])


def _rounds(piece_s: float, within_s: float, most: int) -> int:
    """How many pieces one after the other are in time; where `most` are, that or more."""
    rounds = int(min(most, within_s / piece_s))
    return rounds + ((rounds + 1) * piece_s <= within_s) - (rounds * piece_s > within_s)


def _equal(rows: int, count: int) -> tuple[int, ...]:
    size, larger = divmod(rows, count)
    return (size + 1,) * larger + (size,) * (count - larger)
