"""Admit a request to the queue, or refuse it at once with a reason: hopeless and excess work must not wait."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Protocol

from server.policy.decision import ArmProfile, Ticket

MARGIN = 2.0
"""A ticket is refused as `overloaded` only where this multiple of what all workers can do is waiting ahead of it.

At 1 no schedule serves them all; but a policy that sheds may serve the newcomer in place of older ones that a busy
worker has kept waiting too long. Twice as much leaves enough of those that are still in time.
"""

HOPELESS = frozenset({"late", "too_large", "unservable"})
"""Reasons of refusals for what no schedule could answer, were the queue empty: it takes no time from anybody."""


@dataclass(frozen=True, slots=True)
class Admit:
    """The ticket may wait."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer at once. `reason` is `full`, `overloaded`, `late`, `too_large` or `unservable`; `message` tells why.

    `retry_s`: what waits now takes so long (s), so that asking again then may help; None where it is not for the queue
    that the ticket is refused, or nothing is known to wait.
    `most_rows`: of what is `too_large`, what would not be.
    """

    reason: str
    message: str
    retry_s: float | None = None
    most_rows: int = 0


Verdict = Admit | Refuse


class Admission(Protocol):
    """May it wait? `deadlines` (s) of those who wait, in order; without them nothing is known to be ahead of it."""

    def __call__(
        self, ticket: Ticket, rows_waiting: int, now_s: float, deadlines: Sequence[float] = ..., /
    ) -> Verdict: ...


_ADMIT = Admit()


def admission(arms: Sequence[ArmProfile], capacity_rows: int, workers: float = inf) -> Admission:
    """Build the check for these arms. `capacity_rows`: the most rows that may wait; `workers` share the queue.

    Where the rows ahead of a ticket are MARGIN times what all workers can answer until its deadline, in whatever
    batches and on whichever arm is cheapest a row, no schedule answers it and all of them: somebody must go. The
    newcomer has not waited yet, and its client may still go elsewhere in time. Only deadlines that are not over and not
    later than its own count as ahead of it, each as one row.
    """
    floors = sorted({arm.accuracy for arm in arms})
    quickest = {key: fastest(group) for key, group in _groups(arms, floors).items()}
    pace_s = row_s(arms) / workers

    def admit(
        ticket: Ticket, rows_waiting: int, now_s: float, deadlines: Sequence[float] = (), /
    ) -> Verdict:
        upper_s = quickest.get((ticket.variant, bisect_left(floors, ticket.min_accuracy)))
        if upper_s is None or ticket.rows >= len(upper_s):
            return _unservable(ticket, arms, 0 if upper_s is None else len(upper_s) - 1)
        if now_s + upper_s[ticket.rows] > ticket.deadline_s:
            return late(ticket, upper_s[ticket.rows], now_s)
        if rows_waiting + ticket.rows > capacity_rows:
            return full(rows_waiting, capacity_rows, pace_s)
        within_s = MARGIN * (ticket.deadline_s - now_s)
        if rows_waiting * pace_s > within_s:
            ahead = bisect_right(deadlines, ticket.deadline_s)
            ahead -= bisect_left(deadlines, now_s, 0, ahead)
            if ahead * pace_s > within_s:
                return _overloaded(ahead, rows_waiting * pace_s, ticket.deadline_s - now_s)
        return _ADMIT

    return admit


def row_s(arms: Sequence[ArmProfile]) -> float:
    """The least worker time (s) per row that any of `arms` reaches in any batch; 0 where there is none."""
    return min(
        (arm.mean_s[b] / b for arm in arms for b in range(1, arm.max_batch + 1)), default=0.0
    )


def _groups(
    arms: Sequence[ArmProfile], floors: Sequence[float]
) -> dict[tuple[str | None, int], list[ArmProfile]]:
    """(pinned variant or None, index of the least accuracy) -> the arms acceptable then; no entry where none is."""
    groups: dict[tuple[str | None, int], list[ArmProfile]] = {}
    for arm in arms:
        for level in range(bisect_left(floors, arm.accuracy) + 1):
            for variant in (None, arm.arm.variant):
                groups.setdefault((variant, level), []).append(arm)
    return groups


def fastest(arms: Sequence[ArmProfile]) -> list[float]:
    """Index = rows: the least time (s, by the upper estimate) in which one of `arms` answers that many rows alone."""
    most = max(arm.max_batch for arm in arms)
    return [min(a.upper_s[b] for a in arms if b <= a.max_batch) for b in range(most + 1)]


def full(rows_waiting: int, capacity_rows: int, pace_s: float) -> Refuse:
    """The refusal of a ticket for which there is no room; `pace_s`: what a row that waits takes (s)."""
    return Refuse(
        "full",
        f"{rows_waiting} rows wait already and the limit is {capacity_rows}; retry later",
        rows_waiting * pace_s or None,
    )


def _overloaded(ahead: int, drained_s: float, left_s: float) -> Refuse:
    return Refuse(
        "overloaded",
        f"{ahead} requests with earlier deadlines wait, more than can be answered within the "
        f"{left_s * 1e3:.1f} ms that this one has; retry later or allow more time",
        drained_s,
    )


def late(
    ticket: Ticket, need_s: float, now_s: float, who: str = "the fastest acceptable arm needs"
) -> Refuse:
    """The refusal of a ticket whose deadline comes before `who` has had so long (s)."""
    left_ms, need_ms = 1e3 * (ticket.deadline_s - now_s), 1e3 * need_s
    when = f"is {left_ms:.1f} ms away" if left_ms > 0 else f"passed {-left_ms:.1f} ms ago"
    return Refuse(
        "late",
        f"its deadline {when}, {who} {need_ms:.1f} ms; allow more time"
        + (", or send less at a time" if ticket.rows > 1 else ""),
    )


def _unservable(ticket: Ticket, arms: Sequence[ArmProfile], most_rows: int) -> Refuse:
    if most_rows:
        return Refuse(
            "too_large",
            f"{ticket.rows} rows in one request exceed the largest batch {most_rows}; split it",
            most_rows=most_rows,
        )
    if ticket.variant is not None and ticket.variant not in {arm.arm.variant for arm in arms}:
        return Refuse(
            "unservable",
            f"variant {ticket.variant!r} is not available now; do not pin it or retry later",
        )
    best = max((a.accuracy for a in arms if ticket.variant in (None, a.arm.variant)), default=0.0)
    return Refuse(
        "unservable",
        f"min_accuracy {ticket.min_accuracy} exceeds the best available, {best}; lower it",
    )
