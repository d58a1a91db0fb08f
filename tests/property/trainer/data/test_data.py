"""Held-out parts partition and keep every class's share; label noise replaces exactly what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainer.data.noise import shuffled
from trainer.data.splits import held_out

seeds = st.integers(0, 2**32 - 1)
some_labels = st.lists(st.integers(0, 9), max_size=300).map(lambda x: np.array(x, np.int64))
shares = st.floats(0, 1, exclude_max=True)


@given(some_labels, shares, seeds)
def test_held_out_examples_and_the_others_are_every_example_once(
    labels: np.ndarray, share: float, seed: int
):
    kept, held = held_out(labels, share, np.random.default_rng(seed))

    assert sorted([*kept, *held]) == list(range(len(labels)))


@given(some_labels, shares, seeds)
def test_every_class_gives_its_share_to_within_one(labels: np.ndarray, share: float, seed: int):
    _, held = held_out(labels, share, np.random.default_rng(seed))

    of_all, of_held = (np.bincount(x, minlength=10) for x in (labels, labels[held]))
    assert np.abs(of_held - share * of_all).max() <= 1 + 1e-9
    assert abs(len(held) - share * len(labels)) <= 0.5 + 1e-9


@given(some_labels, shares, seeds)
def test_one_seed_holds_out_the_same_examples(labels: np.ndarray, share: float, seed: int):
    first, second = (held_out(labels, share, np.random.default_rng(seed))[1] for _ in range(2))

    assert np.array_equal(first, second)


def test_every_example_of_a_class_is_equally_likely_to_be_held_out():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], [15, 5])

    held = [held_out(labels, 0.2, rng)[1] for _ in range(5000)]

    often = np.bincount(np.concatenate(held), minlength=20) / 5000
    assert often == pytest.approx(np.full(20, 0.2), abs=0.03)


@pytest.mark.parametrize("share", [-0.1, 1.0, float("nan")])
def test_shares_that_leave_nothing_to_train_on_are_refused(share: float):
    with pytest.raises(ValueError, match="validation share"):
        held_out(np.zeros(3, np.int64), share, np.random.default_rng(0))


@given(some_labels, st.floats(0, 1), seeds)
def test_noise_changes_no_more_labels_than_it_replaces_and_stays_in_range(
    labels: np.ndarray, share: float, seed: int
):
    before = labels.copy()

    noisy = shuffled(labels, share, 10, np.random.default_rng(seed))

    assert np.array_equal(labels, before)
    assert (noisy != labels).sum() <= round(share * len(labels))
    assert noisy.min(initial=0) >= 0
    assert noisy.max(initial=0) < 10


@pytest.mark.parametrize(("share", "classes"), [(0.2, 10), (0.5, 2), (1.0, 4)])
def test_a_share_less_those_right_by_chance_is_wrong(share: float, classes: int):
    labels = np.arange(40_000) % classes

    noisy = shuffled(labels, share, classes, np.random.default_rng(1))

    wrong = noisy != labels
    assert wrong.mean() == pytest.approx(share * (1 - 1 / classes), abs=0.01)
    assert np.bincount(noisy[wrong]) / wrong.sum() == pytest.approx(1 / classes, abs=0.02)


@pytest.mark.parametrize("share", [-0.1, 1.1, float("nan")])
def test_noise_outside_0_to_1_is_refused(share: float):
    with pytest.raises(ValueError, match="label noise"):
        shuffled(np.zeros(3, np.int64), share, 2, np.random.default_rng(0))
