"""Proteus (Ahmad et al., ASPLOS'24): a mixed-integer programme shares the demand out, workers batch proactively."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from server.policy.decision import (
    Arm,
    ArmProfile,
    Decision,
    Outlook,
    Policy,
    PolicyFactory,
    Run,
    Ticket,
)
from server.policy.reference.planned import BatchRule, peak, serve_planned
from server.policy.reference.planning import ExpectedLoad, LoadMeter

SHARE = 0.5
"""Share of the SLO that a batch may take: who arrives just after one has begun waits it out, and then runs."""
HEADROOM = 1.1
"""How many times the observed demand is planned for. Kind: 1.05 in the paper, which does worse on bursts."""
HOSTING = 1e-6
"""What hosting an arm on one more worker costs the objective (accuracy x rows/s): nothing, but ties are settled."""

LEAST = 1e-3
"""An answer is worth at least this: a variant whose accuracy is not known is still to be served."""
LEAST_RPS = 1e-6
"""Less than this is rounding, not a part in the plan."""


@dataclass(frozen=True, slots=True)
class Part:
    """An arm's part in a plan: its batches' most rows, and the share of all rows that it serves."""

    arm: Arm
    rows: int
    share: float


@dataclass(slots=True)
class _Memory:
    """The plan in force, the load it was made for, and the rows each arm is behind its share."""

    load: ExpectedLoad | None = None
    plan: list[Part] = field(default_factory=list[Part])
    credit: dict[Arm, float] = field(default_factory=dict[Arm, float])

    def begin(self, load: ExpectedLoad, plan: list[Part]) -> None:
        self.load, self.plan = load, plan
        self.credit = dict.fromkeys((part.arm for part in plan), 0.0)

    def ran(self, arm: Arm, rows: int) -> None:
        if arm in self.credit:
            self.credit[arm] -= rows
            for part in self.plan:
                self.credit[part.arm] += part.share * rows


def proteus(patient: bool = True) -> PolicyFactory:
    """Plans the arms that the workers host and how much each serves, every second (the paper: tens of seconds).

    One queue feeds workers that all can run all arms, so the plan is kept by the rows of each arm rather than by place:
    a deficit round robin. `patient`: a batch that is not full waits as long as its first deadline allows, as in the
    paper; else none waits.
    """
    meter, memory = LoadMeter(), _Memory()

    def build(arms: Sequence[ArmProfile]) -> Policy:
        known = {arm.arm: arm for arm in arms}

        def choose(near: Sequence[Ticket], outlook: Outlook, now_s: float) -> BatchRule:
            load = meter.load(near[0], outlook, now_s)
            if load is not memory.load or not memory.credit.keys() <= known.keys():
                memory.begin(load, shared_out(arms, load))
            part = max(memory.plan, key=lambda p: (memory.credit[p.arm], p.share))
            return BatchRule(known[part.arm], part.rows, patient=patient)

        serve = serve_planned(arms, choose)

        def decide(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
            decision = serve(tickets, outlook, now_s)
            if isinstance(decision, Run):
                memory.ran(decision.profile.arm, decision.rows)
            return decision

        return decide

    return build


def shared_out(arms: Sequence[ArmProfile], load: ExpectedLoad) -> list[Part]:
    """The plan of most accuracy-weighted goodput, by HiGHS; the shares sum to 1.

    Variables: rows/s served by each arm, and workers that host it. An arm serves no more than its hosts can at their
    peak; there are `load.workers` hosts; all arms together serve no more than the demand.
    """
    from scipy.optimize import Bounds, LinearConstraint, milp  # noqa: PLC0415 - slow to import

    peaks = [peak(arm, SHARE * load.slo_s) for arm in arms]
    count, none = len(arms), np.zeros(len(arms))
    each = np.hstack((np.eye(count), -np.diag([rps for rps, _ in peaks])))
    limits = np.vstack((each, np.concatenate((none, none + 1)), np.concatenate((none + 1, none))))
    demand_rps = HEADROOM * max(load.rate_rps, 1.0)
    most: Any = np.concatenate((none, [load.workers, demand_rps]))  # scipy's stubs know only floats
    worth = np.concatenate(([-max(arm.accuracy, LEAST) for arm in arms], none + HOSTING))
    solved = milp(
        worth,
        constraints=LinearConstraint(limits, -np.inf, most),
        integrality=np.concatenate((none, none + 1)),
        bounds=Bounds(0.0, np.inf),
    )
    if solved.x is None:
        raise ValueError(f"no plan for {load} on {count} arms: {solved.message}")
    served = np.maximum(0.0, solved.x[:count])
    return [
        Part(choice.profile.arm, choice.rows, float(rps / served.sum()))
        for rps, (_, choice) in zip(served, peaks, strict=True)
        if rps > LEAST_RPS
    ]
