"""Admit a request to the queue, or refuse it at once with a reason: hopeless and excess work must not wait."""

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.policy.decision import ArmProfile, Ticket


@dataclass(frozen=True, slots=True)
class Admit:
    """The ticket may wait."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer at once. `reason` is `full`, `late`, `too_large` or `unservable`; `message` tells the client why."""

    reason: str
    message: str


Verdict = Admit | Refuse

Admission = Callable[[Ticket, int, float], Verdict]
"""(ticket, rows waiting, now_s) -> may it wait?"""

_ADMIT = Admit()


def admission(arms: Sequence[ArmProfile], capacity_rows: int) -> Admission:
    """Build the check for these arms. `capacity_rows`: the most rows that may wait."""
    floors = sorted({arm.accuracy for arm in arms})
    fastest = {key: _fastest(group) for key, group in _groups(arms, floors).items()}

    def admit(ticket: Ticket, rows_waiting: int, now_s: float) -> Verdict:
        upper_s = fastest.get((ticket.variant, bisect_left(floors, ticket.min_accuracy)))
        if upper_s is None or ticket.rows >= len(upper_s):
            return _unservable(ticket, arms, 0 if upper_s is None else len(upper_s) - 1)
        if now_s + upper_s[ticket.rows] > ticket.deadline_s:
            return _late(ticket, upper_s[ticket.rows], now_s)
        if rows_waiting + ticket.rows > capacity_rows:
            return Refuse(
                "full",
                f"{rows_waiting} rows wait already and the limit is {capacity_rows}; retry later",
            )
        return _ADMIT

    return admit


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


def _fastest(arms: Sequence[ArmProfile]) -> list[float]:
    """Index = rows: the least time (s, by the upper estimate) in which one of `arms` answers that many rows alone."""
    most = max(arm.max_batch for arm in arms)
    return [min(a.upper_s[b] for a in arms if b <= a.max_batch) for b in range(most + 1)]


def _late(ticket: Ticket, need_s: float, now_s: float) -> Refuse:
    left_ms, need_ms = 1e3 * (ticket.deadline_s - now_s), 1e3 * need_s
    return Refuse(
        "late",
        f"deadline is {left_ms:.1f} ms away, the fastest acceptable arm needs {need_ms:.1f} ms; allow more time",
    )


def _unservable(ticket: Ticket, arms: Sequence[ArmProfile], most_rows: int) -> Refuse:
    if most_rows:
        return Refuse(
            "too_large",
            f"{ticket.rows} rows in one request exceed the largest batch {most_rows}; split it",
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
