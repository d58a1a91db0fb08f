"""Whatever the losses: keep rates, the percentile against a slow reference, and a queue that loses nothing."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.random import default_rng
from numpy.typing import NDArray

from trainer.selectors import Batches, make
from trainer.selectors.history import RECENT, History
from trainer.selectors.infobatch import weights
from trainer.selectors.selective import probabilities
from trainer.selectors.selective_backprop import Power
from trainer.selectors.shapes import Shape

few_values = st.sampled_from([0.0, 0.5, 1.0, 1.5])
floats = st.floats(-1e6, 1e6, width=32)
losses = st.one_of(
    arrays.arrays(np.float32, st.integers(1, 60), elements=floats),
    arrays.arrays(np.float32, st.integers(1, 60), elements=few_values),
)
unit = st.floats(0, 1)
seeds = st.integers(0, 2**32 - 1)
SHARES = np.arange(RECENT) / RECENT


@given(losses, losses)
def test_the_percentile_is_the_share_of_strictly_smaller_losses(
    seen: NDArray[np.float32], asked: NDArray[np.float32]
):
    shares = History().with_more(seen).below(asked)

    assert list(shares) == [sum(old < new for old in seen) / len(seen) for new in asked]


@given(st.lists(losses, max_size=40))
def test_the_history_is_the_end_of_all_that_was_added(batches: list[NDArray[np.float32]]):
    history = History()
    for batch in batches:
        history = history.with_more(batch)

    everything = [loss for batch in batches for loss in batch]
    assert list(history.losses) == everything[-RECENT:]


@given(st.floats(0, 16), st.floats(1e-6, 0.05), seeds)
def test_distinct_losses_are_kept_at_one_in_beta_plus_one(beta: float, floor: float, seed: int):
    seen = default_rng(seed).permutation(RECENT).astype(np.float32)

    chances = probabilities(History(seen).below(seen), Power(beta), floor)

    exact = 1 / (beta + 1)
    assert exact - 1 / RECENT <= chances.mean() <= exact + floor + 1e-9


@given(seeds, st.sampled_from([0.5, 1.0, 2.0, 3.0, 8.0]))
def test_the_drawn_share_is_near_one_in_beta_plus_one(seed: int, beta: float):
    n = 8192
    rng = default_rng(seed)
    selector = make(f"selective_backprop:beta={beta},floor=0.000001,primed_epochs=0", n)
    selector.begin_epoch(0, 0.0)

    seen = rng.standard_normal(n).astype(np.float32)
    batches = np.split(np.arange(n), 16)
    kept = sum(len(selector.keep(ids, seen[ids], rng).positions) for ids in batches)

    assert abs(kept / n - 1 / (beta + 1)) < 0.04
    assert abs(kept / n - selector.keep_rate) < 0.04


@given(losses, st.floats(0, 16), st.floats(0, 16), unit)
def test_a_larger_beta_never_keeps_more(
    seen: NDArray[np.float32], beta: float, other: float, floor: float
):
    low, high = sorted((beta, other))
    shares = History(seen).below(seen)

    more = probabilities(shares, Power(low), floor)
    fewer = probabilities(shares, Power(high), floor)

    assert (fewer <= more).all()
    assert (fewer >= floor).all()
    assert (more <= 1).all()


@given(losses, st.floats(0, 16))
def test_a_larger_loss_is_never_less_likely(seen: NDArray[np.float32], beta: float):
    chances = probabilities(History(seen).below(seen), Power(beta), 0.01)

    assert (np.diff(chances[np.argsort(seen)]) >= 0).all()


@given(unit, unit, unit, st.floats(1e-6, 1))
def test_any_shape_gives_probabilities_between_the_floor_and_one(
    y1: float, y2: float, y3: float, floor: float
):
    shape = Shape(y1, y2, y3)

    chances = probabilities(SHARES, shape, floor)

    assert (chances >= floor).all()
    assert (chances <= 1).all()
    assert np.allclose(shape.at(np.array([0, 0.5, 1])), [y1, y2, y3], atol=1e-9)


@given(
    st.integers(1, 7),
    st.lists(st.one_of(st.just("pop"), st.just("kill"), st.integers(0, 40)), max_size=60),
)
def test_the_queue_loses_duplicates_and_reorders_nothing(size: int, steps: list[str | int]):
    queue = Batches(size)
    pushed, popped = 0, list[float]()
    for step in steps:
        if isinstance(step, int):
            ids = np.arange(pushed, pushed + step)
            queue.push(ids, ids.astype(np.float32) / 2)
            pushed += step
        elif step == "pop":
            batch = queue.pop()
            assert (batch is None) == (pushed - len(popped) < size)
            if batch is not None:
                assert len(batch[0]) == size
                assert list(batch[1]) == list(batch[0] / 2)
                popped += batch[0].tolist()
        else:
            other = Batches(size)
            other.restore(queue.state())
            queue = other
        assert len(queue) == pushed - len(popped)

    assert popped + queue.state()["ids"].tolist() == list(range(pushed))


@given(losses, st.floats(0, 0.9), seeds)
def test_infobatch_weighs_what_stays_for_what_is_left_out(
    seen: NDArray[np.float32], r: float, seed: int
):
    drawn = weights(seen, r, default_rng(seed))

    below = seen < seen.mean(dtype=np.float64)
    assert (drawn[~below] == 1).all()
    assert np.isin(drawn[below], np.array([0, 1 / (1 - r)], np.float32)).all()
    assert drawn.any()
