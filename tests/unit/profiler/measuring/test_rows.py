"""The rows that arms are measured and tried with."""

import logging
import os
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.artifacts.samples import Published
from models.backends.base import BackendError, Tensors
from models.catalog import UNITS, Family, FreeSize, Slo, TensorSpec
from profiler.measuring.rows import SAMPLES, SampleError, SampleRows, sample_rows

IDS = Family("ids", (TensorSpec("ids", "INT64", (-1, 3)),), (), (), Slo(0.05), max_batch=8)


def embedding(size: int):
    """Takes ids below `size`, as an embedding of so many rows does."""

    def run(rows: Tensors) -> None:
        if int(rows["ids"].max()) >= size:
            raise BackendError(f"indices element out of data bounds, idx={rows['ids'].max()}")

    return run


@pytest.mark.parametrize(
    ("size", "kind"), [(1000, "below 256"), (10, "below 8"), (2, "below 2"), (1, "below 1")]
)
def test_made_rows_are_as_wide_as_the_model_takes(size: int, kind: str):
    rows = SampleRows(IDS)

    rows.fit(embedding(size))

    assert rows.kind == kind
    assert rows.first(8)["ids"].max() < size


def test_where_not_even_zeros_run_the_sample_is_blamed_and_the_way_out_told():
    rows = SampleRows(IDS)

    with pytest.raises(SampleError, match="no row could be made") as caught:
        rows.fit(embedding(0))

    assert SAMPLES in str(caught.value)


def test_rows_are_the_same_every_time_and_repeat_where_many_are_wanted():
    found = SampleRows(IDS).first(20)["ids"]

    assert found.shape == (20, 3)
    assert (found == SampleRows(IDS).first(20)["ids"]).all()
    assert (found[:8] == found[8:16]).all()


def test_what_one_arm_was_narrowed_to_holds_for_all():
    rows = SampleRows(IDS)

    rows.narrow("below 2")
    rows.narrow("below 8")

    assert rows.kind == "below 2"


def test_the_publishers_rows_are_used_where_there_are_any(tmp_path: Path):
    ids = np.array([[7, 8, 9], [1, 2, 3]])
    np.savez(tmp_path / SAMPLES, ids=ids, labels=np.zeros(2))

    rows = sample_rows(tmp_path, IDS)
    rows.fit(embedding(10))

    assert (rows.first(2)["ids"] == ids).all()
    assert rows.kind.startswith("published")


def test_a_row_of_the_publishers_that_does_not_run_is_named(tmp_path: Path):
    np.savez(tmp_path / SAMPLES, ids=np.array([[0, 0, 0], [0, 0, 99]]))

    with pytest.raises(SampleError, match=r"samples\.npz does not run, row 1: indices .* idx=99"):
        sample_rows(tmp_path, IDS).fit(embedding(10))


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"other": np.zeros((2, 3), np.int64)}, "no array for input 'ids'"),
        ({"ids": np.zeros((2, 3), np.int32)}, "int32"),
        ({"ids": np.zeros((2, 4), np.int64)}, "[2, 4]"),
        ({"ids": np.zeros((0, 3), np.int64)}, "no rows"),
    ],
)
def test_samples_that_do_not_fit_are_told_and_left_out(
    arrays: dict[str, np.ndarray], reason: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    np.savez(tmp_path / SAMPLES, **arrays)

    with caplog.at_level(logging.WARNING):
        rows = sample_rows(tmp_path, IDS)

    assert rows.kind == "below 256"
    assert reason in caplog.text


def test_a_file_of_samples_that_is_none_is_told_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / SAMPLES).write_bytes(b"no archive")

    assert sample_rows(tmp_path, IDS).kind == "below 256"
    assert SAMPLES in caplog.text


def test_an_archive_that_unpacks_to_much_costs_no_more_than_the_rows_that_are_used(tmp_path: Path):
    many = np.zeros((2_000_000, 3), np.int64)
    many[:40] = np.arange(40)[:, None]
    np.savez_compressed(tmp_path / SAMPLES, ids=many, other=many)

    tracemalloc.start()
    rows = sample_rows(tmp_path, IDS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert rows.n == 32
    assert rows.first(32)["ids"][:, 0].tolist() == list(range(32))
    assert peak < 2**20


def _pickled(path: Path) -> None:
    np.savez(path, ids=np.array([{"a": 1}, None], dtype=object))


def _by_columns(path: Path) -> None:
    np.savez(path, ids=np.asfortranarray(np.zeros((40, 3), np.int64)))


def _packed_anew(path: Path, content: bytes) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("ids.npy", content)


SHORT = b"{'descr': '<i8', 'fortran_order': False, 'shape': (9, 3), }        \n"
HEADER = b"\x93NUMPY\x01\x00"


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.mkdir(),
        os.mkfifo,
        _pickled,
        _by_columns,
        lambda path: _packed_anew(path, b""),
        lambda path: _packed_anew(path, HEADER + b"\x40\x00" + b"(" * 64),
        lambda path: _packed_anew(path, HEADER + b"\x46\x00" + SHORT),
        lambda path: path.write_bytes(b"PK\x03\x04" + bytes(200)),
    ],
    ids=["folder", "pipe", "pickled", "by columns", "empty", "nested", "short", "cut"],
)
def test_odd_files_of_samples_are_told_and_left_out(
    damage: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    damage(tmp_path / SAMPLES)

    assert sample_rows(tmp_path, IDS).kind == "below 256"
    assert f"{SAMPLES} is left out" in caplog.text


def test_few_rows_kept_by_columns_are_used(tmp_path: Path):
    ids = np.arange(6).reshape(2, 3)
    np.savez(tmp_path / SAMPLES, ids=np.asfortranarray(ids))

    assert sample_rows(tmp_path, IDS).first(2)["ids"].tolist() == ids.tolist()


def test_arms_tried_with_other_samples_are_tried_again(tmp_path: Path):
    made = SampleRows(IDS)
    np.savez(tmp_path / SAMPLES, ids=np.array([[7, 8, 9]]))
    published = sample_rows(tmp_path, IDS)

    assert made.covers("below 2")
    assert published.covers(published.kind)
    assert not made.covers(published.kind)
    assert not published.covers("below 256")


VALUES = Family("values", (TensorSpec("x", "FP32", (-1, 2)),), (), (), Slo(0.05), max_batch=8)


def with_nans(path: Path, rows: list[int]) -> np.ndarray:
    x = np.arange(12, dtype=np.float32).reshape(6, 2)
    x[rows, 1] = np.nan
    np.savez(path / SAMPLES, x=x)
    return x


def summing(rows: Tensors) -> Tensors:
    return {"y": np.asarray(rows["x"]).sum(axis=1)}


def imputing(rows: Tensors) -> Tensors:
    return {"y": np.nansum(np.asarray(rows["x"]), axis=1)}


def test_samples_that_hold_nan_and_are_answered_so_are_told_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    x = with_nans(tmp_path, [1, 4])

    rows = sample_rows(tmp_path, VALUES)
    kind = rows.kind
    rows.fit(summing)

    assert "samples.npz holds NaN in 2 of 6 rows" in caplog.text
    assert "2 rows of samples.npz that hold NaN are left out" in caplog.text
    assert rows.first(4)["x"].tolist() == x[[0, 2, 3, 5]].tolist()
    assert rows.n == 4
    assert rows.kind == kind  # else every start would try all arms anew


def test_a_model_that_takes_nan_is_tried_with_it(tmp_path: Path):
    with_nans(tmp_path, [1, 4])

    rows = sample_rows(tmp_path, VALUES)
    rows.fit(imputing)

    assert rows.n == 6


def test_where_all_samples_hold_nan_they_are_told_and_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    with_nans(tmp_path, list(range(6)))

    rows = sample_rows(tmp_path, VALUES)
    rows.fit(summing)

    assert "holds NaN in 6 of 6 rows" in caplog.text
    assert rows.n == 6


TEXT = Family(
    "text",
    (TensorSpec("ids", "INT64", (-1, -1), ("tokens",)),),
    (),
    (),
    Slo(0.05),
    max_batch=8,
    sizes=(FreeSize("tokens", 32, 256),),
)


@pytest.mark.parametrize("units", [1, 2, 3, 4, 6, 7, 16, 32])
def test_where_sizes_are_free_rows_are_made_that_are_so_much_work(units: int):
    ids = SampleRows(TEXT).work(units)["ids"]

    assert ids.size * UNITS == 32 * units


def test_the_largest_row_is_measured_too():
    assert SampleRows(replace(TEXT, max_batch=1)).work(32)["ids"].shape == (1, 256)


def test_published_rows_are_cut_or_repeated_to_a_size():
    published = Published({"ids": np.arange(6).reshape(2, 3)}, 2, "abc")

    rows = SampleRows(TEXT, published)

    assert rows.sized(1, 0.25)["ids"].tolist() == [[0, 1]]
    assert rows.sized(2, 0.5)["ids"].tolist() == [[0, 1, 2, 0], [3, 4, 5, 3]]


def test_a_profile_of_another_typical_size_is_no_profile_of_this_one():
    kind = SampleRows(TEXT).kind

    assert SampleRows(TEXT).covers(kind)
    assert not SampleRows(replace(TEXT, sizes=(FreeSize("tokens", 64, 256),))).covers(kind)
