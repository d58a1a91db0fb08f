"""Training steps: weights reach the gradient, the rate the update; losses are told unweighted and cost no state."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.training.runs import a_prepared, frozen, write_stripes  # noqa: E402 - wants torch
from trainer.run.learner import Learner  # noqa: E402

IDS = np.arange(8)
ONES = np.ones(8, np.float32)


def a_learner(folder: Path, weight_decay: float = 0.0, momentum: float = 0.0) -> Learner:
    """The same each time."""
    stripes = write_stripes(folder / "stripes.npz")
    return a_prepared(stripes, weight_decay=weight_decay, momentum=momentum).learner


def weights_of(learner: Learner) -> "torch.Tensor":
    return torch.nn.utils.parameters_to_vector(learner.module.parameters()).detach().clone()


def stepped(
    learner: Learner, weights: np.ndarray, rate: float = 0.1, ids: np.ndarray = IDS
) -> "torch.Tensor":
    """How the weights moved."""
    before = weights_of(learner)
    learner.step(ids, weights.astype(np.float32), rate, np.random.default_rng(0))
    return weights_of(learner) - before


def test_examples_of_weight_zero_teach_nothing(tmp_path: Path):
    assert not stepped(a_learner(tmp_path), 0 * ONES).any()


def test_twice_the_weight_is_twice_the_rate(tmp_path: Path):
    one = stepped(a_learner(tmp_path), 2 * ONES, 0.1)
    other = stepped(a_learner(tmp_path), ONES, 0.2)

    assert one.any()
    assert torch.allclose(one, other, rtol=1e-3, atol=1e-7)


def test_each_example_is_weighed_by_its_own_weight(tmp_path: Path):
    first, last = np.eye(8)[0], np.eye(8)[7]

    moves = [stepped(a_learner(tmp_path), w) for w in (first, last, first + last)]

    assert not torch.allclose(moves[0], moves[1], atol=1e-6)
    assert torch.allclose(moves[0] + moves[1], moves[2], rtol=1e-3, atol=1e-7)


def test_a_step_at_rate_zero_moves_nothing(tmp_path: Path):
    assert not stepped(a_learner(tmp_path, weight_decay=0.1, momentum=0.9), ONES, 0.0).any()


def test_the_losses_of_a_step_are_unweighted(tmp_path: Path):
    told = [
        a_learner(tmp_path).step(IDS, weights, 0.1, np.random.default_rng(0))
        for weights in (ONES, 5 * ONES)
    ]

    assert np.array_equal(*told)
    assert (told[0].dtype, told[0].shape) == (np.float32, (8,))


def test_weights_are_decayed_and_biases_and_scales_are_not(tmp_path: Path):
    learner = a_learner(tmp_path, weight_decay=0.5)
    before = {name: p.detach().clone() for name, p in learner.module.named_parameters()}

    stepped(learner, 0 * ONES, 0.1)

    for name, p in learner.module.named_parameters():
        assert torch.allclose(p, before[name] * (0.95 if p.ndim > 1 else 1.0)), name


def test_looking_at_losses_and_judging_change_nothing(tmp_path: Path):
    learner = a_learner(tmp_path)
    stepped(learner, ONES)
    before = frozen([learner.module.state_dict(), learner.optimiser.state_dict()])

    learner.losses(np.arange(300))
    learner.judge(learner.pixels)

    assert frozen([learner.module.state_dict(), learner.optimiser.state_dict()]) == before


def test_a_judgement_is_the_mean_loss_and_the_share_of_wrong_answers(tmp_path: Path):
    learner = a_learner(tmp_path)
    stepped(learner, ONES)
    pixels = learner.pixels
    with torch.no_grad():
        answers = learner.module.eval()(pixels.images.float()).argmax(1)

    with torch.no_grad():
        chances = learner.module.eval()(pixels.images.float()).softmax(1)
    own = chances[torch.arange(len(pixels)), pixels.labels]

    loss, wrong, contradicted = learner.judge(pixels)

    assert contradicted == pytest.approx(float((5 * own < chances.max(1).values).float().mean()))
    assert loss == pytest.approx(learner.losses(np.arange(len(pixels))).mean(), rel=1e-4)
    assert wrong == pytest.approx(float((answers != pixels.labels).float().mean()))


def test_training_brings_the_error_down(tmp_path: Path):
    prepared = a_prepared(write_stripes(tmp_path / "stripes.npz"))
    before = prepared.learner.judge(prepared.learner.pixels).wrong

    list(prepared.run.steps())

    after = prepared.learner.judge(prepared.learner.pixels).wrong
    assert after < before / 4


def test_bfloat16_steps_move_the_weights_about_as_float32_ones(tmp_path: Path):
    stripes = write_stripes(tmp_path / "stripes.npz")
    moves = [
        stepped(a_prepared(stripes, precision=p, momentum=0.0).learner, ONES)
        for p in ("fp32", "bf16")
    ]

    assert not torch.equal(*moves)
    assert float(torch.nn.functional.cosine_similarity(*moves, dim=0)) > 0.98
