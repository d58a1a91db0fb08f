"""What became of every request: records while the simulation runs, figures over any span of arrivals afterwards."""

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from server.policy.decision import Run, Ticket
from server.simulator.figures import (
    Floats,
    InTimeAnswers,
    Report,
    Second,
    by_class,
    by_second,
    ratio,
    timeline,
)

FOREVER_S = float("inf")


class Outcomes:
    """A tally. `late` counts answers past the deadline, `dropped` what never ran, by reason; `rebuilt` new tables,
    `switches` batches on another arm than their worker's last.

    While it is filled it only appends: a simulation has no time for sums.
    """

    def __init__(self, offered: Sequence[Ticket]) -> None:
        self.tickets = offered
        self.dropped: Counter[str] = Counter()
        self.late = 0
        self.rebuilt = 0
        self.switches = 0
        self.decisions_s: list[float] = []
        self._in_time: list[tuple[Run, Sequence[Ticket]]] = []
        self._answers: InTimeAnswers | None = None
        self._offered_s: Floats = np.zeros(0)
        self._rows: list[int] = []

    def answered(self, run: Run, rows: int, now_s: float) -> None:
        """Record a batch of `rows` rows that finished at `now_s`."""
        kept = run.tickets
        if min([ticket.deadline_s for ticket in kept]) < now_s:
            kept = [ticket for ticket in kept if ticket.deadline_s >= now_s]
            self.late += len(run.tickets) - len(kept)
        self._in_time.append((run, kept))
        self._rows.append(rows)

    @property
    def answers(self) -> InTimeAnswers:
        """The answers in time. Ask when all are recorded."""
        if self._answers is None:
            self._answers = _answers(self._in_time)
        return self._answers

    @property
    def offered_s(self) -> Floats:
        """When each request arrived (s)."""
        if self._offered_s.size != len(self.tickets):
            self._offered_s = np.array([ticket.arrival_s for ticket in self.tickets])
        return self._offered_s

    @property
    def batches(self) -> Counter[int]:
        """How many batches had so many rows."""
        return Counter(self._rows)

    @property
    def variants(self) -> Counter[str]:
        """Answers in time by variant."""
        return Counter(self.answers.variant)

    @property
    def seconds(self) -> dict[int, Second]:
        """The timeline, by whole seconds in which something arrived."""
        return by_second(self.offered_s, self.answers)

    def attainment(self, from_s: float = 0.0, until_s: float = FOREVER_S) -> float:
        """Answered in time / offered, of the requests that arrived within [from_s, until_s)."""
        in_time = int(_within(self.answers.arrival_s, from_s, until_s).sum())
        return ratio(in_time, self.count(from_s, until_s))

    def awg(self, from_s: float = 0.0, until_s: float = FOREVER_S) -> float:
        """Accuracy-weighted goodput: the sum of accuracy over answers in time / offered, of the same requests."""
        within = _within(self.answers.arrival_s, from_s, until_s)
        return ratio(float(self.answers.accuracy[within].sum()), self.count(from_s, until_s))

    def effective_accuracy(self, from_s: float = 0.0, until_s: float = FOREVER_S) -> float:
        """Mean accuracy of the answers in time; 0 if there were none."""
        within = _within(self.answers.arrival_s, from_s, until_s)
        return ratio(float(self.answers.accuracy[within].sum()), int(within.sum()), 0.0)

    def count(self, from_s: float = 0.0, until_s: float = FOREVER_S) -> int:
        """Requests that arrived within [from_s, until_s)."""
        return int(_within(self.offered_s, from_s, until_s).sum())

    def report(self) -> Report:
        """Every figure as plain values. `dropped` counts what never ran; the timeline goes by second of arrival."""
        p50_s, p99_s = np.quantile(self.decisions_s or [0.0], (0.50, 0.99)).tolist()
        return {
            "offered": len(self.tickets),
            "attainment": self.attainment(),
            "effective_accuracy": self.effective_accuracy(),
            "awg": self.awg(),
            "dropped": self.dropped.total(),
            "dropped_by_reason": dict(self.dropped),
            "late": self.late,
            "decision_us_p50": 1e6 * p50_s,
            "decision_us_p99": 1e6 * p99_s,
            "rebuilt": self.rebuilt,
            "switches": self.switches,
            "variants": dict(self.variants),
            "classes": by_class(self.tickets, self.answers),
            "timeline": timeline(self.offered_s, self.answers),
        }


def _answers(batches: Sequence[tuple[Run, Sequence[Ticket]]]) -> InTimeAnswers:
    tickets = list(chain.from_iterable(kept for _, kept in batches))
    sizes = [len(kept) for _, kept in batches]
    accuracy = np.repeat([run.profile.accuracy for run, _ in batches], sizes)
    return InTimeAnswers(
        np.array([ticket.arrival_s for ticket in tickets]),
        accuracy,
        [run.profile.arm.variant for run, kept in batches for _ in kept],
        [ticket.slo_class for ticket in tickets],
    )


def _within(times_s: Floats, from_s: float, until_s: float) -> NDArray[np.bool_]:
    return (times_s >= from_s) & (times_s < until_s)
