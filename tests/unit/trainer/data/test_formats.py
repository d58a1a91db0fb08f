"""Every format yields the images and labels that were written, as bytes and whole numbers, ready for training."""

from pathlib import Path

import numpy as np
import pytest

from tests.support.training import datasets
from trainer import data
from trainer.data import Dataset, load, pixel_statistics
from trainer.errors import TrainError


def write(kind: str, root: Path) -> Path:
    match kind:
        case "idx":
            return datasets.write_idx(root)
        case "cifar10":
            return datasets.write_cifar(root)
        case "npz":
            return datasets.write_npz(root.with_suffix(".npz"))
        case "jpegs":
            return datasets.write_jpegs(root)
        case _:
            datasets.write_pictures(root / "train", {"cat": 4, "dog": 2})
            datasets.write_pictures(root / "test", {"cat": 2, "dog": 1})
            return root


@pytest.mark.parametrize("kind", data.KINDS)
def test_every_format_is_recognised_and_gives_arrays_that_torch_can_take(kind: str, tmp_path: Path):
    path = write(kind, tmp_path / "set")

    found = load(path)

    for part in (found.train, found.test):
        assert part.images.dtype == np.uint8
        assert part.labels.dtype == np.int64
        assert part.labels.shape == part.images.shape[:1]
        assert part.images.flags.writeable
        assert part.images.flags.c_contiguous
        assert part.labels.max() < len(found.classes)
    assert "sha256 " in found.source


@pytest.mark.parametrize("kind", data.KINDS)
def test_what_is_recognised_can_be_asked_for_by_name(kind: str, tmp_path: Path):
    path = write(kind, tmp_path / "set")

    assert same(load(path, kind=kind), load(path))


def same(one: Dataset, other: Dataset) -> bool:
    pairs = ((one.train, other.train), (one.test, other.test))
    arrays = all(
        np.array_equal(a.images, b.images) and np.array_equal(a.labels, b.labels) for a, b in pairs
    )
    return arrays and (one.name, one.classes) == (other.name, other.classes)


def test_idx_keeps_pixels_and_labels_plain_or_gzip(tmp_path: Path):
    found = load(datasets.write_idx(tmp_path))

    images, labels = datasets.some_images(9), datasets.some_labels(9)
    assert np.array_equal(found.train.images, images[:6])
    assert np.array_equal(found.test.images, images[6:])
    assert np.array_equal(found.train.labels, labels[:6])
    assert np.array_equal(found.test.labels, labels[6:])
    assert found.classes == ("0", "1", "2")


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_cifar_batches_are_joined_in_order_from_pickles_of_any_age(protocol: int, tmp_path: Path):
    found = load(datasets.write_cifar(tmp_path, protocol=protocol))

    assert found.train.images.shape == (10, 3, 32, 32)
    assert np.array_equal(found.train.images[2:4], datasets.some_images(2, 3, 32, seed=1))
    assert found.train.labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert found.test.labels.tolist() == [5, 5]
    assert found.classes[:2] == ("airplane", "automobile")


def test_a_pickle_of_python_2_is_read(tmp_path: Path):
    datasets.write_cifar(tmp_path, each=1)
    pixels = bytes(range(256)) * 12
    array = (
        b"}q\x00(U\x06labels]K\x07aU\x04datacnumpy.core.multiarray\n_reconstruct\n"
        b"(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x01M\x00\x0ctcnumpy\ndtype\n(U\x02u1K\x00K\x01tR"
        b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T"
    )
    size = len(pixels).to_bytes(4, "little")
    (tmp_path / "test_batch").write_bytes(array + size + pixels + b"tbu.")

    found = load(tmp_path)

    assert found.test.labels.tolist() == [7]
    assert found.test.images.tobytes() == pixels


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3, 1)])
def test_colour_npz_may_have_its_channels_first_or_last(axes: tuple[int, ...], tmp_path: Path):
    train, test = datasets.some_images(6, 3), datasets.some_images(3, 3, seed=1)
    path = tmp_path / "some.npz"
    np.savez(
        path,
        x_train=train.transpose(axes),
        y_train=datasets.some_labels(6)[:, None],
        x_test=test.transpose(axes),
        y_test=datasets.some_labels(3)[:, None],
    )

    found = load(path)

    assert np.array_equal(found.train.images, train)
    assert np.array_equal(found.test.images, test)
    assert found.train.labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_jpegs_come_out_nearly_as_they_went_in(tmp_path: Path):
    datasets.write_jpegs(tmp_path)
    flat = np.full((1, 3, 8, 8), 200, np.uint8)
    flat[:, 2] = 90
    file = np.frombuffer(datasets.encoded(flat[0], "JPEG"), np.uint8)
    np.savez(tmp_path / "test.npz", jpeg=file, offset=[0, len(file)], label=[1])

    found = load(tmp_path)

    assert found.train.images.shape == (6, 3, 8, 8)
    assert np.abs(found.test.images.astype(int) - flat).max() <= 3


def test_a_folder_of_pictures_takes_classes_from_its_folders(tmp_path: Path):
    datasets.write_pictures(tmp_path / "train", {"ant": 2, "bee": 3}, channels=1)
    datasets.write_pictures(tmp_path / "test", {"bee": 1}, channels=1)

    found = load(tmp_path)

    assert found.classes == ("ant", "bee")
    assert found.train.labels.tolist() == [0, 0, 1, 1, 1]
    assert found.test.labels.tolist() == [1]
    assert np.array_equal(found.train.images[2:], datasets.some_images(3, 1, 6, seed=1))


def test_pictures_of_other_sizes_and_colours_become_like_the_first(tmp_path: Path):
    datasets.write_pictures(tmp_path / "train", {"ant": 1}, side=6)
    datasets.write_pictures(tmp_path / "train", {"bee": 2}, channels=1, side=9)
    datasets.write_pictures(tmp_path / "test", {"ant": 1}, side=3)

    found = load(tmp_path)

    assert found.train.images.shape == (3, 3, 6, 6)
    assert found.test.images.shape == (1, 3, 6, 6)
    assert np.array_equal(found.train.images[1, 0], found.train.images[1, 2])


def test_class_folders_alone_are_split_the_same_way_every_time(tmp_path: Path):
    datasets.write_pictures(tmp_path, {"ant": 10, "bee": 20})

    found = load(tmp_path)

    assert np.bincount(found.test.labels).tolist() == [2, 4]
    assert np.bincount(found.train.labels).tolist() == [8, 16]
    assert same(found, load(tmp_path))


def test_digits_are_embedded_stratified_and_use_the_whole_range():
    pytest.importorskip("sklearn")

    found = load("digits")

    assert found.train.images.shape == (1438, 1, 8, 8)
    assert found.test.images.shape == (359, 1, 8, 8)
    assert (found.train.images.min(), found.train.images.max()) == (0, 255)
    held = np.bincount(found.test.labels)
    assert np.abs(held - 0.2 * (held + np.bincount(found.train.labels))).max() < 1
    assert found.source == load("digits").source


def test_the_debian_package_is_named_where_it_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(data, "_DEBIAN_FASHION", tmp_path / "absent")

    with pytest.raises(TrainError, match="dataset-fashion-mnist"):
        load("fashion-mnist")


def test_fashion_mnist_is_read_from_the_package_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(data, "_DEBIAN_FASHION", datasets.write_idx(tmp_path))

    assert load("fashion-mnist").train.images.shape == (6, 1, 4, 4)


def test_a_folder_around_the_data_set_is_looked_into(tmp_path: Path):
    datasets.write_cifar(tmp_path / "downloads" / "cifar-10-batches-py")

    assert load(tmp_path / "downloads").name == "cifar10"


def test_pixel_statistics_are_those_of_every_channel():
    images = datasets.some_images(5000, 3, side=3)
    images[:, 1] = 7

    mean, std = pixel_statistics(images)

    assert mean == pytest.approx(images.mean(axis=(0, 2, 3)))
    assert std[::2] == pytest.approx(images.std(axis=(0, 2, 3))[::2])
    assert std[1] == 1
