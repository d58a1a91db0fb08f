"""Seeded arrival streams for the simulator: rates, burstiness, and what a recording keeps."""

import numpy as np
import pytest

from server.simulator import arrivals
from server.simulator.arrivals import LoadState, Times

CALM_AND_SURGE = (LoadState(0.6, 3.0), LoadState(2.5, 0.8))


def squared_cv(times: Times) -> float:
    """Of the gaps."""
    gaps = np.diff(times)
    return float(gaps.var() / gaps.mean() ** 2)


def dispersion(times: Times, bin_s: float) -> float:
    """Variance over mean of the counts in bins: 1 for Poisson."""
    counts = np.bincount((times / bin_s).astype(int))
    return float(counts.var() / counts.mean())


def test_gamma_gaps_have_the_rate_and_the_burstiness_asked_for():
    times = arrivals.renewal(100.0, 1000.0, 8.0, seed=1)

    assert len(times) == pytest.approx(100_000, rel=0.03)
    assert squared_cv(times) == pytest.approx(8.0, rel=0.1)


def test_clumps_over_a_base_keep_the_mean_rate_and_are_burstier_than_poisson():
    times = arrivals.clumped(100.0, 1000.0, 8.0, 0.25, seed=1)

    assert len(times) == pytest.approx(100_000, rel=0.03)
    assert dispersion(times, 0.5) > 4.0 * dispersion(arrivals.poisson(100.0, 1000.0, 1), 0.5)


def test_surges_are_as_much_higher_than_calm_as_their_weight_says():
    times = arrivals.modulated(3000.0, 200.0, CALM_AND_SURGE, seed=1)

    counts = np.bincount((times / 0.1).astype(int))
    calm, surge = np.percentile(counts, [40, 90])  # the middles of four parts and of one in five
    assert len(times) == pytest.approx(600_000, rel=0.02)
    assert surge / calm == pytest.approx(2.5 / 0.6, rel=0.1)


def test_arrivals_follow_counts_part_by_part():
    times = arrivals.from_counts([3.0, 0.0, 1.0], 1000.0, 30.0, seed=1)

    first, second, third = np.histogram(times, bins=[0.0, 10.0, 20.0, 30.0])[0]
    assert second == 0
    assert first / third == pytest.approx(3.0, rel=0.1)


def test_a_recording_with_too_many_arrivals_is_thinned_to_a_subset_of_its_times():
    recorded = np.sort(np.random.default_rng(0).uniform(5.0, 105.0, 10_000))

    times = arrivals.rescaled(recorded, 200.0, 10.0, seed=1)

    squeezed = (recorded - recorded[0]) / (recorded[-1] - recorded[0]) * 10.0
    assert len(times) == pytest.approx(2000, rel=0.1)
    assert np.isin(times, squeezed).all()


def test_a_recording_with_too_few_arrivals_keeps_its_lulls():
    recorded = np.concatenate([np.linspace(0.0, 1.0, 100), np.linspace(9.0, 10.0, 100)])

    times = arrivals.rescaled(recorded, 1000.0, 10.0, seed=1)

    inside = ((times > 1.0) & (times < 9.0)).mean()
    assert len(times) == pytest.approx(10_000, rel=0.05)
    assert inside < 0.01


@pytest.mark.parametrize("recorded", [[], [1.0], [2.0, 2.0]])
def test_a_recording_of_one_instant_cannot_be_rescaled(recorded: list[float]):
    with pytest.raises(ValueError, match="two different times"):
        arrivals.rescaled(np.array(recorded), 10.0, 10.0, seed=1)


def test_more_arrivals_than_memory_holds_are_refused():
    for draw in (
        lambda: arrivals.renewal(1e7, 1e3, 8.0, 0),
        lambda: arrivals.modulated(1e7, 1e3, CALM_AND_SURGE, 0),
        lambda: arrivals.from_counts([1.0], 1e7, 1e3, 0),
        lambda: arrivals.rescaled(np.array([0.0, 1.0]), 1e7, 1e3, 0),
    ):
        with pytest.raises(ValueError, match="lower the rate"):
            draw()


def test_a_load_that_is_nought_throughout_is_refused():
    with pytest.raises(ValueError, match="0 throughout"):
        arrivals.from_counts([0.0, 0.0], 10.0, 1.0, seed=0)


@pytest.mark.parametrize(("rate_rps", "cv2"), [(0.0, 8.0), (10.0, 0.0), (10.0, -1.0)])
def test_gamma_gaps_need_a_rate_and_a_burstiness(rate_rps: float, cv2: float):
    with pytest.raises(ValueError, match="above 0"):
        arrivals.renewal(rate_rps, 1.0, cv2, seed=0)


def test_a_redrawn_rate_is_log_normal_remembers_half_and_keeps_the_mean():
    redraws = arrivals.Redraws(every_s=0.2, sigma=1.3, correlation=0.5)

    times = arrivals.redrawn(10_000.0, 200.0, redraws, seed=1)
    counts, _ = np.histogram(times, np.linspace(0.0, 200.0, 1001))
    levels = np.log(counts)

    assert len(times) == pytest.approx(2_000_000, rel=0.01)
    assert levels.std() == pytest.approx(1.3, abs=0.1)
    assert np.corrcoef(levels[:-1], levels[1:])[0, 1] == pytest.approx(0.5, abs=0.07)


def test_a_redrawn_rate_makes_bursts_without_clumps():
    times = arrivals.redrawn(300.0, 200.0, arrivals.Redraws(), seed=2)
    within_ms = (np.diff(times) < 1e-4).mean()
    tenths, _ = np.histogram(times, np.arange(0.0, 200.0, 0.1))

    assert within_ms < 0.15  # of clumps most gaps are
    assert tenths.var() / tenths.mean() > 10.0  # 1 where the rate is steady


def test_a_rate_redrawn_never_is_refused():
    with pytest.raises(ValueError, match="above 0"):
        arrivals.redrawn(100.0, 10.0, arrivals.Redraws(every_s=0.0), seed=1)
