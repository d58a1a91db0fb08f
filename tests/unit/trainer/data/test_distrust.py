"""Pickles and pictures are not trusted: damaged or foreign ones are named and refused, and no code of theirs runs."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.support.training import datasets
from tests.support.training.datasets import refused
from trainer.data import load
from trainer.errors import TrainError


class Foreign:
    def __reduce__(self) -> tuple[object, ...]:
        return os.system, ("true",)


def test_a_pickle_with_foreign_code_is_refused_before_it_runs(tmp_path: Path):
    path = datasets.write_cifar(tmp_path) / "data_batch_3"
    path.write_bytes(pickle.dumps({"data": Foreign(), "labels": [1]}))

    refused(tmp_path, str(path), "refused", "system", "only arrays of bytes are read")


@pytest.mark.parametrize(
    "content",
    [
        b"c_codecs\nencode\n(N}X\x01\x00\x00\x00aX\x01\x00\x00\x00bstb.",
        b"cnumpy\ndtype\n(U\x02u1tR}b.",
        b"cnumpy\nndarray\n)\x81.",
    ],
)
def test_a_pickle_can_change_nothing_that_it_is_given(content: bytes, tmp_path: Path):
    path = datasets.write_cifar(tmp_path) / "data_batch_3"
    path.write_bytes(content)

    refused(tmp_path, str(path))
    path.unlink()
    assert load(datasets.write_cifar(tmp_path)).name == "cifar10"


def test_no_flipped_byte_of_a_pickle_escapes_as_another_error(tmp_path: Path):
    path = datasets.write_cifar(tmp_path, each=1) / "test_batch"
    whole = path.read_bytes()

    faults = 0
    for position in [*range(160), *range(len(whole) - 60, len(whole))]:
        for flip in (0xFF, 0x01, 0x40):
            path.write_bytes(
                whole[:position] + bytes([whole[position] ^ flip]) + whole[position + 1 :]
            )
            try:
                load(tmp_path)
            except TrainError:
                faults += 1

    assert faults > 100


@pytest.mark.parametrize(
    ("batch", "words"),
    [
        ([1, 2], ("no array `data`",)),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, ("for 1 labels",)),
        ({"data": np.zeros((1, 3072), np.float32), "labels": [1]}, ("'f4', not of unsigned",)),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": ["cat"]}, ("not whole numbers",)),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [1 << 70]}, ("exceed 64 bits",)),
        (
            {"data": np.zeros((1, 3072), np.uint8), "labels": [10]},
            ("label 10 of example 4", "0..9"),
        ),
    ],
)
def test_batches_that_hold_something_else_are_refused(
    batch: object, words: tuple[str, ...], tmp_path: Path
):
    path = datasets.write_cifar(tmp_path, each=1) / "data_batch_5"
    path.write_bytes(pickle.dumps(batch))

    refused(tmp_path, str(tmp_path), *words)


def test_a_missing_batch_is_named(tmp_path: Path):
    (datasets.write_cifar(tmp_path) / "data_batch_4").unlink()

    refused(tmp_path, "data_batch_4 is missing")


def rewrite(path: Path, **replaced: np.ndarray) -> None:
    with np.load(path) as arrays:
        present = dict(arrays)
    np.savez(path, **(present | replaced))


def test_jpegs_whose_bounds_do_not_fit_are_refused(tmp_path: Path):
    path = datasets.write_jpegs(tmp_path) / "train.npz"
    with np.load(path) as arrays:
        content = arrays["jpeg"]

    rewrite(path, jpeg=content[:-10])

    refused(tmp_path, str(path), "`offset` must rise from 0", "truncated")


def test_the_jpeg_that_cannot_be_decoded_is_named(tmp_path: Path):
    path = datasets.write_jpegs(tmp_path) / "train.npz"
    with np.load(path) as arrays:
        content, offset = arrays["jpeg"].copy(), arrays["offset"]
    content[offset[2] : offset[3]] = 0

    rewrite(path, jpeg=content)

    refused(tmp_path, f"{path}, picture 2", "cannot be decoded")


def test_jpegs_need_both_files(tmp_path: Path):
    (datasets.write_jpegs(tmp_path) / "test.npz").unlink()

    refused(tmp_path, "test.npz")


def test_the_picture_that_cannot_be_decoded_is_named(tmp_path: Path):
    path = datasets.write_pictures(tmp_path, {"ant": 5, "bee": 5}) / "bee" / "3.png"
    path.write_bytes(path.read_bytes()[:-30])

    refused(tmp_path, str(path), "cannot be decoded", "remove it")


def test_pictures_of_sixteen_bits_are_refused(tmp_path: Path):
    path = datasets.write_pictures(tmp_path, {"ant": 5}) / "ant" / "2.png"
    path.write_bytes(datasets.encoded(np.zeros((1, 6, 6), np.uint16)))

    refused(tmp_path, str(path), "more than 8 bits")


def test_class_folders_must_agree_and_hold_pictures(tmp_path: Path):
    datasets.write_pictures(tmp_path / "train", {"ant": 1, "bee": 1})
    refused(tmp_path, "none named test")

    datasets.write_pictures(tmp_path / "test", {"cow": 1})
    refused(tmp_path, str(tmp_path / "test"), "cow")

    (tmp_path / "test" / "cow").rename(tmp_path / "test" / "ant")
    (tmp_path / "train" / "cat").mkdir()
    refused(tmp_path, "no pictures", "cat")


def test_too_few_pictures_to_split_are_refused(tmp_path: Path):
    refused(datasets.write_pictures(tmp_path, {"ant": 1, "bee": 1}), "2 pictures are too few")
