"""What a run learns from: labels replaced, made noisy and held out, in this order; the test split is left alone."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tests.support.training.runs import a_prepared, frozen, write_stripes  # noqa: E402 - wants torch
from trainer.errors import TrainError  # noqa: E402
from trainer.run.prepare import Prepared  # noqa: E402


def labels_of(prepared: Prepared) -> np.ndarray:
    return prepared.learner.pixels.labels.numpy()


def test_a_run_learns_from_the_training_split_as_it_is(tmp_path: Path):
    prepared = a_prepared(write_stripes(tmp_path / "stripes.npz"))

    pixels, train = prepared.learner.pixels, prepared.dataset.train
    assert np.array_equal(pixels.images.numpy(), train.images)
    assert np.array_equal(pixels.labels.numpy(), train.labels)


def test_label_noise_changes_labels_that_are_trained_on_alone(tmp_path: Path):
    prepared = a_prepared(write_stripes(tmp_path / "stripes.npz"), label_noise=0.3)
    clean = a_prepared(tmp_path / "stripes.npz")

    wrong = (labels_of(prepared) != prepared.dataset.train.labels).mean()

    assert wrong == pytest.approx(0.3 * 2 / 3, abs=0.05)
    assert np.array_equal(prepared.dataset.test.labels, clean.dataset.test.labels)


def test_the_same_seed_draws_the_same_noise_whatever_selects(tmp_path: Path):
    stripes = write_stripes(tmp_path / "stripes.npz")
    noisy = {"label_noise": 0.3}

    uniform, stale, other = (
        labels_of(a_prepared(stripes, **noisy, **more))
        for more in ({}, {"selector": "stale"}, {"seed": 1})
    )

    assert np.array_equal(uniform, stale)
    assert not np.array_equal(uniform, other)


def test_the_same_seed_begins_with_the_same_weights_whatever_selects(tmp_path: Path):
    stripes = write_stripes(tmp_path / "stripes.npz")

    one, same, other = (
        frozen(dict(a_prepared(stripes, **more).learner.module.state_dict()))
        for more in ({}, {"selector": "adaptive", "held_out": 0.0, "way": "bf16"}, {"seed": 1})
    )

    assert one == same != other


def test_labels_from_a_file_are_trained_on_instead(tmp_path: Path):
    stripes = write_stripes(tmp_path / "stripes.npz")
    given = np.arange(700) % 3
    np.savez(tmp_path / "labels.npz", worse=given)

    prepared = a_prepared(stripes, labels=f"{tmp_path / 'labels.npz'}:worse")

    assert np.array_equal(labels_of(prepared), given)


def test_held_out_examples_are_not_trained_on(tmp_path: Path):
    prepared = a_prepared(
        write_stripes(tmp_path / "stripes.npz"), selector="adaptive", held_out=0.05
    )

    assert len(prepared.learner.pixels) == 665
    rows = {image.tobytes() for image in prepared.learner.pixels.images.numpy()}
    rest = [image for image in prepared.dataset.train.images if image.tobytes() not in rows]
    assert len(rest) == 35


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"selector": "best"}, "selector: unknown selector 'best'"),
        ({"network": "cnn-w2"}, "network: network 'cnn-w2' is unknown"),
        ({"labels": "/nowhere.npz:y"}, "/nowhere.npz"),
    ],
)
def test_what_cannot_be_trained_is_told(tmp_path: Path, values: dict[str, str], told: str):
    with pytest.raises(TrainError, match=told):
        a_prepared(write_stripes(tmp_path / "stripes.npz"), **values)
