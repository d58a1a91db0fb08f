"""What time is worth now: how much of it each row can have until the deadlines, and the price that follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import hypot, inf, log2

from server.policy.costs import Costs, costs, grid, quickest, undominated
from server.policy.decision import ArmProfile, Outlook
from server.policy.tuning import Tuning
from server.policy.waiting import Waiting

SLO_RANGE_S = (1e-4, 10.0)
"""Latency bounds outside this range are planned for as if at its ends."""
STEPS_PER_OCTAVE = 4
"""Tables are made per latency bound, rounded to a quarter of an octave, and kept."""

Choices = list[tuple[ArmProfile, tuple[int, ...]]]
"""Arms worth considering, each with the batch sizes (rows) to try."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The terms on which steps are compared.

    `stay` is what a waiting row is worth, `lost` what an unreachable one costs. A batch of mean latency L occupies
    `busy_share * L` of the time the workers share, and `row_s` of that time serves a row at best.
    """

    now_s: float
    price: float
    stay: float
    lost: float
    row_s: float
    busy_share: float
    guard_s: float


class Planner:
    """The tables of one set of arms; they grow by use and never change a result."""

    def __init__(self, arms: Sequence[ArmProfile], tuning: Tuning) -> None:
        self.arms = list(arms)
        self.tuning = tuning
        self._costs: dict[tuple[int, int], Costs] = {}
        self._choices: dict[int, Choices] = {}
        self._quickest: dict[int, list[float]] = {}

    def plan(self, view: Waiting, first: int, outlook: Outlook, now_s: float) -> Plan:
        """The terms for serving the tickets of `view` from index `first` on."""
        tuning, workers = self.tuning, outlook.workers
        slo_s = _slo(view)
        table = self.costs(view.masks[first], slo_s)
        rows = view.ends[len(view.tickets)] - view.ends[first]
        price = table.prices.at(0.0 if first else self._affordable_s(rows, slo_s, outlook))
        return Plan(
            now_s=now_s,
            price=price,
            stay=max(v.accuracy - price * v.cost_s for v in table.vertices),
            lost=tuning.lost_weight * table.vertices[0].accuracy,
            row_s=self.row_s(view, view.masks[first]) / workers,
            busy_share=1.0 / workers,
            guard_s=tuning.guard * slo_s,
        )

    def _affordable_s(self, rows: int, slo_s: float, outlook: Outlook) -> float:
        """Worker time (s) each row can have, be it for those waiting to be done within the SLO or for the pace to hold.

        The two needs add up as squares: well below its bound, a backlog hardly matters.
        """
        behind_rps = self.tuning.backlog_weight * (rows - 1) / slo_s
        needed_rps = hypot(behind_rps, outlook.rate_rps / self.tuning.load_share)
        return outlook.workers / needed_rps if needed_rps else inf

    def row_s(self, view: Waiting, mask: int) -> float:
        """The least worker time (s) per row on the arms of `mask`, as the shed test plans with."""
        return self.costs(mask, _slo(view)).row_s * self.tuning.shed_cost

    def lag_s(self, view: Waiting, workers: int) -> float:
        """How much later (s) than the shared work says a row is done: a batch ends as a whole, on one worker."""
        batch_s = self.costs(view.masks[0], _slo(view)).batch_s
        rows = min(len(batch_s) - 1, view.ends[len(view.tickets)])
        return batch_s[rows] * (1.0 - (1.0 - self.tuning.lag) / workers)

    def costs(self, mask: int, slo_s: float) -> Costs:
        """The table for the arms of `mask` (not empty) under about `slo_s`."""
        step = round(STEPS_PER_OCTAVE * log2(slo_s))
        found = self._costs.get((mask, step))
        if found is None:
            found = costs(
                self._subset(mask), 2.0 ** (step / STEPS_PER_OCTAVE), self.tuning.batch_share
            )
            self._costs[mask, step] = found
        return found

    def choices(self, mask: int) -> Choices:
        """The arms of `mask` that no other of them beats."""
        found = self._choices.get(mask)
        if found is None:
            found = [(arm, grid(arm)) for arm in undominated(self._subset(mask))]
            self._choices[mask] = found
        return found

    def quickest_s(self, mask: int, rows: int) -> float:
        """The least time (s, upper estimate) in which an arm of `mask` answers `rows` rows; infinite if none can."""
        found = self._quickest.get(mask)
        if found is None:
            arms = self._subset(mask)
            most = max((arm.max_batch for arm in arms), default=0)
            found = [quickest(arms, b) for b in range(most + 1)]
            self._quickest[mask] = found
        return found[rows] if rows < len(found) else inf

    def _subset(self, mask: int) -> list[ArmProfile]:
        return [arm for i, arm in enumerate(self.arms) if mask >> i & 1]


def _slo(view: Waiting) -> float:
    """The latency bound (s) to plan with: half-way between those of the first and the last ticket."""
    first, last = view.tickets[0], view.tickets[-1]
    spans = first.deadline_s - first.arrival_s + last.deadline_s - last.arrival_s
    return min(max(0.5 * spans, SLO_RANGE_S[0]), SLO_RANGE_S[1])
