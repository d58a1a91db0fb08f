"""A problem in another unit of time, no power of two of it: sums round otherwise, what is delivered is the same."""

import pytest

from server.policy.registry import policy
from server.simulator.arrivals import Times, clumped, poisson
from server.simulator.engine import tickets_at
from server.simulator.noise import Noise, Spell, Stall
from server.simulator.setup import Setup
from tests.support.builders import cpu_arms
from tests.support.scaling import served

SLO_S = 0.036
DURATION_S = 15.0
STEADY = poisson(110.0, DURATION_S, 11)
BURSTY = clumped(130.0, DURATION_S, 8.0, 0.25, 11)
STALLING = Noise(stalls=(Stall(0.01, 5.0), Stall(0.005, 4.0)))
SLOW = Spell(4.0, 9.0, 3.0, "mobilenet-int8")


@pytest.mark.parametrize(
    ("times", "noise", "spell", "slo_s"),
    [
        (STEADY, STALLING, Spell(), 0.5),
        (BURSTY, Noise(), Spell(), 0.5),
        (STEADY, Noise(), SLOW, 0.0052),
    ],
    ids=["stalls", "bursts", "a slow arm"],
)
def test_a_bound_of_another_length_is_kept_as_well(
    times: Times, noise: Noise, spell: Spell, slo_s: float
):
    tickets = tickets_at(times.tolist(), SLO_S)
    setup = Setup(SLO_S, noise=noise, spell=spell, seed=11)

    _, ours = served(cpu_arms(), policy("adaptive"), tickets, setup)
    _, others = served(cpu_arms(), policy("adaptive"), tickets, setup, slo_s / SLO_S)

    assert others.attainment() == pytest.approx(ours.attainment(), abs=1e-3)
    assert others.awg() == pytest.approx(ours.awg(), abs=1e-3)
