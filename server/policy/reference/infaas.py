"""INFaaS (Romero et al., ATC'21): the most accurate variant whose throughput covers the load it observed."""

from collections.abc import Sequence
from dataclasses import dataclass

from server.policy.decision import Arm, ArmProfile, PolicyFactory
from server.policy.reference.planned import BatchRule, peak
from server.policy.reference.planning import ExpectedLoad, periodic

SHARE = 0.5
"""Share of the SLO that a batch may take: who arrives just after one has begun waits it out, and then runs."""
HEADROOM = 1.05
"""How many times the observed load a variant must sustain."""
CALM_PERIODS = 2
"""Periods in a row that must allow a slower variant before it is taken. Kind: the paper waits longer."""


def infaas() -> PolicyFactory:
    """INFaaS's choice of variant and batch, once per period, without its scaling out to more machines.

    A faster variant is taken as soon as the present one does not cover the load; a more accurate, slower one when it
    has done so for CALM_PERIODS. If none covers it, the one of the highest throughput serves.
    """
    return periodic(_Autoscaler().plan)


@dataclass(slots=True)
class _Autoscaler:
    """What it holds on to, and for how many periods a slower variant has been enough."""

    held: Arm | None = None
    calm: int = 0

    def plan(self, arms: Sequence[ArmProfile], load: ExpectedLoad) -> BatchRule:
        peaks = [peak(arm, SHARE * load.slo_s) for arm in arms]
        needed_rps = HEADROOM * load.rate_rps / load.workers
        enough = [
            (choice.profile.accuracy, rps, choice) for rps, choice in peaks if rps >= needed_rps
        ]
        wanted_rps, wanted = max(peaks, key=lambda p: p[0])
        if enough:
            _, wanted_rps, wanted = max(enough, key=lambda e: e[:2])
        held = next((p for p in peaks if p[1].profile.arm == self.held), None)
        slower = held is not None and wanted_rps < held[0]
        self.calm = self.calm + 1 if slower else 0
        if held is not None and slower and self.calm < CALM_PERIODS:
            return held[1]
        self.held, self.calm = wanted.profile.arm, 0
        return wanted
