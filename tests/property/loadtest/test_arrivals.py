"""What holds for every arrival stream: counts, order, bounds."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from loadtest import arrivals

rates = st.floats(0.1, 300.0)
durations = st.floats(0.1, 20.0)
seeds = st.integers(0, 2**32 - 1)
traces = st.lists(st.floats(0.0, 1e6), min_size=2, max_size=200, unique=True).map(np.array)


@given(rates, durations, seeds)
def test_poisson_arrivals_ascend_within_the_run(rate: float, duration: float, seed: int):
    times = arrivals.poisson(rate, duration, np.random.default_rng(seed))

    assert (np.diff(times) >= 0.0).all()
    assert ((times >= 0.0) & (times <= duration)).all()


@given(rates, durations)
def test_constant_arrivals_number_rate_times_duration(rate: float, duration: float):
    assert len(arrivals.constant(rate, duration)) == round(rate * duration)


@given(st.lists(st.tuples(durations, rates), min_size=1, max_size=5), seeds)
def test_stepped_arrivals_ascend_and_end_with_the_last_step(
    steps: list[tuple[float, float]], seed: int
):
    times = arrivals.stepped(steps, np.random.default_rng(seed))

    assert (np.diff(times) >= 0.0).all()
    assert (times <= sum(duration for duration, _ in steps)).all()


@given(traces, durations)
def test_squeezing_keeps_the_count_and_fills_the_duration(times: np.ndarray, duration: float):
    squeezed = arrivals.squeeze(times, duration)

    assert len(squeezed) == len(times)
    assert (np.diff(squeezed) >= 0.0).all()
    assert squeezed[0] == 0.0
    assert 0.999 * duration < squeezed[-1] < duration


@given(traces, st.integers(2, 500), seeds)
def test_rescaling_gives_exactly_the_count_inside_the_traces_span(
    times: np.ndarray, count: int, seed: int
):
    ordered = np.sort(times)

    rescaled = arrivals.rescale(ordered, count, np.random.default_rng(seed))

    assert len(rescaled) == count
    assert (np.diff(rescaled) >= 0.0).all()
    assert ordered[0] <= rescaled[0]
    assert rescaled[-1] <= ordered[-1]
    if count >= len(ordered):
        assert np.isin(ordered, rescaled).all()


@given(st.lists(st.integers(0, 50), min_size=1, max_size=50), seeds)
def test_counts_become_that_many_arrivals_in_each_second(counts: list[int], seed: int):
    times = arrivals.from_counts(np.array(counts, dtype=float), np.random.default_rng(seed))

    assert np.bincount(times.astype(int), minlength=len(counts)).tolist() == counts
