"""Selection by loss: probabilities follow the percentile, and forwards are paid only where a loss is too old."""

import numpy as np
import pytest
from numpy.random import default_rng
from numpy.typing import NDArray

from trainer.selectors import Selector, make
from trainer.selectors.history import RECENT, History
from trainer.selectors.selective import probabilities
from trainer.selectors.selective_backprop import Power

N = 64
ALL = np.arange(N)
LOSSES = default_rng(0).random(N, np.float32)
NO_LOSS = np.full(N, np.nan, np.float32)


def forwards(selector: Selector, epochs: int) -> list[int]:
    """How many losses are asked for in each epoch, when what is kept is trained on at once."""
    asked: list[int] = []
    rng = default_rng(1)
    for epoch in range(epochs):
        selector.begin_epoch(epoch, 0.0)
        unknown = selector.unknown(ALL)
        kept = selector.keep(ALL, np.where(unknown, LOSSES, NO_LOSS), rng)
        selector.trained(ALL[kept.positions], LOSSES[kept.positions])
        asked.append(int(unknown.sum()))
    return asked


def kept(selector: Selector, losses: NDArray[np.float32], seed: int = 2) -> NDArray[np.intp]:
    return selector.keep(ALL, losses, default_rng(seed)).positions


def test_the_percentile_counts_only_smaller_losses():
    history = History(np.array([1, 2, 2, 4], np.float32))

    shares = history.below(np.array([1, 2, 3, 9], np.float32))

    assert list(shares) == [0, 0.25, 0.75, 1]


def test_the_history_forgets_the_oldest_first():
    history = History().with_more(np.zeros(RECENT, np.float32))

    history = history.with_more(np.ones(24, np.float32))

    assert len(history.losses) == RECENT
    assert history.losses.sum() == 24
    assert history.losses[-24:].all()


def test_a_batch_longer_than_the_history_leaves_its_last_losses():
    history = History().with_more(np.arange(RECENT + 5, dtype=np.float32))

    assert list(history.losses[[0, -1]]) == [5, RECENT + 4]


def test_probability_is_the_percentile_to_the_power_beta_but_not_below_the_floor():
    chances = probabilities(np.array([0, 0.1, 0.5, 1]), Power(2), 0.05)

    assert chances == pytest.approx([0.05, 0.05, 0.25, 1])


def test_the_first_epoch_is_kept_whole_and_its_training_losses_are_the_first_history():
    selector = make("selective_backprop:beta=1", N)
    selector.begin_epoch(0, 0.0)

    assert len(kept(selector, NO_LOSS)) == N
    selector.trained(ALL, LOSSES)
    selector.begin_epoch(1, 0.0)
    above_all = np.full(N, 9, np.float32)  # above half of the history that they join
    assert 0.3 * N < len(kept(selector, above_all)) < 0.7 * N


def test_without_primed_epochs_the_first_batch_is_selected_from():
    selector = make("selective_backprop:primed_epochs=0", N)
    selector.begin_epoch(0, 0.0)

    assert selector.unknown(ALL).all()
    assert 0 < len(kept(selector, LOSSES)) < N


def test_equal_losses_are_kept_at_the_floor_and_no_example_is_lost_for_ever():
    selector = make("selective_backprop:floor=0.2,primed_epochs=0", N)
    selector.begin_epoch(0, 0.0)
    equal = np.ones(N, np.float32)

    times = np.zeros(N)
    for seed in range(200):
        times[kept(selector, equal, seed)] += 1

    assert times.min() > 0
    assert times.mean() == pytest.approx(0.2 * 200, rel=0.1)


def test_higher_losses_are_kept_more_often():
    selector = make("selective_backprop:primed_epochs=0", N)
    selector.begin_epoch(0, 0.0)

    times = np.zeros(N)
    for seed in range(200):
        times[kept(selector, LOSSES, seed)] += 1

    ranked = times[np.argsort(LOSSES)].reshape(4, -1).sum(axis=1)
    assert (np.diff(ranked) > 0).all()


@pytest.mark.parametrize("name", ["selective_backprop", "stale", "adaptive"])
def test_a_loss_that_was_asked_for_and_is_not_finite_is_refused(name: str):
    selector = make(f"{name}:primed_epochs=0", N)
    selector.begin_epoch(0, 0.0)
    losses = LOSSES.copy()
    losses[[3, 7, 9]] = np.nan, np.inf, np.nan

    with pytest.raises(ValueError, match="3 of 64 losses are not finite"):
        kept(selector, losses)


def test_importance_weights_are_the_inverse_probabilities_with_mean_one():
    selector = make("selective_backprop:importance=1,primed_epochs=0", N)
    selector.begin_epoch(0, 0.0)

    result = selector.keep(ALL, LOSSES, default_rng(3))

    share = History(LOSSES).below(LOSSES[result.positions])
    chances = np.maximum(0.02, share**2)
    assert result.weights.mean() == pytest.approx(1, rel=1e-6)
    assert np.ptp(result.weights * chances) == pytest.approx(0, abs=1e-6)


def test_importance_weights_keep_a_sum_over_all_examples_unbiased():
    selector = make("selective_backprop:importance=1,primed_epochs=0,floor=0.1", N)
    selector.begin_epoch(0, 0.0)

    runs = [selector.keep(ALL, LOSSES, default_rng(seed)) for seed in range(2000)]
    means = [np.average(LOSSES[run.positions], weights=run.weights) for run in runs]

    assert np.mean(means) == pytest.approx(LOSSES.mean(), abs=0.03)


def test_selective_backprop_asks_for_every_loss_in_every_epoch():
    assert forwards(make("selective_backprop", N), 4) == [0, N, N, N]


@pytest.mark.parametrize("n", [1, 2, 3])
def test_stale_asks_for_forwards_every_n_epochs_only(n: int):
    asked = forwards(make(f"stale:n={n},reuse=0", N), 9)

    assert asked == [0] + [N if epoch % n == 0 else 0 for epoch in range(8)]


def test_a_reused_training_loss_puts_the_forward_off_by_n_epochs():
    asked = forwards(make("stale:n=3", N), 9)

    assert asked[:4] == [0, N, 0, 0]
    assert 0 < asked[4] < N


def test_in_between_the_remembered_loss_decides():
    stale, fresh = make("stale:n=2", N), make("selective_backprop", N)
    for selector in (stale, fresh):
        selector.begin_epoch(1, 0.0)
        kept(selector, LOSSES)
        selector.begin_epoch(2, 0.0)

    assert list(kept(stale, NO_LOSS)) == list(kept(fresh, LOSSES))


def test_a_training_loss_replaces_the_remembered_one():
    selector = make("stale:n=9,floor=0.000001,beta=64", N)
    selector.begin_epoch(1, 0.0)
    kept(selector, LOSSES)

    selector.trained(np.array([5]), np.array([99], np.float32))
    shares = [5 in kept(selector, NO_LOSS, seed) for seed in range(50)]

    assert np.mean(shares) > 0.3
