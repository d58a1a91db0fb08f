"""The arrival forecast: steady rates, bursts, noise and silence."""

import numpy as np
from numpy.typing import NDArray

from server.policy.forecast import Arrivals, clump_rows, observe, rate_rps
from server.simulator.arrivals import clumped, poisson


def fed(times_s: NDArray[np.float64], rows: int = 1) -> Arrivals:
    seen = Arrivals()
    for at_s in times_s:
        seen = observe(seen, rows, float(at_s))
    return seen


def test_a_steady_stream_is_forecast_at_its_rate():
    assert abs(rate_rps(fed(np.arange(0, 10, 0.01)), 10.0) / 100 - 1) < 0.02


def test_rows_count_not_requests():
    assert abs(rate_rps(fed(np.arange(0, 10, 0.01), rows=4), 10.0) / 400 - 1) < 0.02


def test_a_burst_is_seen_within_half_a_second():
    times = np.concatenate([np.arange(0, 10, 0.01), np.arange(10, 10.5, 0.0025)])

    assert rate_rps(fed(times), 10.5) > 250


def test_a_lull_is_seen_within_a_second():
    times = np.concatenate([np.arange(0, 10, 0.0025), np.arange(10, 11, 0.01)])

    assert rate_rps(fed(times), 11.0) < 200


def test_poisson_noise_hardly_moves_the_forecast():
    rng = np.random.default_rng(1)
    seen, forecasts = Arrivals(), []
    for at_s in np.cumsum(rng.exponential(1 / 200, 4000)):
        seen = observe(seen, 1, float(at_s))
        forecasts.append(rate_rps(seen, seen.at_s))

    assert np.std(forecasts[2000:]) < 20
    assert abs(np.mean(forecasts[2000:]) - 200) < 10


def test_silence_fades_the_forecast_away():
    seen = fed(np.arange(0, 10, 0.01))

    assert rate_rps(seen, 12.0) < 40
    assert rate_rps(seen, 30.0) < 5


def test_nothing_seen_is_nothing_expected_and_a_clock_may_step_back():
    seen = observe(Arrivals(5.0), 1, 4.0)

    assert rate_rps(Arrivals(), 3.0) == 0.0
    assert seen.at_s == 5.0


def test_independent_arrivals_come_one_at_a_time():
    assert clump_rows(fed(poisson(300.0, 20.0, seed=1))) < 1.25


def test_before_enough_is_seen_arrivals_are_held_to_be_independent():
    assert clump_rows(fed(np.repeat(np.arange(0.0, 0.5, 0.1), 10))) == 1.0


def test_rows_that_come_together_are_counted_together():
    together = np.repeat(poisson(40.0, 20.0, seed=1), 9)  # 9 at once: variance 9 times the mean

    assert 4.0 < clump_rows(fed(together)) < 6.5


def test_a_bursty_stream_comes_in_clumps():
    assert clump_rows(fed(clumped(300.0, 20.0, 8.0, 0.25, seed=1))) > 1.8


def test_a_rate_that_drifts_is_no_clump():
    drifting = np.sqrt(poisson(300.0, 20.0, seed=1) * 20.0)  # from 0 to twice the mean rate

    assert clump_rows(fed(drifting)) < 1.3


def test_clumps_are_forgotten_in_a_long_silence():
    seen = fed(np.repeat(poisson(40.0, 10.0, seed=1), 9))

    later = fed_more(seen, 1000.0 + poisson(300.0, 10.0, seed=2))

    assert clump_rows(later) < 1.3


def fed_more(seen: Arrivals, times_s: NDArray[np.float64]) -> Arrivals:
    for at_s in times_s:
        seen = observe(seen, 1, float(at_s))
    return seen
