"""Families that share cores: how long batches take beside others, and that nothing else changes."""

import pytest

from server.policy.dispatch.choose import adaptive
from server.simulator.arrivals import poisson
from server.simulator.engine import SimulatedBatch, simulate, tickets_at
from server.simulator.noise import Noise
from server.simulator.setup import Setup
from server.simulator.together import Tenant, simulate_together
from tests.support.builders import a_profile, three_arms

QUIET = Noise(cv=0.0, outlier_share=0.0)
ARM = a_profile("only", 0.8, 0.010)
ONE_S = ARM.mean_s[1]


def took_s(starts_s: list[float], cores: int) -> list[list[float]]:
    """How long each family's batches are busy, where one request comes to each at these times."""
    found: list[list[float]] = [[] for _ in starts_s]

    def tenant(at_s: float, busy_s: list[float]) -> Tenant:
        def noted(job: SimulatedBatch, now_s: float) -> None:
            assert job.busy_s == pytest.approx(now_s - job.started_s)
            busy_s.append(job.busy_s)

        setup = Setup(9.0, noise=QUIET, follow="profile")
        return Tenant([ARM], adaptive, tickets_at([at_s], 9.0), setup, noted)

    pairs = zip(starts_s, found, strict=True)
    simulate_together([tenant(at_s, busy_s) for at_s, busy_s in pairs], cores)
    return found


def test_two_batches_on_one_core_take_twice_as_long():
    assert took_s([0.0, 0.0], 1) == [[pytest.approx(2 * ONE_S)], [pytest.approx(2 * ONE_S)]]


def test_enough_cores_slow_nobody_down():
    assert took_s([0.0, 0.0, 0.0], 3) == [[pytest.approx(ONE_S)]] * 3


def test_a_batch_is_slow_only_while_another_runs_too():
    first, second = took_s([0.0, 0.5 * ONE_S], 1)

    assert first == [pytest.approx(1.5 * ONE_S)]  # half alone, half at half the speed
    assert second == [pytest.approx(1.5 * ONE_S)]


def test_three_on_two_cores_go_at_two_thirds_of_the_speed():
    assert took_s([0.0, 0.0, 0.0], 2) == [[pytest.approx(1.5 * ONE_S)]] * 3


def test_one_family_alone_is_served_as_by_itself():
    tickets = tickets_at(poisson(200.0, 5.0, 1).tolist(), 0.05)
    setup = Setup(0.05, 2, seed=3)

    (together,) = simulate_together([Tenant(three_arms(), adaptive, tickets, setup)], 2)
    alone = simulate(three_arms(), adaptive, tickets, setup)

    assert together.awg() == alone.awg()
    assert together.variants == alone.variants
    assert together.dropped == alone.dropped
