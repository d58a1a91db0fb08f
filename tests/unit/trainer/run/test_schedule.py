"""The learning rate over the budget: up, down, and exactly 0 at the end."""

import pytest

from trainer.run.schedule import DECAYS, learning_rate


@pytest.mark.parametrize("decay", DECAYS)
def test_the_rate_begins_at_zero_peaks_after_warm_up_and_ends_at_exactly_zero(decay: str):
    rates = [learning_rate(at, 0.3, warmup=0.1, decay=decay) for at in (0.0, 0.05, 0.1, 1.0)]

    assert rates == [0.0, pytest.approx(0.15), pytest.approx(0.3), 0.0]


@pytest.mark.parametrize("decay", DECAYS)
def test_half_way_down_both_decays_are_at_half_of_the_peak(decay: str):
    assert learning_rate(0.6, 0.2, warmup=0.2, decay=decay) == pytest.approx(0.1)


def test_cosine_stays_above_linear_early_and_below_it_late():
    at = {decay: [learning_rate(s, 1.0, decay=decay) for s in (0.3, 0.8)] for decay in DECAYS}

    assert at["cosine"][0] > at["linear"][0]
    assert at["cosine"][1] < at["linear"][1]


@pytest.mark.parametrize("decay", DECAYS)
def test_without_warm_up_the_first_step_has_the_peak(decay: str):
    assert learning_rate(0.0, 0.3, warmup=0.0, decay=decay) == pytest.approx(0.3)


def test_beyond_the_budget_the_rate_stays_zero():
    assert learning_rate(1.5, 0.3) == 0.0


def test_an_unknown_decay_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match="cosine, linear"):
        learning_rate(0.5, 0.1, decay="steps")
