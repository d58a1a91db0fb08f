"""What the planners share: a period's measured load, plans kept for a period, and tables made beforehand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, inf, log
from typing import Generic, TypeVar

from server.policy.decision import Arm, ArmProfile, Outlook, Policy, PolicyFactory, Ticket
from server.policy.reference.planned import BatchRule, serve_planned

PERIOD_S = 1.0
"""How long the rate is measured before the next plan. Kind: the papers plan every few seconds to tens of seconds. By
the clock, as they do, whatever the SLO: a plan takes its solver a while."""
FIRST_S = 0.1
"""The first plan is made anew after this long, and then at every doubling until a whole period has passed."""
STEP = 1.1
"""Tables are made for rates this many times apart, and used for those down to the one before."""
ALIKE = 0.1
"""Tables made beforehand hold until some latency has moved by this share."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ExpectedLoad:
    """What to plan for: arrivals (rows/s) of the last period, workers, and the latency bound (s) of the head."""

    rate_rps: float
    workers: int
    slo_s: float


class LoadMeter:
    """Measures the load period by period. Part of a factory's memory."""

    def __init__(self) -> None:
        self._began_s = self._since_s = self._due_s = inf
        self._arrived = 0
        self._load = ExpectedLoad(0.0, 1, inf)

    def load(self, head: Ticket, outlook: Outlook, now_s: float) -> ExpectedLoad:
        """The load to plan for: the same object until a period has ended, then a new one.

        The rate of the very first is the shell's forecast, and so is that of the first after a clock stepped back.
        """
        if self._since_s <= now_s < self._due_s:
            return self._load
        rate_rps = outlook.rate_rps
        if now_s < self._since_s:
            self._began_s = now_s
        else:
            rate_rps = max(0, outlook.arrived - self._arrived) / (now_s - self._since_s)
        span_s = min(PERIOD_S, max(FIRST_S, now_s - self._began_s))
        self._since_s, self._due_s, self._arrived = now_s, now_s + span_s, outlook.arrived
        self._load = ExpectedLoad(rate_rps, outlook.workers, head.deadline_s - head.arrival_s)
        return self._load


class Offline(Generic[T]):
    """Tables by load, each made by `make` when first needed, for the next rate of a geometric grid."""

    def __init__(self, make: Callable[[Sequence[ArmProfile], ExpectedLoad], T]) -> None:
        self._make = make
        self._arms: dict[Arm, ArmProfile] = {}
        self._known: dict[ExpectedLoad, T] = {}

    def at(self, arms: Sequence[ArmProfile], load: ExpectedLoad) -> T:
        """The table for `load`, as made for these arms or for ones much like them.

        Its arms are those it was made for: look them up by name.
        """
        if len(arms) != len(self._arms) or not all(self._alike(arm) for arm in arms):
            self._arms = {arm.arm: arm for arm in arms}
            self._known.clear()
        rate_rps = STEP ** ceil(log(max(load.rate_rps, 1.0), STEP))
        key = ExpectedLoad(rate_rps, load.workers, float(f"{load.slo_s:.4g}"))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._make(arms, key)
        return found

    def _alike(self, arm: ArmProfile) -> bool:
        old = self._arms.get(arm.arm)
        if old is None or old.accuracy != arm.accuracy or old.max_batch != arm.max_batch:
            return False
        pairs = zip(old.mean_s, arm.mean_s, strict=True)
        return all(abs(new_s - old_s) <= ALIKE * old_s for old_s, new_s in pairs)


@dataclass(slots=True)
class _Kept:
    load: ExpectedLoad
    choice: BatchRule


def periodic(plan: Callable[[Sequence[ArmProfile], ExpectedLoad], BatchRule]) -> PolicyFactory:
    """A factory whose policies run what `plan` chose at the beginning of the period, whatever comes during it."""
    meter, kept = LoadMeter(), list[_Kept]()

    def build(arms: Sequence[ArmProfile]) -> Policy:
        known = {arm.arm: arm for arm in arms}

        def choose(near: Sequence[Ticket], outlook: Outlook, now_s: float) -> BatchRule:
            load = meter.load(near[0], outlook, now_s)
            if not kept or kept[0].load is not load or kept[0].choice.profile.arm not in known:
                kept[:] = [_Kept(load, plan(arms, load))]
            choice = kept[0].choice
            return BatchRule(known[choice.profile.arm], choice.rows)

        return serve_planned(arms, choose)

    return build
