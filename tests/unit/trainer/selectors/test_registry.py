"""What every selector promises, whichever it is: one suite over the registry."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from numpy.random import Generator, default_rng
from numpy.typing import NDArray

from trainer.selectors import SELECTORS, Kept, Selector, make

N, BATCH = 200, 32


def losses_of(ids: NDArray[np.intp], epoch: int) -> NDArray[np.float32]:
    return (np.sin(ids * 12.9898) ** 2 / (1 + epoch)).astype(np.float32)


def looked_at(
    selector: Selector, epoch: int, rng: Generator
) -> list[tuple[NDArray[np.intp], Kept]]:
    """One epoch as the loop runs it."""
    selector.begin_epoch(epoch, epoch / 10)
    return went_on(selector, epoch, selector.order(rng), rng)


def went_on(
    selector: Selector, epoch: int, order: NDArray[np.intp], rng: Generator
) -> list[tuple[NDArray[np.intp], Kept]]:
    """Each kept batch is trained on at once; every other one is followed by a judgement."""
    seen: list[tuple[NDArray[np.intp], Kept]] = []
    for first in range(0, len(order), BATCH):
        ids = order[first : first + BATCH]
        losses = np.where(selector.unknown(ids), losses_of(ids, epoch), np.float32(np.nan))
        kept = selector.keep(ids, losses, rng)
        chosen = ids[kept.positions]
        selector.trained(chosen, losses_of(chosen, epoch))
        if first % (2 * BATCH):
            selector.judged(float(rng.random()))
        seen.append((ids, kept))
    return seen


def same(state: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> bool:
    return state.keys() == other.keys() and all(
        state[key].dtype == other[key].dtype and state[key].tobytes() == other[key].tobytes()
        for key in state
    )


@pytest.fixture(params=SELECTORS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def test_the_first_epoch_shows_every_example_once_and_asks_for_no_forward(name: str):
    selector = make(name, N)

    selector.begin_epoch(0, 0.0)
    order = selector.order(default_rng(1))

    assert sorted(order) == list(range(N))
    assert list(order) != list(range(N))
    assert not selector.unknown(order).any()


def test_kept_positions_ascend_inside_the_batch_and_have_a_weight_each(name: str):
    selector, rng = make(name, N), default_rng(2)

    for epoch in range(4):
        for ids, kept in looked_at(selector, epoch, rng):
            assert (np.diff(kept.positions) > 0).all()
            assert set(kept.positions) <= set(range(len(ids)))
            assert kept.weights.dtype == np.float32
            assert kept.weights.shape == kept.positions.shape
            assert (kept.weights > 0).all()


def test_one_seed_gives_one_run(name: str):
    runs = [make(name, N), make(name, N)]

    seen = [
        [tuple(ids[kept.positions]) for epoch in range(4) for ids, kept in looked_at(s, epoch, rng)]
        for s, rng in zip(runs, (default_rng(3), default_rng(3)), strict=True)
    ]

    assert seen[0] == seen[1]
    assert same(runs[0].state(), runs[1].state())


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_restored_selector_continues_bit_for_bit(name: str, epochs: int):
    selector, rng = make(name, N), default_rng(4)
    for epoch in range(epochs):
        looked_at(selector, epoch, rng)
    other, other_rng = make(name, N), default_rng(0)

    other.restore(selector.state())
    other_rng.bit_generator.state = rng.bit_generator.state
    for epoch in range(epochs, epochs + 4):
        for (ids, kept), (other_ids, other_kept) in zip(
            looked_at(selector, epoch, rng), looked_at(other, epoch, other_rng), strict=True
        ):
            assert ids.tobytes() == other_ids.tobytes()
            assert kept.positions.tobytes() == other_kept.positions.tobytes()
            assert kept.weights.tobytes() == other_kept.weights.tobytes()

    assert same(selector.state(), other.state())
    assert selector.keep_rate == other.keep_rate


def test_a_run_killed_within_an_epoch_goes_on_bit_for_bit(name: str):
    selector, rng = make(name, N), default_rng(8)
    looked_at(selector, 0, rng)
    selector.begin_epoch(2, 0.2)
    order = selector.order(rng)
    went_on(selector, 2, order[:BATCH], rng)
    other, other_rng = make(name, N), default_rng(0)

    other.restore(selector.state())
    other_rng.bit_generator.state = rng.bit_generator.state

    later = went_on(selector, 2, order[BATCH:], rng)
    for (_, kept), (_, other_kept) in zip(
        later, went_on(other, 2, order[BATCH:], other_rng), strict=True
    ):
        assert kept.positions.tobytes() == other_kept.positions.tobytes()
        assert kept.weights.tobytes() == other_kept.weights.tobytes()
    assert same(selector.state(), other.state())


@pytest.mark.parametrize("share_spent", [0.3, 0.95])
def test_a_run_killed_before_an_epochs_order_draws_the_same_one(name: str, share_spent: float):
    selector, other = make(name, N), make(name, N)
    looked_at(selector, 0, default_rng(9))
    selector.begin_epoch(1, share_spent)

    other.restore(selector.state())

    assert list(other.order(default_rng(10))) == list(selector.order(default_rng(10)))


def test_a_state_does_not_change_when_the_selector_goes_on(name: str):
    selector, rng = make(name, N), default_rng(5)
    looked_at(selector, 0, rng)
    state = selector.state()
    before = {key: value.copy() for key, value in state.items()}

    looked_at(selector, 1, rng)

    assert same(state, before)
    assert not same(state, selector.state())


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_training_losses_that_are_not_finite_are_refused_with_their_count(name: str, bad: float):
    selector = make(name, N)

    with pytest.raises(ValueError, match="2 of 3 losses are not finite"):
        selector.trained(np.arange(3), np.array([bad, 1, bad], np.float32))


def test_what_is_looked_at_is_kept_at_about_the_promised_rate(name: str):
    selector, rng = make(name, 20_000), default_rng(6)
    losses = rng.random(20_000, np.float32)
    kept_of_looked_at = np.zeros(2)
    for epoch in range(2):
        selector.begin_epoch(epoch, 0.0)
        order = selector.order(rng)
        for ids in np.array_split(order, 40):
            shown = np.where(selector.unknown(ids), losses[ids], np.float32(np.nan))
            positions = selector.keep(ids, shown, rng).positions
            selector.trained(ids[positions], losses[ids[positions]])
            kept_of_looked_at[epoch] += len(positions) / len(order)

    assert kept_of_looked_at[1] == pytest.approx(selector.keep_rate, abs=0.02)


def test_no_examples_are_refused(name: str):
    with pytest.raises(ValueError, match="at least one example, not 0"):
        make(name, 0)


def test_options_reach_the_selector():
    assert make("random:rate=0.25", N).keep_rate == 0.25
    assert make("selective_backprop:primed_epochs=0,beta=0,floor=0.5", N).keep_rate == 1.0


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "unknown selector ''; known: uniform, random, selective_backprop, stale, adaptive"),
        ("sb:beta=2", "unknown selector 'sb'"),
        ("uniform:rate=1", "uniform has no option 'rate'; known: none"),
        ("random:beta=1", "random has no option 'beta'; known: rate"),
        ("random:rate=0", "random: rate must be a number from 0.001 to 1, not 0"),
        ("random:rate=nan", "random: rate must be a number"),
        ("random:rate", "random: 'rate' is not an option and its number"),
        ("random:rate=", "random: 'rate=' is not an option and its number"),
        ("random:rate=half", "random: 'rate=half' is not"),
        ("random:rate=0.1,rate=0.2", "random: 'rate=0.2' comes twice"),
        ("stale:n=1.5", "stale: n must be a whole number from 1 to 1000, not 1.5"),
        ("selective_backprop:floor=0", "floor must be a number from 1e-06 to 1"),
        ("adaptive:y2=1.5", "adaptive: y2 must be a number from 0 to 1"),
        ("infobatch:r=1", "infobatch: r must be"),
    ],
)
def test_a_wrong_spec_is_refused_with_what_is_right(spec: str, message: str):
    with pytest.raises(ValueError, match=message):
        make(spec, N)


@pytest.mark.parametrize("name", ["stale", "selective_backprop", "adaptive", "infobatch"])
def test_a_state_of_other_data_is_refused(name: str):
    state = make(name, N).state()

    with pytest.raises(ValueError, match="the state is of 200 examples, not of 100"):
        make(name, N // 2).restore(state)
