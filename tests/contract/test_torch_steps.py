"""Narrow torch models, what torch refuses, and CUDA graphs kept only where they win."""

import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.backends import Way, open_backend
from models.backends.base import Backend, BackendError
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

torch = pytest.importorskip("torch", reason="torch is not installed")

VARIANT = Variant("net", "fp32", "net.onnx", "", Accuracy(0.5, "invented"))
FAMILY = Family(
    "net",
    (TensorSpec("x", "FP32", (-1, 3, 9, 9)),),
    (TensorSpec("y", "FP32", (-1, 5)),),
    (VARIANT,),
    Slo(0.05),
)


def write_net(path: Path, extra: str = "") -> None:
    """Convolution with uneven pads, ReLU6, mean, dense: the embedded networks in small."""
    rng = np.random.default_rng(5)
    constants: dict[str, Any] = {
        "w": rng.standard_normal((8, 3, 3, 3)) / 5,
        "b": rng.standard_normal(8),
        "v": rng.standard_normal((5, 8)) / 3,
        "zero": np.zeros(()),
        "six": np.full((), 6.0),
    }
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[0, 0, 1, 1], strides=[2, 2]),
        helper.make_node("Clip", ["c", "zero", "six"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "v"], ["z" if extra else "y"], transB=1),
    ]
    if extra:
        nodes.append(helper.make_node(extra, ["z"], ["y"]))
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 9, 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [numpy_helper.from_array(np.asarray(a, np.float32), n) for n, a in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)


def opened(folder: Path, runtime: str = "torch", precision: str = "fp32") -> Backend:
    variant = replace(VARIANT, precision=precision)
    return open_backend(folder, FAMILY, variant, threads=1, way=Way(runtime))


@pytest.mark.parametrize(("precision", "most"), [("fp32", 1e-5), ("bf16", 0.05), ("fp16", 0.005)])
def test_it_answers_as_onnx_runtime_does(tmp_path: Path, precision: str, most: float):
    write_net(tmp_path / "net.onnx")
    x = np.random.default_rng(6).standard_normal((7, 3, 9, 9)).astype(np.float32)

    answer = opened(tmp_path, precision=precision).run({"x": x})["y"]

    reference = opened(tmp_path, "onnxruntime").run({"x": x})["y"]
    np.testing.assert_allclose(answer, reference, atol=most * float(reference.std()))


def test_a_narrow_model_computes_narrow(tmp_path: Path):
    write_net(tmp_path / "net.onnx")
    x = np.random.default_rng(6).standard_normal((7, 3, 9, 9)).astype(np.float32)

    wide, narrow = (opened(tmp_path, precision=p).run({"x": x})["y"] for p in ("fp32", "bf16"))

    assert np.abs(np.asarray(wide) - np.asarray(narrow)).max() > 1e-4


def test_a_product_with_wide_weights_stays_wide_in_a_narrow_model(tmp_path: Path):
    taps = np.full((9, 9), 1 + 1 / 512, np.float32)
    zeros = helper.make_tensor("zeros", TensorProto.BFLOAT16, [5, 1], [0.0] * 5)
    nodes = [
        helper.make_node("MatMul", ["x", "taps"], ["m"]),
        helper.make_node("Relu", ["m"], ["r"]),
        helper.make_node("ReduceMean", ["r"], ["s"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["s", "one"], ["u"]),
        helper.make_node("Cast", ["zeros"], ["w"], to=TensorProto.FLOAT),
        helper.make_node("Gemm", ["u", "w"], ["g"], transB=1),
        helper.make_node("Add", ["u", "g"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 9, 9])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 5])],
        [
            numpy_helper.from_array(taps, "taps"),
            numpy_helper.from_array(np.array([1]), "one"),
            zeros,
        ],
    )
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "net.onnx")
    x = np.ones((2, 3, 9, 9), np.float32)

    answer = opened(tmp_path, precision="bf16").run({"x": x})["y"]

    np.testing.assert_allclose(answer, np.full((2, 5), 9 * (1 + 1 / 512)), rtol=1e-6)


def test_an_unknown_operator_is_named(tmp_path: Path):
    write_net(tmp_path / "net.onnx", extra="Celu")

    with pytest.raises(BackendError, match=r"operator Celu .*another runtime"):
        opened(tmp_path)


def test_a_program_with_more_than_tensors_is_refused_unread(tmp_path: Path):
    with zipfile.ZipFile(tmp_path / "net.pt2", "w") as archive:
        archive.writestr("net/archive_version", "0")
        archive.writestr("net/data/constants/opaque_obj_0", b"cos\nsystem\n(S'false'\ntR.")
    variant = replace(VARIANT, artifact="net.pt2")

    with pytest.raises(BackendError, match="neither operators nor tensors"):
        open_backend(tmp_path, FAMILY, variant, threads=1, way=Way("torch"))


def test_read_only_rows_are_served(tmp_path: Path):
    write_net(tmp_path / "net.onnx")
    x = np.ones((1, 3, 9, 9), np.float32)
    x.flags.writeable = False

    assert opened(tmp_path).run({"x": x})["y"].shape == (1, 5)


class Timed:
    """Steps with invented costs, and how often each was captured."""

    def __init__(self, eager_s: float, graph_s: float | None) -> None:
        self._eager_s, self._graph_s = eager_s, graph_s
        self.captures = 0

    def eager(self, *given: Any) -> Sequence[Any]:
        return given

    def graph(self, *given: Any) -> Sequence[Any]:
        return given

    def capture(self, _given: Sequence[Any]) -> Any:
        self.captures += 1
        if self._graph_s is None:
            raise RuntimeError("operation not permitted when stream is capturing")
        return self.graph

    def took_s(self, step: Any, _given: Sequence[Any]) -> float:
        return self._eager_s if step == self.eager else (self._graph_s or 0.0)

    def steps(self) -> Any:
        from models.backends.torch_runtime.cuda import Steps, common_sizes  # noqa: PLC0415

        return Steps(self.eager, self.capture, self.took_s, common_sizes(20))


def test_a_graph_that_is_faster_is_captured_once_and_kept():
    timed = Timed(1.0, 0.5)
    steps = timed.steps()

    assert [steps.of(8, ()), steps.of(8, ())] == [timed.graph, timed.graph]
    assert timed.captures == 1


@pytest.mark.parametrize("graph_s", [0.99, 2.0, None])
def test_a_graph_that_does_not_pay_or_fails_is_dropped(graph_s: float | None):
    timed = Timed(1.0, graph_s)
    steps = timed.steps()

    assert [steps.of(8, ()), steps.of(8, ())] == [timed.eager, timed.eager]
    assert timed.captures == 1


def test_uncommon_sizes_run_eagerly():
    timed = Timed(1.0, 0.5)
    steps = timed.steps()

    assert steps.of(7, ()) == timed.eager
    assert steps.of(20, ()) == timed.graph


class _Cut(torch.nn.Module):
    """Divides `x` by `k`, or by a constant, and cuts."""

    def __init__(self, by: int | None) -> None:
        super().__init__()
        self.by = by

    def forward(self, x: Any, k: Any) -> Any:
        return torch.div(x, k if self.by is None else self.by, rounding_mode="trunc") + k


@pytest.mark.parametrize(("by", "is_refused"), [(None, True), (-1, True), (7, False)])
def test_programs_that_a_row_could_end_the_process_with_are_refused(
    by: int | None, is_refused: bool, tmp_path: Path
):
    rows = torch.export.Dim("rows", min=1, max=64)
    example = (torch.ones((3, 2), dtype=torch.int64), torch.ones((3, 2), dtype=torch.int64))
    program = torch.export.export(_Cut(by), example, dynamic_shapes=({0: rows}, {0: rows}))
    torch.export.save(program, tmp_path / "cut.pt2")
    variant = Variant("cut", "fp32", "cut.pt2", "", Accuracy(0.5, "invented"))
    specs = TensorSpec("x", "INT64", (-1, 2)), TensorSpec("k", "INT64", (-1, 2))
    family = Family("cut", specs, (TensorSpec("y", "INT64", (-1, 2)),), (variant,), Slo(0.05))

    if is_refused:
        with pytest.raises(BackendError, match="divides whole numbers by what may be -1"):
            open_backend(tmp_path, family, variant, threads=1, way=Way("torch"))
        return
    open_backend(tmp_path, family, variant, threads=1, way=Way("torch")).close()
