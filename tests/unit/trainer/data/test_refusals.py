"""Whatever is wrong with a data set, the error names the file, the fault and the way out."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.training import datasets
from tests.support.training.datasets import refused
from trainer.data import load
from trainer.data.labels import replacement
from trainer.errors import TrainError


def test_a_missing_path_is_refused(tmp_path: Path):
    refused(tmp_path / "nowhere", "nowhere", "does not exist")


def test_a_folder_of_something_else_is_told_what_is_known(tmp_path: Path):
    (tmp_path / "a.txt").write_text("a")
    (tmp_path / "b.txt").write_text("b")

    refused(tmp_path, str(tmp_path), "idx", "folders", "convert it")


def test_an_unknown_kind_is_told_the_known_ones(tmp_path: Path):
    with pytest.raises(TrainError, match=r"'parquet' is unknown; there are idx, cifar10"):
        load(datasets.write_idx(tmp_path), kind="parquet")


_Damage = Callable[[bytes], bytes]


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda b: b[:-1], "is truncated: it has 111 bytes, its header says 112"),
        (lambda b: b[:9], "is truncated"),
        (lambda b: b + b"x", "is too long"),
        (lambda b: b"\0\0\x0d" + b[3:], "begins with bytes 00 00 0d 03, not 00 00 08 03"),
        (lambda _: b"", "begins with bytes none"),
        (lambda b: b[:4] + b"\xff" * 12 + b[16:], "is truncated"),
    ],
)
def test_damaged_idx_is_refused(damage: _Damage, fault: str, tmp_path: Path):
    path = datasets.write_idx(tmp_path) / "train-images-idx3-ubyte"
    path.write_bytes(damage(path.read_bytes()))

    refused(tmp_path, str(path), fault, "get the file again")


@pytest.mark.parametrize(
    "damage", [lambda b: b[:-9], lambda b: b[:20] + b"\0" * 9 + b[29:], lambda b: b[1:]]
)
def test_damaged_gzip_is_refused(damage: _Damage, tmp_path: Path):
    path = datasets.write_idx(tmp_path) / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))

    refused(tmp_path, str(path), "cannot be read", "get the file again")


def test_a_missing_idx_file_is_named(tmp_path: Path):
    (datasets.write_idx(tmp_path) / "t10k-labels-idx1-ubyte.gz").unlink()

    refused(tmp_path, "t10k-labels-idx1-ubyte.gz", "put the missing file there")


def test_images_without_labels_are_counted(tmp_path: Path):
    path = datasets.write_idx(tmp_path) / "train-labels-idx1-ubyte"
    path.write_bytes(datasets.idx(datasets.some_labels(5)))

    refused(tmp_path, "train-labels-idx1-ubyte", "6 images and 5 labels")


def test_an_empty_split_is_refused(tmp_path: Path):
    refused(datasets.write_idx(tmp_path, test=0), "t10k-images", "is empty")


def test_the_first_label_out_of_range_is_named(tmp_path: Path):
    path = datasets.write_idx(tmp_path) / "t10k-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(datasets.idx(np.array([2, 200, 7], np.uint8))))

    refused(tmp_path, "test labels", "label 200 of example 1 is outside 0..2", "2 such labels")


def test_gaps_among_the_training_labels_are_found(tmp_path: Path):
    labels = np.array([0, 1, 2, 0, 200, 2])

    refused(datasets.write_npz(tmp_path / "a.npz", ytr=labels), "label 200 of example 4", "0..3")


@pytest.mark.parametrize("labels", [np.full(6, -1), np.array([0, 1, 2, -5, 1, 2])])
def test_negative_labels_are_refused(labels: np.ndarray, tmp_path: Path):
    refused(datasets.write_npz(tmp_path / "a.npz", ytr=labels), "train labels", "is outside 0..")


@pytest.mark.parametrize(
    ("replaced", "words"),
    [
        ({"ytr": np.zeros(6)}, ("labels of type float64", "one whole number")),
        ({"ytr": np.eye(6, 3, dtype=int)}, ("shape 6x3", "one whole number")),
        ({"xtr": np.zeros((6, 4, 4), np.float32)}, ("xtr", "float32", "uint8")),
        ({"xtr": np.zeros((6, 5, 4, 4), np.uint8)}, ("xtr", "6x5x4x4")),
        ({"xtr": np.zeros((6, 4, 5), np.uint8)}, ("4 high and 5 wide", "squares")),
        ({"xte": np.zeros((3, 5, 5), np.uint8)}, ("1x4x4", "1x5x5", "the same")),
    ],
)
def test_arrays_of_other_shapes_and_types_are_refused(
    replaced: dict[str, np.ndarray], words: tuple[str, ...], tmp_path: Path
):
    refused(datasets.write_npz(tmp_path / "a.npz", **replaced), "a.npz", *words)


def test_an_npz_without_the_arrays_lists_those_it_has(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.zeros(1))

    refused(tmp_path / "a.npz", "has the arrays x", "xtr ytr xte yte")


def test_objects_in_an_npz_are_not_unpickled(tmp_path: Path):
    path = datasets.write_npz(tmp_path / "a.npz", ytr=np.array([{}] * 6, dtype=object))

    refused(path, str(path), "cannot be read as npz")


@pytest.mark.parametrize("keep", [0, 10, 300, -40])
def test_a_truncated_npz_is_refused(keep: int, tmp_path: Path):
    path = datasets.write_npz(tmp_path / "a.npz")
    path.write_bytes(path.read_bytes()[:keep])

    refused(path, str(path), "cannot be read as npz", "get the file again")


def test_no_flipped_byte_of_an_npz_escapes_as_another_error(tmp_path: Path):
    whole = datasets.write_npz(tmp_path / "a.npz").read_bytes()
    path = tmp_path / "b.npz"

    faults = 0
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        try:
            load(path)
        except TrainError:
            faults += 1

    assert faults > len(whole) // 14


def test_replacement_labels_are_read_by_key(tmp_path: Path):
    np.savez(tmp_path / "n.npz", random_label1=np.array([2, 0, 1], np.uint8))

    labels = replacement(tmp_path / "n.npz", "random_label1", count=3, classes=3)

    assert labels.tolist() == [2, 0, 1]
    assert labels.dtype == np.int64


@pytest.mark.parametrize(
    ("key", "count", "classes", "fault"),
    [
        ("worse", 3, 3, "has no array worse; it has aggre"),
        ("aggre", 4, 3, "has 3 labels for 4 training examples"),
        ("aggre", 3, 2, "label 2 of example 0 is outside 0..1"),
    ],
)
def test_replacement_labels_that_do_not_fit_are_refused(
    key: str, count: int, classes: int, fault: str, tmp_path: Path
):
    np.savez(tmp_path / "n.npz", aggre=np.array([2, 0, 1]))

    with pytest.raises(TrainError, match=re.escape(fault)):
        replacement(tmp_path / "n.npz", key, count=count, classes=classes)


def test_an_array_alone_is_no_npz(tmp_path: Path):
    np.save(tmp_path / "a.npy", np.zeros(3))
    (tmp_path / "a.npy").rename(tmp_path / "a.npz")

    with pytest.raises(TrainError, match="no npz file at all"):
        replacement(tmp_path / "a.npz", "x", count=3, classes=3)
