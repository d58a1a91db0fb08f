"""Batches of images: augmented each for itself, by mirrors and small shifts, the same way under one seed."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from trainer.data import Split  # noqa: E402 - wants torch
from trainer.run.pixels import Pixels, augmented, floats  # noqa: E402

N, SIDE = 64, 16
REACH = SIDE // 8


def some_images(channels: int = 3) -> "torch.Tensor":
    """No pixel is 0, so what a shift uncovers can be told."""
    shape = (N, channels, SIDE, SIDE)
    return torch.from_numpy(np.random.default_rng(0).integers(1, 256, shape, np.uint8))


def shifts_of(image: "torch.Tensor") -> dict[tuple[int, int], "torch.Tensor"]:
    """Every allowed shift of it, by (rows, columns)."""
    padded = torch.nn.functional.pad(image, (REACH,) * 4)
    reach = range(2 * REACH + 1)
    return {(r, c): padded[:, r : r + SIDE, c : c + SIDE] for r in reach for c in reach}


def test_examples_come_with_their_own_labels():
    images, labels = some_images().numpy(), np.arange(N)
    ids = np.array([5, 3, 5])

    found, classes = Pixels(Split(images, labels), torch.device("cpu")).at(ids)

    assert found.numpy().tobytes() == images[ids].tobytes()
    assert classes.tolist() == [5, 3, 5]


def test_a_network_gets_the_pixel_values_channels_last():
    images = some_images()

    taken = floats(images)

    assert taken.dtype == torch.float32
    assert torch.equal(taken, images.float())
    assert taken.is_contiguous(memory_format=torch.channels_last)


def test_none_changes_nothing_and_draws_nothing():
    images, rng = some_images(), np.random.default_rng(1)

    assert augmented(images, "none", rng) is images
    assert rng.random() == np.random.default_rng(1).random()


def test_a_flip_mirrors_about_half_of_the_images_each_for_itself():
    images = some_images()

    flipped = augmented(images, "flip", np.random.default_rng(2))

    same = [torch.equal(a, b) for a, b in zip(images, flipped, strict=True)]
    mirrored = [torch.equal(a.flip(2), b) for a, b in zip(images, flipped, strict=True)]
    assert all(s != m for s, m in zip(same, mirrored, strict=True))
    assert N / 4 < sum(mirrored) < 3 * N / 4


def test_a_flip_of_a_flip_is_the_image():
    images = some_images()

    once = augmented(images, "flip", np.random.default_rng(3))
    twice = augmented(once, "flip", np.random.default_rng(3))

    assert torch.equal(twice, images)


def test_a_crop_shifts_each_image_by_up_to_an_eighth_and_uncovers_zeros():
    images = some_images()

    cropped = augmented(images, "crop", np.random.default_rng(4))

    assert cropped.shape == images.shape
    assert cropped.dtype == torch.uint8
    found: set[tuple[int, int]] = set()
    for image, crop in zip(images, cropped, strict=True):
        shifted = shifts_of(image) | {
            (r, c, "mirrored"): s for (r, c), s in shifts_of(image.flip(2)).items()
        }
        where = [key[:2] for key, s in shifted.items() if torch.equal(s, crop)]
        assert len(where) == 1
        found.update(where)
    assert {r for r, _ in found} == {c for _, c in found} == set(range(2 * REACH + 1))


@pytest.mark.parametrize("how", ["flip", "crop"])
def test_one_seed_augments_one_way_and_another_another(how: str):
    images = some_images()

    first, again, other = (
        augmented(images, how, np.random.default_rng(seed)) for seed in (5, 5, 6)
    )

    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("how", ["flip", "crop"])
def test_the_images_given_stay_as_they_are(how: str):
    images = some_images(1)
    before = images.clone()

    augmented(images, how, np.random.default_rng(7))

    assert torch.equal(images, before)
