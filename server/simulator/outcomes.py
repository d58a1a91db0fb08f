"""What became of every request: counts, a second-by-second timeline, decision times, and the report made of them."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from server.policy.decision import Run, Ticket


@dataclass(slots=True)
class Second:
    """Requests by the second (of the run) they arrived in."""

    offered: int = 0
    in_time: int = 0
    accuracy: float = 0.0


@dataclass(slots=True)
class Outcomes:
    """A tally. `late` counts answers past the deadline, `dropped` what never ran, `variants` answers in time."""

    late: int = 0
    dropped: Counter[str] = field(default_factory=Counter[str])
    variants: Counter[str] = field(default_factory=Counter[str])
    batches: Counter[int] = field(default_factory=Counter[int])
    seconds: dict[int, Second] = field(default_factory=dict[int, Second])
    decisions_s: list[float] = field(default_factory=list[float])

    def offered(self, ticket: Ticket) -> None:
        """Count an arrival."""
        self._second(ticket).offered += 1

    def refused(self, ticket: Ticket, reason: str) -> None:
        """Count a ticket that will never run."""
        self._second(ticket)
        self.dropped[reason] += 1

    def answered(self, run: Run, now_s: float) -> None:
        """Count a batch that finished at `now_s`."""
        self.batches[run.rows] += 1
        accuracy = run.arm.accuracy
        for ticket in run.tickets:
            if ticket.deadline_s < now_s:
                self.late += 1
                continue
            second = self._second(ticket)
            second.in_time += 1
            second.accuracy += accuracy
            self.variants[run.arm.arm.variant] += 1

    def decided(self, took_s: float) -> None:
        """Note how long one decision took."""
        self.decisions_s.append(took_s)

    def attainment(self, from_s: float = 0.0, until_s: float = float("inf")) -> float:
        """Answered in time / offered, of the requests that arrived in whole seconds within the span."""
        within = self._within(from_s, until_s)
        return _ratio(sum(s.in_time for s in within), sum(s.offered for s in within))

    def awg(self, from_s: float = 0.0, until_s: float = float("inf")) -> float:
        """Accuracy-weighted goodput: the sum of accuracy over answers in time / offered."""
        within = self._within(from_s, until_s)
        return _ratio(sum(s.accuracy for s in within), sum(s.offered for s in within))

    def effective_accuracy(self) -> float:
        """Mean accuracy of the answers in time; 0 if there were none."""
        within = self._within(0.0, float("inf"))
        return _ratio(sum(s.accuracy for s in within), sum(s.in_time for s in within), 0.0)

    def report(self) -> dict[str, object]:
        """The figures as plain values for JSON."""
        took = sorted(self.decisions_s)
        return {
            "offered": sum(s.offered for s in self.seconds.values()),
            "attainment": self.attainment(),
            "effective_accuracy": self.effective_accuracy(),
            "awg": self.awg(),
            "dropped": dict(self.dropped),
            "late": self.late,
            "decision_us_p50": 1e6 * _quantile(took, 0.50),
            "decision_us_p99": 1e6 * _quantile(took, 0.99),
            "variants": dict(self.variants),
            "timeline": [
                {
                    "second": at,
                    "offered": s.offered,
                    "attainment": _ratio(s.in_time, s.offered),
                    "effective_accuracy": _ratio(s.accuracy, s.in_time, 0.0),
                }
                for at, s in sorted(self.seconds.items())
            ],
        }

    def _second(self, ticket: Ticket) -> Second:
        at = int(ticket.arrival_s)
        found = self.seconds.get(at)
        if found is None:
            found = self.seconds[at] = Second()
        return found

    def _within(self, from_s: float, until_s: float) -> list[Second]:
        return [s for at, s in self.seconds.items() if from_s <= at < until_s]


def _ratio(part: float, whole: float, otherwise: float = 1.0) -> float:
    return part / whole if whole else otherwise


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0
