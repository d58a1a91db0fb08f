"""The known profile is wrong at some batch sizes: what the policy delivers by what its batches teach it."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from math import log2

import pytest

from server.policy.decision import ArmProfile
from server.policy.registry import policy
from server.simulator.arrivals import poisson
from server.simulator.engine import simulate, tickets_at
from server.simulator.outcomes import Outcomes
from server.simulator.setup import Follow, Setup
from tests.support.builders import cpu_arms

SLO_S = 0.0472
DURATION_S = 20.0
LEARNT_S = 8.0
"""By then (s) it should have found out."""
SEEDS = (11, 12, 13)

Wrong = Callable[[int], float]
"""Batch size -> what the known profile says over what is true."""


def dear_large(rows: int) -> float:
    """Right for one row, a third too much from 8 rows on."""
    return 1.0 + min(1.0, log2(rows) / 3.0) / 3.0


def cheap_large(rows: int) -> float:
    """Right for one row, a quarter too little from 8 rows on."""
    return 1.0 - 0.25 * min(1.0, log2(rows) / 3.0)


def known_as(wrong: Wrong, arms: Sequence[ArmProfile]) -> list[ArmProfile]:
    return [
        replace(arm, mean_s=_by(wrong, arm.mean_s), upper_s=_by(wrong, arm.upper_s)) for arm in arms
    ]


def _by(wrong: Wrong, table_s: Sequence[float]) -> tuple[float, ...]:
    return (0.0, *(wrong(rows) * s for rows, s in enumerate(table_s[1:], start=1)))


@cache
def runs(wrong: Wrong | None, follow: Follow, rate_rps: float) -> Sequence[Outcomes]:
    true = cpu_arms()
    known = known_as(wrong, true) if wrong else true
    promised = 0.0 if follow == "profile" else 0.99  # a promise would have it learn, if only care
    return [
        simulate(
            known,
            policy("adaptive"),
            tickets_at(poisson(rate_rps, DURATION_S, seed).tolist(), SLO_S),
            Setup(SLO_S, seed=seed, follow=follow, percentile=promised),
            true,
        )
        for seed in SEEDS
    ]


def awg(found: Sequence[Outcomes]) -> float:
    return sum(o.awg(LEARNT_S, DURATION_S) for o in found) / len(found)


@pytest.mark.parametrize("rate_rps", [130.0, 270.0, 380.0])
def test_sizes_that_cost_more_than_known_soon_cost_next_to_nothing(rate_rps: float):
    learnt, right = runs(cheap_large, "measured", rate_rps), runs(None, "measured", rate_rps)

    assert awg(learnt) >= awg(right) - 0.006


@pytest.mark.parametrize("rate_rps", [130.0, 270.0, 380.0])
def test_sizes_thought_too_dear_to_try_cost_no_more_than_without_learning(rate_rps: float):
    learnt, unlearnt = runs(dear_large, "measured", rate_rps), runs(dear_large, "profile", rate_rps)

    assert awg(learnt) >= awg(unlearnt) - 0.002


def test_without_learning_such_a_profile_costs_dearly():
    assert awg(runs(cheap_large, "profile", 380.0)) < awg(runs(None, "profile", 380.0)) - 0.04
