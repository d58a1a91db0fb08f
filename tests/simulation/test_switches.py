"""Where a batch on another arm than its worker's last takes longer: that is found out, and fewer are run."""

from collections.abc import Sequence
from functools import cache
from statistics import mean

import pytest

from server.policy.decision import ArmProfile, Policy
from server.policy.dispatch.choose import adaptive
from server.policy.registry import policy
from server.simulator.arrivals import poisson
from server.simulator.engine import simulate, tickets_at
from server.simulator.outcomes import Outcomes
from server.simulator.setup import Follow, Setup, Switching
from tests.support.builders import a_profile

SLO_S, WORKERS, RATE_RPS = 0.036, 4, 1400.0
ARMS = [
    a_profile("b0", 0.771, 0.0039, 0.0010),
    a_profile("b3", 0.816, 0.0066, 0.0010),
    a_profile("b4", 0.829, 0.0088, 0.0016),
    a_profile("b6", 0.840, 0.0118, 0.0028),
]
"""Like a small GPU: further rows are cheap."""


@cache
def served(
    switch_s: float,
    follow: Follow = "measured",
    name: str = "adaptive",
    workers: int = WORKERS,
    seed: int = 11,
) -> tuple[Outcomes, tuple[float, ...]]:
    """(what became of 10 s of requests, what a switch was believed to cost each time that the policy was told)."""
    believed: list[float] = []

    def build(arms: Sequence[ArmProfile]) -> Policy:
        believed.append(arms[0].switch_s)
        return adaptive(arms) if name == "adaptive" else policy(name)(arms)

    times_s = poisson(RATE_RPS * workers / WORKERS, 10.0, seed).tolist()
    switching = Switching(switch_s)
    setup = Setup(SLO_S, workers, seed=seed, follow=follow, switching=switching)
    return simulate(ARMS, build, tickets_at(times_s, SLO_S), setup), tuple(believed)


@pytest.mark.parametrize("workers", [1, 4])
def test_where_switches_cost_nothing_none_is_ever_believed_to(workers: int):
    _, believed = served(0.0, workers=workers)

    assert set(believed) == {0.0}


def test_what_a_switch_costs_is_found_out():
    found = [served(0.003, seed=seed)[1][-1] for seed in (11, 12, 13)]

    assert mean(found) == pytest.approx(0.003, rel=0.15)


def test_fewer_switches_are_made_where_they_cost_time_and_more_is_earned():
    earned: list[float] = []
    for seed in (11, 12, 13):  # of ten seconds each: what caution costs at the start differs
        knowing, _ = served(0.003, seed=seed)
        unaware, _ = served(0.003, "profile", seed=seed)
        earned.append(knowing.awg(2.0) - unaware.awg(2.0))

        assert knowing.switches < 0.5 * unaware.switches
    assert mean(earned) > 0.003


@pytest.mark.parametrize("switch_s", [0.001, 0.003])
def test_no_fixed_variant_is_far_ahead_where_switches_cost_time(switch_s: float):
    ours, _ = served(switch_s)
    fixed = [served(0.0, "profile", f"static:{arm.arm.variant}")[0].awg(2.0) for arm in ARMS[1:3]]

    assert ours.awg(2.0) >= max(fixed) - 0.003
