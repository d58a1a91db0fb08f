"""What every backend owes its callers. A new backend adds one parameter."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from models.backends import Way, ways
from models.backends.base import Backend, BackendError
from tests.support.tiny import (
    CLASSES,
    ROWS,
    Kind,
    a_variant,
    kinds,
    need,
    opened,
    ready,
    some_rows,
    write_onnx,
)


@pytest.fixture(params=kinds())
def kind(request: pytest.FixtureRequest) -> Kind:
    return ready(request)


@pytest.fixture(params=kinds(".onnx"))
def way(request: pytest.FixtureRequest) -> Way:
    """Of running a graph."""
    return ready(request).way


@pytest.fixture
def backend(kind: Kind, tmp_path: Path) -> Backend:
    kind.write(tmp_path / f"tiny{kind.suffix}")
    return opened(tmp_path, kind.suffix, kind.way, instances=2)


def test_outputs_have_the_familys_names_types_and_shapes(backend: Backend):
    answer = backend.run({"x": some_rows()})

    assert {name: (a.shape, a.dtype.name) for name, a in answer.items()} == {
        "scores": ((ROWS, CLASSES), "float32"),
        "total": ((ROWS, 1), "float32"),
    }


def test_a_batch_answers_as_each_row_alone(backend: Backend):
    rows = some_rows()

    together = backend.run({"x": rows})
    alone = [backend.run({"x": rows[i : i + 1]}) for i in range(ROWS)]

    for name, values in together.items():
        np.testing.assert_allclose(values, np.concatenate([a[name] for a in alone]), rtol=1e-5)


def test_rows_keep_their_order(backend: Backend):
    rows = some_rows()

    forward, backward = backend.run({"x": rows}), backend.run({"x": rows[::-1].copy()})

    for name, values in forward.items():
        np.testing.assert_allclose(values, backward[name][::-1], rtol=1e-5)
        assert len(np.unique(values.round(6), axis=0)) == ROWS


def test_two_threads_may_run_it_at_once(backend: Backend):
    rows = [some_rows(), 255 - some_rows()]
    alone = [backend.run({"x": r})["scores"] for r in rows]

    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda i: backend.run({"x": rows[i % 2]})["scores"], range(200)))

    for i, values in enumerate(together):
        np.testing.assert_allclose(values, alone[i % 2], rtol=1e-5)


@pytest.mark.parametrize("n", [1, 2, 7, 32])
def test_any_number_of_rows_runs(backend: Backend, n: int):
    assert len(backend.run({"x": some_rows(n)})["scores"]) == n


def test_the_batch_may_be_part_of_a_larger_buffer(backend: Backend):
    buffer = some_rows(16)

    part = backend.run({"x": buffer[:4]})

    np.testing.assert_array_equal(part["scores"], backend.run({"x": buffer[:4].copy()})["scores"])


def test_rows_that_may_not_be_written_to_are_run_all_the_same(backend: Backend):
    rows = some_rows()
    received = np.frombuffer(rows.tobytes(), np.uint8).reshape(rows.shape)

    np.testing.assert_array_equal(
        backend.run({"x": received})["scores"], backend.run({"x": rows})["scores"]
    )


def test_an_answer_stays_when_the_next_batch_runs(backend: Backend):
    first = backend.run({"x": some_rows()})
    kept = {name: values.copy() for name, values in first.items()}

    backend.run({"x": 255 - some_rows()})

    for name, values in first.items():
        np.testing.assert_array_equal(values, kept[name])


@pytest.mark.parametrize("names", [(), ("y",), ("x", "y")])
def test_wrong_inputs_are_named(backend: Backend, names: tuple[str, ...]):
    with pytest.raises(BackendError, match="tiny") as caught:
        backend.run({name: some_rows() for name in names})

    assert all(name in str(caught.value) for name in names)


@pytest.mark.parametrize(
    "wrong", [some_rows().astype(np.float64), some_rows()[:, :-1].copy(), some_rows().ravel()]
)
def test_a_wrong_type_or_shape_is_an_error_and_the_next_batch_runs(
    backend: Backend, wrong: NDArray[np.generic]
):
    with pytest.raises(BackendError, match="tiny"):
        backend.run({"x": wrong})

    assert len(backend.run({"x": some_rows()})["scores"]) == ROWS


def test_close_may_be_called_twice_and_ends_it(backend: Backend):
    backend.close()
    backend.close()

    with pytest.raises(BackendError, match="closed"):
        backend.run({"x": some_rows()})


@pytest.mark.parametrize("content", [b"\x00\xff garbage", b"key = [", b"key = 1"])
def test_a_corrupt_artefact_is_named(kind: Kind, tmp_path: Path, content: bytes):
    path = tmp_path / f"tiny{kind.suffix}"
    path.write_bytes(content)

    with pytest.raises(BackendError, match=str(path)):
        opened(tmp_path, kind.suffix, kind.way)


def test_a_missing_artefact_is_named(kind: Kind, tmp_path: Path):
    with pytest.raises(BackendError, match=f"tiny{kind.suffix} .*missing"):
        opened(tmp_path, kind.suffix, kind.way)


def test_a_graph_with_other_names_is_refused(tmp_path: Path, way: Way):
    write_onnx(tmp_path / "tiny.onnx", name="pixels")

    with pytest.raises(BackendError, match="pixels"):
        opened(tmp_path, ".onnx", way)


def test_a_graph_with_a_fixed_batch_is_refused(tmp_path: Path, way: Way):
    write_onnx(tmp_path / "tiny.onnx", rows=4)

    with pytest.raises(BackendError, match="rows of any number"):
        opened(tmp_path, ".onnx", way)


def test_a_device_that_is_not_there_is_refused(tmp_path: Path, way: Way):
    write_onnx(tmp_path / "tiny.onnx")

    with pytest.raises(BackendError, match="no such device"):
        opened(tmp_path, ".onnx", replace(way, device="abacus"))


def test_a_provider_that_is_not_built_in_is_refused_rather_than_replaced(tmp_path: Path):
    write_onnx(tmp_path / "tiny.onnx")

    if Way("onnxruntime", "cuda") in ways(a_variant(".onnx")):
        pytest.skip("this onnxruntime has the CUDA provider and a GPU for it")
    with pytest.raises(BackendError, match=r"CUDAExecutionProvider.*gearshift\[gpu\]"):
        opened(tmp_path, ".onnx", Way("onnxruntime", "cuda"))


def test_a_variant_is_run_where_its_precision_is_computed():
    need(Way("openvino"))

    tried = {way.backend for way in ways(replace(a_variant(".onnx"), precision="int8"))}

    assert {"onnxruntime", "openvino"} <= tried


def test_a_precision_that_nothing_here_computes_is_emulated_once():
    assert len(ways(replace(a_variant(".onnx"), precision="float4"))) == 1


def test_only_the_runtimes_named_are_used():
    need(Way("openvino"))

    assert {way.backend for way in ways(a_variant(".onnx"), ["openvino"])} == {"openvino"}


def test_rows_of_any_size_run_where_shapes_are_not_prepared_for():
    allowed = ["onnxruntime", "openvino", "torch"]

    graphs = ways(a_variant(".onnx"), allowed, any_size=True)

    assert {way.backend for way in graphs} == {"onnxruntime"}
    assert "tensorrt" not in {way.device for way in graphs}


def test_programs_with_rows_of_any_size_run_on_the_cpu():
    pytest.importorskip("torch", reason="torch is not installed")

    assert ways(a_variant(".pt2"), any_size=True) == (Way("torch", "cpu"),)


def test_a_suffix_without_a_runtime_is_refused(tmp_path: Path):
    (tmp_path / "tiny.exe").touch()

    with pytest.raises(BackendError, match="known: onnxruntime"):
        opened(tmp_path, ".exe")
