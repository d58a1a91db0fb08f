"""What time is worth now: how much of it each row can have until the deadlines, and the price that follows from it."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from math import hypot, inf, log2
from typing import NamedTuple

from server.policy.decision import Arm, ArmProfile, Outlook, Terms, Ticket
from server.policy.dispatch.clump_plan import (
    LOAD_SHARE,
    ClumpPlan,
    PlannedClump,
    clump_plan,
    in_step,
)
from server.policy.dispatch.costs import Costs, costs, quickest
from server.policy.dispatch.hull import JointPrices, joint
from server.policy.dispatch.menu import Menu, latencies, menu
from server.policy.dispatch.tuning import Leeway, Tuning, leeway
from server.policy.dispatch.wait_value import WaitValue, wait_value
from server.policy.queueing.tickets import Demand

SLO_RANGE_S = (1e-9, 1e9)
"""Latency bounds outside this range are planned for as if at its ends: no bound of a server's is, and those that are 0,
negative or infinite remain numbers to reckon with."""
LOOK_AHEAD = 128
"""Tickets considered per decision, or two of the largest batches if that is more: bounds a decision's time.

What lies behind them is met as the queue moves.
"""
MOST_KEPT = 1024
"""Mixes whose price curves are kept, and demands."""
STEPS_PER_OCTAVE = 4
"""Tables are made per latency bound, rounded to a quarter of an octave above the least that a row takes, and kept."""


class Pricing(NamedTuple):
    """The terms on which steps are compared.

    `stay` is what a waiting row is worth, `lost` what an unreachable one costs. A batch of mean latency L occupies
    `busy_share * L` of the time the workers share, and `row_s` of that time serves a row at best.
    """

    now_s: float
    affordable_s: float
    price: float
    stay: float
    lost: float
    row_s: float
    busy_share: float
    guard_s: float

    def terms(self, waiting: int, outlook: Outlook) -> Terms:
        """The same for those who ask why."""
        return Terms(waiting, outlook.rate_rps, self.affordable_s, self.price, self.stay)


class Suits(NamedTuple):
    """The arms of `mask` meet a demand, one within `quick_s` (upper estimate) at best.

    Those demands are priced alike whose `like` is the same; where these are many, those whose `nearly` is: of the same
    class, and few or many arms meet them.
    """

    mask: int
    quick_s: float
    like: tuple[int, str]
    nearly: tuple[int, str]


class Serving(NamedTuple):
    """What serving tickets that accept the same arms hangs on."""

    table: Costs
    wait_value: WaitValue
    menu: Menu


@dataclass(frozen=True, slots=True)
class LongRun:
    """What `arms` cost in the long run, whatever a worker ran last, and the tables that follow from it alone."""

    arms: Sequence[ArmProfile]
    costs: dict[tuple[int, int], Costs] = field(default_factory=dict[tuple[int, int], Costs])
    joint: dict[tuple[Costs, ...], JointPrices] = field(
        default_factory=dict[tuple[Costs, ...], JointPrices]
    )
    wait_value: dict[tuple[int, int], WaitValue] = field(
        default_factory=dict[tuple[int, int], WaitValue]
    )
    clump_plans: dict[tuple[int, int], ClumpPlan] = field(
        default_factory=dict[tuple[int, int], ClumpPlan]
    )


class Planner:
    """The tables of one set of arms; they grow by use and never change a result. A mask has bit i set for arm i.

    `long_run`: tables of the same arms at what they cost in the long run, where `arms` is what the next batch costs.
    """

    def __init__(
        self, arms: Sequence[ArmProfile], tuning: Tuning, long_run: LongRun | None = None
    ) -> None:
        self.arms = list(arms)
        self.tuning = tuning
        self.switches = any(arm.switch_s for arm in arms)
        """Whether it makes a difference which arm a worker ran last."""
        self.stalls = max(arm.stalls for arm in arms)
        """How batches stall; all arms are told the same."""
        self._long_run = LongRun(self.arms) if long_run is None else long_run
        self._after: dict[Arm, Planner] = {}
        self.most = max(arm.max_batch for arm in arms)
        self.look = max(LOOK_AHEAD, 2 * self.most)
        self.ordinals = [float(n) for n in range(1, self.look + 1)]
        self._row_s, self._work_s = -1.0, list[float]()
        self._leeway_for, self._leeway = (1.0, 1.0, 1), leeway(tuning, 1, 1.0, 1.0)
        self._lost_weight, self._guard = tuning.lost_weight, tuning.guard
        self.tables = latencies(self.arms)
        self.least_s = min(arm.mean_s[1] for arm in self._long_run.arms)
        """The least time (s) that one row takes."""
        self.all = (1 << len(self.arms)) - 1
        self._floors = sorted({arm.accuracy for arm in arms})
        self._above = [_mask(a.accuracy >= f for a in arms) for f in self._floors] + [0]
        self._pinned = {v: _mask(a.arm.variant == v for a in arms) for v in _variants(arms)}
        self._suits: dict[Demand, Suits] = {}
        self._menus: dict[int, Menu] = {}
        self._served: dict[tuple[int, int], Serving] = {}
        self._quickest: dict[int, list[float]] = {}

    def after(self, last: Arm | None) -> "Planner":
        """The tables for a worker that ran `last` before: its next batch takes longer on any other arm."""
        if last is None or not self.switches:
            return self
        found = self._after.get(last)
        if found is None:
            seen = [arm if arm.arm == last else switched(arm) for arm in self.arms]
            found = self._after[last] = Planner(seen, self.tuning, self._long_run)
        return found

    def mask(self, min_accuracy: float, variant: str | None) -> int:
        """The arms that meet a demand."""
        found = self._above[bisect_left(self._floors, min_accuracy)]
        return found if variant is None else found & self._pinned.get(variant, 0)

    def suits(self, demand: Demand) -> Suits:
        """What answers a demand."""
        found = self._suits.get(demand)
        if found is None:
            if len(self._suits) >= MOST_KEPT:
                self._suits.clear()
            rows, min_accuracy, variant, slo_class = demand
            mask = self.mask(min_accuracy, variant)
            is_many = 2 * mask.bit_count() // (len(self.arms) + 1)
            found = self._suits[demand] = Suits(
                mask, self.quickest_s(mask, rows), (mask, slo_class), (is_many, slo_class)
            )
        return found

    def leeway(self, outlook: Outlook) -> Leeway:
        """What the constants come to now: made anew where what they hang on has changed."""
        clump_rows, burst_rows, workers = outlook.clump_rows, outlook.burst_rows, outlook.workers
        seen = (clump_rows, burst_rows, workers)
        if seen != self._leeway_for:
            self._leeway_for = seen
            self._leeway = leeway(self.tuning, workers, clump_rows, max(clump_rows, burst_rows))
        return self._leeway

    def pricing(  # noqa: PLR0913, PLR0917 - all that terms hang on
        self,
        table: Costs,
        slo_s: float,
        rows: int,
        outlook: Outlook,
        now_s: float,
        first_slo_s: float = inf,
    ) -> Pricing:
        """The terms for serving `rows` waiting rows at the costs of `table`; 0 rows: more wait than can be served.

        `first_slo_s`: the bound of the first, if it is less than the others'.
        """
        workers = outlook.workers
        affordable_s = self.affordable_s(rows, slo_s, outlook) if rows else 0.0
        if outlook.caution:
            affordable_s = table.careful_s(affordable_s, outlook.caution)
        price, vertices = table.prices.at(affordable_s), table.vertices
        stay = -inf
        for vertex in vertices:
            stay = max(stay, vertex.accuracy - price * vertex.cost_s)
        return Pricing(
            now_s,
            affordable_s,
            price,
            stay,
            self._lost_weight * vertices[0].accuracy,
            self.row_s(table, outlook) / workers,
            1.0 / workers,
            self._guard * min(slo_s, first_slo_s),
        )

    def affordable_s(self, rows: int, slo_s: float, outlook: Outlook) -> float:
        """Worker time (s) each row can have, be it for those waiting to be done within the SLO or for the pace to hold.

        The two needs add up as squares: well below its bound, a backlog hardly matters. Of a clump with silence behind
        it the backlog is what the rate is made of, and the larger of the two needs counts, with a margin; and workers
        that have begun on a large one are not there for the rest of it.
        """
        now = self.leeway(outlook)
        backlog_rps, rate_rps = now.backlog * (rows - 1) / slo_s, outlook.rate_rps / now.share
        larger_rps = now.margin * max(backlog_rps, rate_rps)
        needed_rps = larger_rps + now.streaming * (hypot(backlog_rps, rate_rps) - larger_rps)
        if not needed_rps:
            return inf
        return max(outlook.workers - now.gone * outlook.busy_s / slo_s, 1.0) / needed_rps

    def row_s(self, table: Costs, outlook: Outlook) -> float:
        """The least worker time (s) per row, as the shed test plans with."""
        return table.row_s * self.leeway(outlook).row

    def lag_s(self, table: Costs, rows: int, outlook: Outlook) -> float:
        """How much later (s) than the shared work says a row is done: a batch ends as a whole, on one worker.

        `rows` wait, and the workers share them out.
        """
        batch_s, now = table.batch_s, self.leeway(outlook)
        whole_s = batch_s[min(len(batch_s) - 1, -(-rows // outlook.workers))]
        return whole_s * now.lag * now.streaming

    def served(self, mask: int, slo_s: float) -> Serving:
        """The tables for the arms of `mask` (not empty) under about `slo_s`."""
        key = (mask, round(STEPS_PER_OCTAVE * log2(slo_s / self.least_s)))
        found = self._served.get(key)
        if found is None:
            found = Serving(self.costs(mask, slo_s), self.wait_value(mask, slo_s), self.menu(mask))
            self._served[key] = found
        return found

    def work_s(self, row_s: float) -> list[float]:
        """The time (s) that one, two, ... rows take, as many as are looked at."""
        if row_s != self._row_s:
            self._row_s, self._work_s = row_s, [row_s * n for n in self.ordinals]
        return self._work_s

    def costs(self, mask: int, slo_s: float) -> Costs:
        """The table for the arms of `mask` (not empty) under about `slo_s`."""
        key = (mask, round(STEPS_PER_OCTAVE * log2(slo_s / self.least_s)))
        found = self._long_run.costs.get(key)
        if found is None:
            arms = self._subset(mask, self._long_run.arms)
            found = costs(arms, self._planned_s(key[1]), self.tuning.batch_share)
            self._long_run.costs[key] = found
        return found

    def joint(self, tables: tuple[Costs, ...]) -> JointPrices:
        """The price curves of rows that differ, at the costs of each table."""
        found = self._long_run.joint.get(tables)
        if found is None:
            if len(self._long_run.joint) >= MOST_KEPT:
                self._long_run.joint.clear()
            found = self._long_run.joint[tables] = joint([table.prices for table in tables])
        return found

    def wait_value(self, mask: int, slo_s: float) -> WaitValue:
        """What waiting tickets that accept the arms of `mask` (not empty) can still get under about `slo_s`."""
        key = (mask, round(STEPS_PER_OCTAVE * log2(slo_s / self.least_s)))
        found = self._long_run.wait_value.get(key)
        if found is None:
            arms = self._subset(mask, self._long_run.arms)
            found = wait_value(arms, self._planned_s(key[1]), self.tuning.batch_share)
            self._long_run.wait_value[key] = found
        return found

    def planned_clump(
        self, mask: int, slo_s: float, table: Costs, outlook: Outlook
    ) -> PlannedClump | None:
        """The plan for a clump as a whole, at the costs of `table`; None where it does not count."""
        if outlook.boldness <= 0.0 or outlook.clump_rows < self.tuning.clump_rows:
            return None
        weight = in_step(outlook)
        if weight <= 0.0:
            return None
        key = (mask, round(STEPS_PER_OCTAVE * log2(slo_s / self.least_s)))
        found = self._long_run.clump_plans.get(key)
        if found is None:
            found = clump_plan(
                self._subset(mask, self._long_run.arms), self._planned_s(key[1]), self.look
            )
            self._long_run.clump_plans[key] = found
        workers = outlook.workers
        affordable_s = LOAD_SHARE * workers / outlook.rate_rps if outlook.rate_rps else inf
        price = table.prices.at(affordable_s)
        return PlannedClump(found.at(price), price, workers, weight)

    def menu(self, mask: int) -> Menu:
        """The steps that the arms of `mask` (not empty) offer."""
        found = self._menus.get(mask)
        if found is None:
            found = self._menus[mask] = menu(self._subset(mask, self.arms))
        return found

    def quickest_s(self, mask: int, rows: int) -> float:
        """The least time (s, upper estimate) in which an arm of `mask` answers `rows` rows; infinite if none can."""
        found = self._quickest.get(mask)
        if found is None:
            arms = self._subset(mask, self.arms)
            most = max((arm.max_batch for arm in arms), default=0)
            found = self._quickest[mask] = [quickest(arms, b) for b in range(most + 1)]
        return found[rows] if rows < len(found) else inf

    def _planned_s(self, step: int) -> float:
        return self.least_s * 2.0 ** (step / STEPS_PER_OCTAVE)

    def _subset(self, mask: int, arms: Sequence[ArmProfile]) -> list[ArmProfile]:
        return [arm for i, arm in enumerate(arms) if mask >> i & 1]


def switched(arm: ArmProfile) -> ArmProfile:
    """What `arm` costs a worker that ran another before."""
    mean_s, upper_s = (
        (0.0, *[s + arm.switch_s for s in table[1:]]) for table in (arm.mean_s, arm.upper_s)
    )
    return replace(arm, mean_s=mean_s, upper_s=upper_s)


def slo_between(first: Ticket, last: Ticket) -> float:
    """The latency bound (s) to plan with: half-way between those of two tickets."""
    spans = first.deadline_s - first.arrival_s + last.deadline_s - last.arrival_s
    return min(max(0.5 * spans, SLO_RANGE_S[0]), SLO_RANGE_S[1])


def _mask(holds: Iterable[bool]) -> int:
    """Bit i of the mask: whether it holds for arm i."""
    return sum(1 << i for i, is_so in enumerate(holds) if is_so)


def _variants(arms: Sequence[ArmProfile]) -> set[str]:
    return {arm.arm.variant for arm in arms}
