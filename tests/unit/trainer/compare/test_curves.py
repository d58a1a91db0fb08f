"""Speed-ups at equal error, against curves whose ratio is known, and what is said where there is little to go by."""

import math
from collections.abc import Sequence

import numpy as np
import pytest

from trainer.compare.curves import (
    ErrorCurve,
    Summary,
    backprops_at,
    curve_of,
    differences,
    reach,
    shape,
    summary,
)
from trainer.compare.outcomes import Cell, Finished, Outcome
from trainer.compare.speedups import levels, log_speedup, speedup

BUDGETS = (1e5, 2e5, 4e5, 8e5, 1.6e6)
NAN = float("nan")


def _rng() -> np.random.Generator:
    return np.random.default_rng(7)


def _curve(errors: Sequence[Sequence[float]], budgets: Sequence[float] = BUDGETS) -> ErrorCurve:
    """Errors by budget, by seed; a third of a budget is backpropagated."""
    found = np.array(errors, float)
    backprops = np.where(np.isnan(found), np.nan, np.array(budgets)[: len(found), None] / 3.0)
    seeds = tuple(range(found.shape[1]))
    return ErrorCurve("any", tuple(budgets[: len(found)]), seeds, found, backprops)


def _law(
    speed: float, noise: float = 0.0, seeds: int = 3, rng: np.random.Generator | None = None
) -> ErrorCurve:
    """A power law with a floor, `speed` times as fast as the law itself."""
    means = 0.05 + 0.6 * (speed * np.array(BUDGETS)) ** -0.3
    size = (len(BUDGETS), seeds)
    scatter = (rng or _rng()).normal(0.0, noise, size) if noise else np.zeros(size)
    return _curve((means[:, None] + scatter).tolist())


@pytest.mark.parametrize("ratio", [0.4, 0.8, 1.0, 1.3, 1.8, 3.0])
def test_a_known_speed_up_is_recovered(ratio: float):
    found = speedup(_law(ratio), _law(1.0), _rng())

    assert found.ratio == pytest.approx(ratio, rel=0.02)
    assert found.span is not None
    assert found.span == pytest.approx((ratio, ratio), rel=0.05)
    assert found.backprops_ratio == pytest.approx(ratio, rel=0.02)


def test_noise_that_makes_curves_rise_moves_the_speed_up_little():
    rng = _rng()

    ratios = [log_speedup(_law(1.8, 6e-4, 5, rng), _law(1.0, 6e-4, 5, rng)) for _ in range(40)]

    assert math.exp(np.mean(ratios)) == pytest.approx(1.8, rel=0.04)


def test_the_interval_of_three_seeds_has_the_truth_in_it_as_often_as_it_says():
    rng = _rng()
    pairs = [(_law(1.8, 3e-4, 3, rng), _law(1.0, 3e-4, 3, rng)) for _ in range(40)]

    intervals = [speedup(ours, theirs, rng).interval for ours, theirs in pairs]

    hit = sum(i is not None and i[0] <= 1.8 <= i[1] for i in intervals)
    assert hit >= 34


def test_a_clear_speed_up_is_significant_and_none_is_not():
    rng = _rng()

    assert speedup(_law(1.8, 1e-4, 3, rng), _law(1.0, 1e-4, 3, rng), rng).verdict == 1
    assert speedup(_law(0.5, 1e-4, 3, rng), _law(1.0, 1e-4, 3, rng), rng).verdict == -1
    assert speedup(_law(1.0, 1e-3, 3, rng), _law(1.0, 1e-3, 3, rng), rng).verdict == 0


def test_the_same_generator_gives_the_same_interval():
    ours, theirs = _law(1.8, 3e-4), _law(1.0, 3e-4, rng=np.random.default_rng(8))

    assert speedup(ours, theirs, _rng()).interval == speedup(ours, theirs, _rng()).interval


def test_a_single_seed_has_a_speed_up_and_no_interval():
    found = speedup(_law(1.8, seeds=1), _law(1.0, seeds=1), _rng())

    assert found.ratio == pytest.approx(1.8, rel=0.02)
    assert (found.interval, found.verdict, found.seeds) == (None, None, 1)


def test_an_error_that_theirs_never_reach_bounds_the_speed_up_from_below():
    ours = _curve([[0.10], [0.08]], (100.0, 200.0))
    theirs = _curve([[0.12], [0.09]], (100.0, 200.0))

    found = {round(v.error, 3): v for v in levels(ours, theirs)}

    assert found[0.08].side == 1
    assert found[0.08].ratio == pytest.approx(1.0)
    assert found[0.09].side == 0
    assert found[0.09].ratio == pytest.approx(200.0 / math.sqrt(100.0 * 200.0))
    assert found[0.12].side == 1


def test_curves_without_a_common_error_give_a_bound_alone():
    fast = _curve([[0.05, 0.051], [0.04, 0.041]], (100.0, 200.0))
    slow = _curve([[0.12, 0.121], [0.09, 0.091]], (100.0, 200.0))

    found, reverse = speedup(fast, slow, _rng()), speedup(slow, fast, _rng())

    assert (found.ratio, found.span, found.interval, found.verdict) == (None, None, None, None)
    assert (found.at_least, found.at_most) == (pytest.approx(2.0), None)
    assert (reverse.at_least, reverse.at_most) == (None, pytest.approx(0.5))


def test_a_side_on_which_resamples_have_no_common_error_is_open():
    ours = _curve([[0.100, 0.070, 0.085], [0.080, 0.060, 0.07]], (100.0, 200.0))
    theirs = _curve([[0.120, 0.110, 0.115], [0.090, 0.075, 0.08]], (100.0, 200.0))

    found = speedup(ours, theirs, _rng())

    assert found.interval is not None
    assert found.interval[1] == math.inf


def test_missing_runs_are_left_out():
    ours, theirs = _law(1.8, 3e-4), _law(1.0, 3e-4, rng=np.random.default_rng(8))
    ours.errors[1, :] = NAN
    ours.errors[2, 0] = NAN
    theirs.errors[:, 2] = NAN

    found = speedup(ours, theirs, _rng())

    assert found.ratio == pytest.approx(1.8, rel=0.2)
    assert found.seeds == 2
    assert found.interval is not None


def test_a_curve_without_any_run_has_no_speed_up():
    none = _curve([[NAN, NAN]] * 5)

    found = speedup(none, _law(1.0, seeds=2), _rng())

    assert (found.levels, found.ratio, found.interval) == ((), None, None)
    assert (found.at_least, found.at_most, found.backprops_ratio) == (None, None, None)


def test_a_single_budget_gives_a_bound():
    found = speedup(_curve([[0.08]]), _curve([[0.09]]), _rng())

    assert (found.ratio, found.at_least) == (None, pytest.approx(1.0))


def test_the_shape_pools_what_rises_at_the_middle_of_its_costs():
    found = shape(_curve([[0.3], [0.1], [0.2], [0.05]], (1.0, 10.0, 1000.0, 1e5)))

    assert found is not None
    assert found.errors == pytest.approx((0.3, 0.15, 0.05))
    assert found.log_costs == pytest.approx((0.0, math.log(100.0), math.log(1e5)))


@pytest.mark.parametrize("seed", range(20))
def test_the_shape_is_the_least_squares_falling_curve(seed: int):
    rng = np.random.default_rng(seed)
    errors = rng.integers(1, 8, (6, 2)) / 10.0
    budgets = tuple(np.exp(range(6)).tolist())

    found = shape(_curve(errors.tolist(), budgets))

    assert found is not None
    assert list(found.errors) == sorted(set(found.errors), reverse=True)
    fitted = _isotonic(errors.mean(axis=1))
    assert np.unique(np.round(fitted, 9)) == pytest.approx(sorted(found.errors))


def _isotonic(means: np.ndarray) -> np.ndarray:
    """The min-max formula of antitonic regression, by brute force (Barlow et al., 1972)."""
    n = len(means)

    def at(k: int) -> float:
        return max(min(means[i : j + 1].mean() for i in range(k + 1)) for j in range(k, n))

    return np.array([at(k) for k in range(n)])


def test_a_cost_is_told_exactly_at_knots_and_as_a_bound_beyond_the_ends():
    found = shape(_curve([[0.3], [0.2], [0.1]], (1.0, 10.0, 100.0)))

    assert found is not None
    assert reach(found, 0.2).log_cost == pytest.approx(math.log(10.0))
    assert reach(found, 0.25).log_cost == pytest.approx(math.log(10.0) / 2.0)
    assert [reach(found, e).side for e in (0.31, 0.3, 0.1, 0.09)] == [-1, 0, 0, 1]


def test_backprops_are_read_between_budgets_and_none_where_none_were():
    curve = _curve([[0.3], [0.2]], (100.0, 400.0))

    assert backprops_at(curve, math.log(200.0)) == pytest.approx(200.0 / 3.0)
    curve.backprops[:] = 0.0
    assert backprops_at(curve, math.log(200.0)) is None


def test_a_summary_has_a_spread_from_two_figures_on():
    assert summary([NAN, NAN]) is None
    assert summary([0.2, NAN]) == Summary(0.2, None, 1)
    two = summary([0.1, 0.3])
    assert two is not None
    assert two.sd == pytest.approx(0.1 * math.sqrt(2.0))
    assert two.interval == pytest.approx((0.2 - 6.3138 * 0.1, 0.2 + 6.3138 * 0.1), rel=1e-4)


def test_differences_are_taken_seed_by_seed():
    ours = _curve([[0.11, 0.21, NAN]], (100.0,))
    theirs = _curve([[0.10, 0.20, 0.5]], (100.0,))

    (found,) = differences(ours, theirs)

    assert found is not None
    assert (found.mean, found.n) == (pytest.approx(0.01), 2)
    assert found.sd == pytest.approx(0.0)


def test_runs_become_a_curve_whatever_their_order():
    outcome = Outcome(0.1, 100.0, 1.0, 40.0, 1.0, None, None)
    runs = [
        Finished(Cell("a", 200.0, 5), "", outcome),
        Finished(Cell("b", 100.0, 5), "", outcome),
    ]

    found = curve_of("a", (200.0, 100.0), (4, 5), runs)

    assert found.budgets == (100.0, 200.0)
    assert np.array_equal(found.errors, [[NAN, NAN], [NAN, 0.1]], equal_nan=True)
    assert found.backprops[1, 1] == 40.0
