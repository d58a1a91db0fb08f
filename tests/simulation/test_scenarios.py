"""What the policy delivers over a minute or so of load, by the simulator, under fixed seeds."""

from collections.abc import Sequence

import pytest

from server.policy.registry import policy
from server.simulator.arrivals import poisson, steps
from server.simulator.engine import Setup, simulate, tickets_at
from server.simulator.noise import Noise, Spell
from server.simulator.outcomes import Outcomes
from tests.support.builders import a_profile, cpu_arms

SLO_S = 0.0472  # four times the largest variant's time for one row
LARGEST_RPS = 85.0  # what the largest can carry
SMALLEST_RPS = 400.0  # what the smallest can, one by one
SMALLEST_BATCHED_RPS = 440.0  # and in batches
STATICS = ("mobilenet-int8", "lite0-int8", "lite1-int8", "lite2-int8", "lite2-fp32")


def served(name: str, times_s: Sequence[float], setup: Setup | None = None) -> Outcomes:
    return simulate(
        cpu_arms(), policy(name), tickets_at(times_s, SLO_S), setup or Setup(SLO_S, seed=7)
    )


def at_rate(name: str, rate_rps: float, duration_s: float = 20.0) -> Outcomes:
    return served(name, poisson(rate_rps, duration_s, seed=3).tolist())


@pytest.mark.parametrize("rate_rps", [42, 85, 130, 200, 270, 340, 400, 480])
def test_it_delivers_what_the_best_fixed_choice_does_without_knowing_the_load(rate_rps: float):
    best = max(at_rate(f"static:{name}", rate_rps).awg() for name in STATICS)

    assert at_rate("adaptive", rate_rps).awg() >= best - 0.003


@pytest.mark.parametrize(
    ("variant", "rate_rps"), [("lite2-fp32", 110), ("lite2-int8", 260), ("lite1-int8", 340)]
)
def test_beyond_a_fixed_choices_capacity_it_is_far_ahead_of_it(variant: str, rate_rps: float):
    gain = at_rate("adaptive", rate_rps).awg() - at_rate(f"static:{variant}", rate_rps).awg()

    assert gain >= 0.05


@pytest.mark.parametrize("rate_rps", [42, 130, 270, 340])
def test_what_the_smallest_can_hold_is_answered_in_time(rate_rps: float):
    assert at_rate("adaptive", rate_rps).attainment() >= 0.99


@pytest.mark.parametrize("overload", [1.2, 2.0, 5.0])
def test_overload_costs_its_share_and_no_more(overload: float):
    rate_rps = overload * SMALLEST_BATCHED_RPS

    outcomes = at_rate("adaptive", rate_rps, 10.0)

    assert outcomes.awg() >= 0.9 * 0.714 / overload
    assert outcomes.late <= 0.01 * sum(s.offered for s in outcomes.seconds.values())


def test_when_the_load_quadruples_it_is_back_in_time_within_a_second():
    times = steps([(0.5 * SMALLEST_RPS * 0.4, 10.0), (2.0 * SMALLEST_RPS * 0.4, 10.0)], seed=5)

    outcomes = served("adaptive", times.tolist())

    assert outcomes.attainment(0, 10) >= 0.99
    assert outcomes.attainment(11, 20) >= 0.99


def test_when_the_machine_is_slow_for_a_while_it_recovers():
    setup = Setup(SLO_S, spell=Spell(5.0, 10.0, 2.0), seed=7)

    outcomes = served("adaptive", poisson(120, 15.0, seed=3).tolist(), setup)

    assert outcomes.attainment(11, 15) >= 0.99


def test_a_noisy_machine_does_not_upset_it():
    noise = Noise(cv=0.10, outlier_share=0.01, outlier_factor=2.0, overhead_s=0.0003)

    outcomes = served(
        "adaptive", poisson(200, 20.0, seed=3).tolist(), Setup(SLO_S, noise=noise, seed=7)
    )

    assert outcomes.attainment() >= 0.99


def test_where_batches_are_nearly_free_it_serves_many_times_the_single_rate():
    arms = [a_profile("tiny", first_s=0.001, more_s=0.00002, max_batch=64)]
    times = poisson(8000, 3.0, seed=1).tolist()

    outcomes = simulate(arms, policy("adaptive"), tickets_at(times, 0.02), Setup(0.02, seed=1))

    assert outcomes.attainment() >= 0.999


def test_four_workers_carry_four_times_the_load():
    setup = Setup(SLO_S, workers=4, seed=7)

    outcomes = served("adaptive", poisson(1280, 5.0, seed=3).tolist(), setup)

    assert outcomes.attainment() >= 0.99


def test_the_same_seed_gives_the_same_outcome():
    first, again = (at_rate("adaptive", 300, 5.0).report() for _ in range(2))

    assert {k: v for k, v in first.items() if "decision" not in k} == {
        k: v for k, v in again.items() if "decision" not in k
    }


def test_every_request_is_accounted_for_once():
    outcomes = at_rate("adaptive", 600, 5.0)

    offered = sum(s.offered for s in outcomes.seconds.values())
    in_time = sum(s.in_time for s in outcomes.seconds.values())
    assert offered == in_time + outcomes.late + outcomes.dropped.total()
