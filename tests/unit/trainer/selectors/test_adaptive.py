"""AdaptSB follows its search within a run, and is Selective-Backprop without a judge."""

import numpy as np
import pytest
from numpy.random import Generator, default_rng

from trainer.selectors.adaptive import HARD, LEARNT, UNLEARNT, WRONG, Adaptive, adaptive
from trainer.selectors.selective_backprop import Power, selective_backprop
from trainer.selectors.shapes import HARDEST, MIDDLE, Shape

N = 512
ALL = np.arange(N)
LOSSES = default_rng(0).random(N, np.float32)


def begun(spec: dict[str, float]) -> Adaptive:
    selector = adaptive(N, spec)
    selector.begin_epoch(1, 0.1)
    return selector


def look(selector: Adaptive, rng: Generator) -> int:
    losses = np.where(selector.unknown(ALL), LOSSES, np.float32(np.nan))
    return len(selector.keep(ALL, losses, rng).positions)


def test_the_first_shape_is_selective_backprop_of_beta_two():
    shares = np.linspace(0, 1, 101)

    assert HARDEST.at(shares) == pytest.approx(Power(2).at(shares))


def test_without_judgements_it_keeps_what_selective_backprop_keeps():
    mine, plain = begun({}), selective_backprop(N, {})
    plain.begin_epoch(1, 0.1)

    for seed in range(5):
        a = mine.keep(ALL, LOSSES, default_rng(seed)).positions
        b = plain.keep(ALL, LOSSES, default_rng(seed)).positions
        assert list(a) == list(b)
    assert mine.shape == HARDEST
    assert mine.keep_rate == plain.keep_rate


def test_judgements_move_the_selector_and_its_keep_rate():
    selector, rng = begun({"wins": 1}), default_rng(3)
    look(selector, rng)

    for _ in range(2):
        selector.judged(1.0)
    assert selector.shape == MIDDLE
    assert (
        selector.keep_rate
        == begun(dict(zip(("y1", "y2", "y3"), _ys(MIDDLE), strict=True))).keep_rate
    )
    assert selector.keep_rate == pytest.approx(look(selector, rng) / N, abs=0.07)
    for score in (2.0, 2.0, 1.0):
        selector.judged(score)

    assert selector.incumbent == MIDDLE
    assert selector.verdict == "replaced"


def test_a_run_resumed_within_a_challenge_goes_on_with_the_challenger():
    selector, resumed = begun({}), begun({})
    look(selector, default_rng(6))
    for _ in range(2):
        selector.judged(1.0)

    resumed.restore(selector.state())

    assert resumed.shape == MIDDLE
    assert resumed.keep_rate == selector.keep_rate
    assert look(resumed, default_rng(7)) == look(selector, default_rng(7))


def test_a_flat_shape_costs_no_forward():
    flat, half = begun({"y1": 1, "y2": 1, "y3": 1}), begun({"y1": 0.5, "y2": 0.5, "y3": 0.5})

    assert not flat.unknown(ALL).any()
    assert look(flat, default_rng(4)) == N
    assert not half.unknown(ALL).any()
    assert look(half, default_rng(4)) == pytest.approx(N / 2, abs=50)


def test_judgements_of_the_primed_epoch_are_ignored():
    selector = adaptive(N, {})
    selector.begin_epoch(0, 0.0)
    look(selector, default_rng(5))

    selector.judged(1.0)

    assert selector.shape == HARDEST


def _ys(shape: Shape) -> tuple[float, float, float]:
    return shape.y1, shape.y2, shape.y3


def test_the_more_held_out_labels_are_contradicted_the_less_the_highest_losses_count():
    highest = np.quantile(LOSSES, 0.8) < LOSSES
    shares: list[float] = []
    for contradicted in (0.0, HARD, (HARD + WRONG) / 2, WRONG, 0.5):
        selector = begun({})
        selector.doubted(contradicted, contradicted)
        kept = selector.keep(ALL, LOSSES, default_rng(8)).positions
        shares.append(float(highest[kept].sum() / highest.sum()))

    assert shares[0] == shares[1] > shares[2] > shares[3] == shares[4]
    assert shares[4] < 0.6 * shares[0]


def test_doubted_outright_it_keeps_what_the_middle_shape_keeps():
    doubtful, middle = begun({}), begun(dict(zip(("y1", "y2", "y3"), _ys(MIDDLE), strict=True)))

    doubtful.doubted(WRONG, WRONG)

    assert doubtful.keep_rate == middle.keep_rate
    assert look(doubtful, default_rng(9)) == look(middle, default_rng(9))


def test_doubted_before_the_data_are_known_it_keeps_all_and_asks_for_no_forward():
    selector, halfway = begun({}), begun({})

    selector.doubted(WRONG, WRONG + UNLEARNT)
    halfway.doubted(WRONG, WRONG + (LEARNT + UNLEARNT) / 2)

    assert selector.keep_rate == 1.0
    assert not selector.unknown(ALL).any()
    assert begun({}).keep_rate < halfway.keep_rate < 1.0


def test_doubt_survives_a_resume_and_a_judgement():
    selector, resumed = begun({}), begun({})
    selector.doubted((HARD + WRONG) / 2, WRONG + LEARNT)
    resumed.restore(selector.state())
    rates = [selector.keep_rate, resumed.keep_rate]
    for each in (selector, resumed):
        each.judged(1.0)

    assert rates[0] == rates[1] == selector.keep_rate == resumed.keep_rate


def test_shapes_that_are_not_followed_are_not_judged():
    selector = begun({"wins": 1})
    look(selector, default_rng(10))
    selector.doubted(WRONG, WRONG)

    for _ in range(20):
        selector.judged(1.0)

    assert selector.shape == HARDEST


def test_labels_doubted_while_all_are_trained_on_are_doubted_from_the_first_choice_on():
    selector = adaptive(N, {"primed_epochs": 2})
    selector.begin_epoch(1, 0.1)

    selector.doubted(WRONG, WRONG)
    primed = selector.keep_rate
    selector.begin_epoch(2, 0.2)

    assert primed == 1.0
    assert selector.keep_rate > begun({}).keep_rate
