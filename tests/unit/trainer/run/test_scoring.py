"""Selection forwards: bfloat16 ranks as float32 does, and its copy is as old as was agreed."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.training.runs import a_prepared, write_stripes  # noqa: E402 - wants torch
from trainer.run.learner import Learner  # noqa: E402
from trainer.run.scoring import scorer  # noqa: E402

IDS = np.arange(300)


def spearman(one: np.ndarray, other: np.ndarray) -> float:
    ranks = [np.argsort(np.argsort(losses)) for losses in (one, other)]
    return float(np.corrcoef(ranks)[0, 1])


def a_learner(folder: Path) -> Learner:
    return a_prepared(write_stripes(folder / "stripes.npz")).learner


def trained(learner: Learner, steps: int) -> None:
    rng = np.random.default_rng(0)
    for _ in range(steps):
        ids = rng.integers(0, len(learner.pixels), 32)
        learner.step(ids, np.ones(32, np.float32), 0.02, rng)


def test_bfloat16_ranks_losses_as_float32_does():
    pytest.importorskip("sklearn")
    prepared = a_prepared(Path("digits"), network="cnn-w8-d2", batch=64)
    trained(prepared.learner, 60)
    ids = np.arange(len(prepared.learner.pixels))

    plain = scorer("plain", prepared.learner, 1).losses(ids)
    narrow = scorer("bf16", prepared.learner, 1).losses(ids)

    assert plain.std() > 0.05
    assert spearman(plain, narrow) > 0.98
    assert not np.array_equal(plain, narrow)


def test_plain_losses_are_those_of_the_network_as_it_is(tmp_path: Path):
    learner = a_learner(tmp_path)
    plain = scorer("plain", learner, 16)

    before = plain.losses(IDS)
    trained(learner, 1)

    assert not np.array_equal(plain.losses(IDS), before)
    assert np.array_equal(plain.losses(IDS), learner.losses(IDS))


def test_scoring_in_parts_and_at_once_gives_the_same_losses(tmp_path: Path):
    learner = a_learner(tmp_path)

    parts = np.concatenate([learner.losses(IDS[:128]), learner.losses(IDS[128:])])

    assert np.array_equal(parts, learner.losses(IDS))


@pytest.mark.parametrize("way", ["plain", "bf16"])
def test_no_examples_have_no_losses(tmp_path: Path, way: str):
    losses = scorer(way, a_learner(tmp_path), 16).losses(IDS[:0])

    assert (losses.shape, losses.dtype) == ((0,), np.float32)


def test_scoring_changes_nothing_in_the_network(tmp_path: Path):
    learner = a_learner(tmp_path)
    before = {key: value.clone() for key, value in learner.module.state_dict().items()}

    for way in ("plain", "bf16"):
        scorer(way, learner, 1).losses(IDS)

    after = learner.module.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_the_copy_is_taken_anew_after_just_so_many_steps(tmp_path: Path):
    learner = a_learner(tmp_path)
    narrow = scorer("bf16", learner, 3)
    first = narrow.losses(IDS)

    changed: list[bool] = []
    for _ in range(6):
        trained(learner, 1)
        narrow.stepped()
        losses = narrow.losses(IDS)
        changed.append(not np.array_equal(losses, first))
        first = losses

    assert changed == [False, False, True, False, False, True]


def test_a_restored_scorer_has_the_same_copy_of_the_same_age(tmp_path: Path):
    learner = a_learner(tmp_path)
    narrow = scorer("bf16", learner, 3)
    trained(learner, 2)
    narrow.stepped()
    narrow.stepped()

    other = scorer("bf16", learner, 3)
    newer = other.losses(IDS)
    other.restore(narrow.state())

    assert np.array_equal(other.losses(IDS), narrow.losses(IDS))
    assert not np.array_equal(other.losses(IDS), newer)
    other.stepped()
    assert np.array_equal(other.losses(IDS), newer)
