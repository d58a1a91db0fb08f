"""How many rows a batch may have: what a message carries and what memory has room for."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.backends import open_backend, reference_way
from models.backends.base import Backend, BackendError, Tensors
from models.catalog import Family, Slo, TensorSpec
from profiler.measuring.conformance import Conformance
from profiler.measuring.extremes import extreme_rows
from profiler.measuring.room import Room
from profiler.measuring.rows import SampleRows, sample_rows
from tests.support import zoo

MIB = 1 << 20


def a_family(*outputs: int, width: int = MIB, datatype: str = "FP32", most: int = 32) -> Family:
    """A row has `width` values; outputs have so many each, or as many as the input."""
    inputs = (TensorSpec("x", datatype, (-1, width)),)
    given = tuple(TensorSpec(f"y{i}", "FP32", (-1, n)) for i, n in enumerate(outputs or (width,)))
    return Family("large", inputs, given, (), Slo(1.0), max_batch=most)


def test_a_small_family_keeps_its_largest_batch():
    family = a_family(width=16)

    assert Room(1, 1 << 30).fitted(family) == family


def test_no_more_rows_than_a_message_carries_either_way():
    assert Room(64).fitted(a_family()).max_batch == 15
    assert Room(64).fitted(a_family(4)).max_batch == 15
    assert Room(64).fitted(a_family(3 * MIB, width=4)).max_batch == 5
    assert (
        Room(64).fitted(a_family(3 * MIB, 4 * MIB, width=4)).max_batch == 5
    )  # one alone may be asked for


def test_small_ids_take_a_byte_each_in_typed_contents():
    assert Room(64).fitted(a_family(1, datatype="INT64", most=99)).max_batch == 63


def test_a_batch_takes_an_eighth_of_the_memory_at_most_and_one_row_is_always_tried():
    family = a_family()  # 8 MiB a row

    assert Room(64, 256 * MIB).fitted(family).max_batch == 4
    assert Room(64, 250 * MIB).fitted(family).max_batch == 2
    assert Room(64, 9 * MIB).fitted(family).max_batch == 1


def test_a_family_of_which_not_one_row_fits_is_refused_with_what_to_do():
    wide = a_family(width=3 * 4096 * 4096)
    with pytest.raises(
        BackendError,
        match=r"takes 192 MiB in a message, and a message may have 64; raise max_message",
    ):
        Room(64).fitted(wide)
    with pytest.raises(BackendError, match="takes 192 MiB in a message"):
        Room(64).fitted(a_family(3 * 4096 * 4096, width=1))
    with pytest.raises(
        BackendError, match="take 384 MiB, and 300 MiB of memory are available; free some"
    ):
        Room(512, 300 * MIB).fitted(wide)


def test_large_rows_to_try_are_made_one_by_one():
    family = a_family(1)

    tracemalloc.start()
    for _ in extreme_rows(family):
        pass
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 20 * MIB


def test_no_more_different_rows_are_held_than_there_is_room_for():
    rows = SampleRows(a_family(1, width=8), most=2)

    found = rows.first(5)["x"]

    assert rows.n == 2
    assert np.array_equal(found[0], found[4])
    assert not np.array_equal(found[0], found[1])


class Counting:
    """A backend that notes how many rows its runs have."""

    name = "onnxruntime"

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.rows: list[int] = []

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """As the backend does."""
        self.rows.append(len(inputs["x"]))
        return self._backend.run(inputs)

    def close(self) -> None:
        """As the backend does."""
        self._backend.close()


@pytest.mark.parametrize(("available", "largest"), [(None, 6), (8 * 80 * 2, 2), (8 * 80, 1)])
def test_an_arm_is_tried_with_no_more_rows_than_there_is_room_for(
    tmp_path: Path, available: int | None, largest: int
):
    graph = zoo.graph("g (float[N,10] x) => (float[N,10] y) { y = Relu(x) }")
    folder, room = tmp_path / "relu", Room(64, available)
    family = room.fitted(zoo.write(zoo.Exhibit("relu", graph), folder))
    variant = family.variants[0]
    way = reference_way(variant)
    assert way is not None
    backend = Counting(open_backend(folder, family, variant, threads=1, way=way))
    rows = sample_rows(folder, family, room.held(family))

    Conformance(folder, family, rows).vet(backend, variant, way)

    assert family.max_batch == max(backend.rows) == largest
    if available:
        assert backend.rows.count(1) == 2 * largest  # the samples, and the rows that are kept
    else:
        assert backend.rows.count(1) > 12
