"""What holds for every simulated stream: order, bounds, and that a seed says it all."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.simulator import arrivals
from server.simulator.arrivals import LoadState, Times

rates = st.floats(0.5, 300.0)
durations = st.floats(0.5, 20.0)
seeds = st.integers(0, 2**32 - 1)
Stream = Callable[[float, float, int], Times]

LEVELS = (LoadState(0.6, 3.0), LoadState(2.5, 0.8))
RECORDED = np.cumsum(np.random.default_rng(0).exponential(1.0, 50))
STREAMS: dict[str, Stream] = {
    "renewal": lambda rate, duration, seed: arrivals.renewal(rate, duration, 8.0, seed),
    "clumped": lambda rate, duration, seed: arrivals.clumped(rate, duration, 8.0, 0.25, seed),
    "modulated": lambda rate, duration, seed: arrivals.modulated(rate, duration, LEVELS, seed),
    "counts": lambda rate, duration, seed: arrivals.from_counts([2.0, 0.0, 5.0], rate, duration, seed),
    "rescaled": lambda rate, duration, seed: arrivals.rescaled(RECORDED, rate, duration, seed),
}  # fmt: skip


@pytest.mark.parametrize("name", STREAMS)
@given(rate=rates, duration=durations, seed=seeds)
def test_arrivals_ascend_within_the_run_and_repeat_with_the_seed(
    name: str, rate: float, duration: float, seed: int
):
    times = STREAMS[name](rate, duration, seed)

    assert (np.diff(times) >= 0.0).all()
    assert ((times >= 0.0) & (times <= duration)).all()
    assert np.array_equal(times, STREAMS[name](rate, duration, seed))


@given(st.lists(st.integers(0, 1), min_size=2, max_size=20).filter(any), seeds)
def test_no_arrival_falls_into_a_part_without_a_count(counts: list[int], seed: int):
    times = arrivals.from_counts([float(c) for c in counts], 50.0, float(len(counts)), seed)

    parts = np.minimum(times.astype(int), len(counts) - 1)
    assert all(counts[part] for part in parts.tolist())
