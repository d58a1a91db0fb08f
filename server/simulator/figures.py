"""Figures of a simulation by second and by SLO class, made from records of what was offered and answered."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from server.policy.decision import Ticket

Floats = NDArray[np.float64]

Report = dict[str, Any]
"""Shares are within 0..1, times in the unit that the key ends with."""


@dataclass(slots=True)
class Second:
    """Requests by the second (of the run) they arrived in."""

    offered: int = 0
    in_time: int = 0
    accuracy: float = 0.0


@dataclass(frozen=True, slots=True)
class InTimeAnswers:
    """Answers in time, one entry each: when its request arrived (s), its accuracy, its variant and class."""

    arrival_s: Floats
    accuracy: Floats
    variant: list[str]
    slo_class: list[str]


def by_second(offered_s: Floats, answers: InTimeAnswers) -> dict[int, Second]:
    """The timeline, by whole seconds in which something arrived."""
    whole, counts = np.unique(offered_s.astype(int), return_counts=True)
    found = {at: Second(count) for at, count in zip(whole.tolist(), counts.tolist(), strict=True)}
    seconds = answers.arrival_s.astype(int)
    in_time, accuracy = np.bincount(seconds), np.bincount(seconds, answers.accuracy)
    for at in np.flatnonzero(in_time).tolist():
        found[at].in_time, found[at].accuracy = int(in_time[at]), float(accuracy[at])
    return found


def timeline(offered_s: Floats, answers: InTimeAnswers) -> list[Report]:
    """One entry per second, with the answers in time by variant."""
    variants: dict[int, Counter[str]] = {}
    for at, variant in zip(answers.arrival_s.astype(int).tolist(), answers.variant, strict=True):
        variants.setdefault(at, Counter())[variant] += 1
    return [
        {
            "second": at,
            "offered": s.offered,
            "attainment": ratio(s.in_time, s.offered),
            "effective_accuracy": ratio(s.accuracy, s.in_time, 0.0),
            "variants": dict(variants.get(at, {})),
        }
        for at, s in sorted(by_second(offered_s, answers).items())
    ]


def by_class(tickets: Sequence[Ticket], answers: InTimeAnswers) -> dict[str, Report]:
    """Each SLO class's own figures."""
    offered = Counter(ticket.slo_class for ticket in tickets)
    names = np.array(answers.slo_class)
    return {
        name: _figures(count, answers.accuracy[names == name]) for name, count in offered.items()
    }


def ratio(part: float, whole: float, otherwise: float = 1.0) -> float:
    """`part` of `whole`, or `otherwise` where there is no whole."""
    return part / whole if whole else otherwise


def _figures(offered: int, accuracy: Floats) -> Report:
    earned = float(accuracy.sum())
    return {
        "offered": offered,
        "attainment": accuracy.size / offered,
        "effective_accuracy": ratio(earned, accuracy.size, 0.0),
        "awg": earned / offered,
    }
