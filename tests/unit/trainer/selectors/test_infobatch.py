"""InfoBatch leaves out small losses without bias, pays no forward, and ends on full data."""

import numpy as np
import pytest
from numpy.random import default_rng

from trainer.selectors.infobatch import InfoBatch, infobatch, weights

N = 1000
ALL = np.arange(N)
LOSSES = default_rng(0).exponential(size=N).astype(np.float32)
BELOW = np.less(LOSSES, LOSSES.mean())


def after_one_epoch(options: dict[str, float]) -> InfoBatch:
    selector = infobatch(N, options)
    selector.begin_epoch(0, 0.0)
    selector.order(default_rng(1))
    selector.trained(ALL, LOSSES)
    return selector


def test_only_losses_below_the_mean_are_left_out_at_the_rate_r():
    selector = after_one_epoch({"r": 0.7})

    selector.begin_epoch(1, 0.1)
    order = selector.order(default_rng(2))

    left_out = np.setdiff1d(ALL, order)
    assert BELOW[left_out].all()
    assert len(left_out) == pytest.approx(0.7 * BELOW.sum(), rel=0.1)


def test_those_that_stay_below_the_mean_weigh_for_those_left_out():
    selector = after_one_epoch({"r": 0.75})

    selector.begin_epoch(1, 0.1)
    order = selector.order(default_rng(3))
    kept = selector.keep(order, np.full(len(order), np.nan, np.float32), default_rng(3))

    assert list(kept.positions) == list(range(len(order)))
    assert list(kept.weights) == [4 if BELOW[i] else 1 for i in order]


def test_the_expected_gradient_is_that_of_all_examples():
    gradients = default_rng(4).standard_normal(N)

    drawn = np.array([weights(LOSSES, 0.5, default_rng(seed)) for seed in range(2000)])

    assert drawn.sum(axis=1).mean() == pytest.approx(N, rel=0.005)
    assert drawn.mean(axis=0) == pytest.approx(np.ones(N), abs=0.15)
    assert (drawn @ gradients).mean() == pytest.approx(gradients.sum(), abs=3)


@pytest.mark.parametrize(("share_spent", "full"), [(0.87, False), (0.875, True), (1.0, True)])
def test_the_last_eighth_of_the_budget_is_full(share_spent: float, full: bool):
    selector = after_one_epoch({})

    selector.begin_epoch(5, share_spent)
    order = selector.order(default_rng(5))

    assert (len(order) == N) is full
    assert (selector.keep(order, LOSSES[order], default_rng(5)).weights == 1).all() == full


def test_the_last_training_loss_decides():
    selector = after_one_epoch({"r": 0.99})
    largest = int(LOSSES.argmax())
    selector.trained(np.array([largest]), np.array([0], np.float32))

    selector.begin_epoch(1, 0.1)
    stays = [largest in selector.order(default_rng(seed)) for seed in range(50)]

    assert np.mean(stays) < 0.2


def test_examples_without_a_loss_and_equal_losses_all_stay():
    unknown = np.array([np.nan, 0, 4], np.float32)

    assert all(weights(unknown, 0.99, default_rng(seed))[0] == 1 for seed in range(20))
    assert (weights(np.full(7, 0.1, np.float32), 0.99, default_rng(6)) == 1).all()
    assert (weights(np.full(7, np.nan, np.float32), 0.99, default_rng(6)) == 1).all()


def test_no_forward_is_asked_for():
    selector = after_one_epoch({})
    selector.begin_epoch(1, 0.1)

    assert not selector.unknown(selector.order(default_rng(7))).any()
