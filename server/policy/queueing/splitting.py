"""Requests of more rows than any batch: in which pieces they run, and how long that takes. Pure."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

from server.policy.decision import ArmProfile, Ticket


class Split(NamedTuple):
    """`rows` of each piece; `need_s`: what the pieces take at least, run by all workers at a time."""

    rows: tuple[int, ...]
    need_s: float


def split(ticket: Ticket, arms: Iterable[ArmProfile], workers: int) -> Split | None:
    """As few pieces as there can be, as equal as they can be; None where no arm may serve it in pieces.

    Pieces may run on different arms: each is one that the ticket accepts.
    """
    able = [arm for arm in arms if arm.separable and ticket.accepts(arm)]
    if not able:
        return None
    count = ceil(ticket.rows / max(arm.max_batch for arm in able))
    size, larger = divmod(ticket.rows, count)
    rows = (size + 1,) * larger + (size,) * (count - larger)
    piece_s = min(arm.upper_s[rows[0]] for arm in able if rows[0] <= arm.max_batch)
    return Split(rows, ceil(count / workers) * piece_s)


def most_rows(arms: Sequence[ArmProfile], workers: int, within_s: float, whole: int) -> int:
    """The most rows of one request, `whole` at most, that pieces as large as can be answer within so long (s)."""
    most = 0
    for arm in arms:
        if arm.separable:
            rounds = whole if within_s == float("inf") else int(within_s / arm.upper_s[-1])
            most = max(most, rounds * workers * arm.max_batch)
    return min(most, whole)
