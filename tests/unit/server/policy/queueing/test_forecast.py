"""What arrives: rates, and clumps told from bursts."""

import random

import pytest

from server.policy.queueing.forecast import Arrivals, burst_rows, clump_rows, observe, rate_rps

SLO_S = 0.04


def after(times_s: list[float], rows: int = 1, scale: float = 1.0) -> Arrivals:
    seen = Arrivals(SLO_S * scale)
    for at_s in times_s:
        seen = observe(seen, rows, at_s * scale)
    return seen


def poisson(rate_rps: float, until_s: float, seed: int = 1, from_s: float = 0.0) -> list[float]:
    rng, times, at_s = random.Random(seed), list[float](), from_s
    while (at_s := at_s + rng.expovariate(rate_rps)) < until_s:
        times.append(at_s)
    return times


def in_step(cameras: int, every_s: float, until_s: float) -> list[float]:
    rng = random.Random(2)
    frames = [i * every_s for i in range(round(until_s / every_s))]
    return sorted(at_s + rng.uniform(0.0, 2e-4) for at_s in frames for _ in range(cameras))


def test_independent_arrivals_are_neither_clump_nor_burst():
    seen = after(poisson(400.0, 30.0))

    assert rate_rps(seen, 30.0) == pytest.approx(400.0, rel=0.15)
    assert clump_rows(seen) < 1.3
    assert burst_rows(seen) < 1.3


def test_what_comes_in_step_is_a_clump():
    assert clump_rows(after(in_step(14, 1.0 / 30.0, 30.0))) == pytest.approx(7.5, rel=0.15)


def test_a_rate_that_changes_is_a_burst_and_no_clump():
    rng = random.Random(3)
    times = [
        at_s
        for i in range(150)
        for at_s in poisson(rng.choice((40.0, 1600.0)), 0.2 * (i + 1), seed=i, from_s=0.2 * i)
    ]
    seen = after(times)

    assert clump_rows(seen) < 1.6
    assert burst_rows(seen) > 3.0


def test_a_few_large_requests_are_no_clump():
    times = sorted([*poisson(200.0, 20.0), *(float(i) for i in range(20))])
    seen = Arrivals(SLO_S)
    for at_s in times:
        seen = observe(seen, 32 if at_s == int(at_s) else 1, at_s)

    assert clump_rows(seen) < 1.3


def test_times_follow_the_latency_bound():
    times = [*poisson(300.0, 5.0), *in_step(6, 0.05, 5.0)]
    times.sort()
    plain, slow = after(times), after(times, scale=8.0)

    assert clump_rows(slow) == clump_rows(plain)
    assert burst_rows(slow) == burst_rows(plain)
    assert rate_rps(slow, 40.0) == rate_rps(plain, 5.0) / 8.0
