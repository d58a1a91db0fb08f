"""Narrow copies: weights rounded as the types define, half the file, the same graph otherwise, on every engine."""

from pathlib import Path

import numpy as np
import onnx
import openvino as ov
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.build.errors import BuildError
from models.build.graphs import Graph
from models.build.narrowing.narrow import PRECISIONS, narrow, rounded
from tests.support.sessions import first_output

_SIDE = 6


def a_network(scale: float = 0.1, channels: int = 64) -> onnx.ModelProto:
    """x [N, 8, 6, 6] -> two convolutions -> mean -> dense -> y [N, 10]."""
    rng = np.random.default_rng(4)

    def normal(*shape: int) -> np.ndarray:
        return (scale * rng.standard_normal(shape)).astype(np.float32)

    graph = Graph()
    first = graph.convolution("x", "a", (normal(channels, 8, 3, 3), normal(channels)), 1, (1, 1))
    second = graph.convolution(
        graph.relu6(first), "b", (normal(channels, channels, 1, 1), normal(channels)), 1, (0, 0)
    )
    pooled = graph.node("GlobalAveragePool", [second], "pooled")
    flat = graph.node("Flatten", [pooled], "flat", axis=1)
    dense = [graph.constant("w", normal(10, channels)), graph.constant("c", normal(10))]
    graph.node("Gemm", [flat, *dense], "y", transB=1)
    return graph.model(
        "small",
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8, _SIDE, _SIDE]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 10]),
    )


def some_rows(count: int = 3) -> np.ndarray:
    return np.random.default_rng(9).standard_normal((count, 8, _SIDE, _SIDE)).astype(np.float32)


def by_openvino(path: Path, rows: np.ndarray) -> np.ndarray:
    options = {"INFERENCE_PRECISION_HINT": "f32"}
    return np.array(ov.Core().compile_model(path, "CPU", options)([rows])[0])


@pytest.mark.parametrize(
    ("precision", "value", "kept"),
    [
        ("bf16", 1 + 2**-8, 1.0),  # halfway: to the even neighbour below
        ("bf16", 1 + 3 * 2**-8, 1 + 2**-6),  # halfway: to the even neighbour above
        ("bf16", 1 + 2**-8 + 2**-16, 1 + 2**-7),
        ("bf16", 1.75 * 2**127, 1.75 * 2**127),
        ("fp16", 1 + 2**-11, 1.0),
        ("fp16", 1 + 3 * 2**-11, 1 + 2**-9),
        ("fp16", -65504, -65504),
        ("fp16", 1e-9, 0.0),
    ],
)
def test_values_are_rounded_to_nearest_ties_to_even(precision: str, value: float, kept: float):
    found = rounded(np.array([value], np.float32), precision).astype(np.float64)

    assert found.tolist() == [kept]


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_graph_computes_with_the_rounded_weights(precision: str):
    model, rows = a_network(), some_rows()
    by_hand = onnx.ModelProto()
    by_hand.CopyFrom(model)
    for tensor in by_hand.graph.initializer:
        if tensor.name in {"a.weight", "b.weight", "w"}:
            values = rounded(numpy_helper.to_array(tensor), precision).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))

    found = first_output(narrow(model, precision), rows)

    np.testing.assert_array_equal(found, first_output(by_hand, rows))
    assert not np.array_equal(found, first_output(model, rows))


@pytest.mark.parametrize("precision", PRECISIONS)
def test_openvino_answers_as_onnxruntime_does(precision: str, tmp_path: Path):
    made = narrow(a_network(), precision)
    onnx.save(made, tmp_path / "narrow.onnx")

    found = by_openvino(tmp_path / "narrow.onnx", some_rows())

    np.testing.assert_allclose(found, first_output(made, some_rows()), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("precision", PRECISIONS)
def test_the_file_is_about_half(precision: str):
    model = a_network(channels=256)

    assert narrow(model, precision).ByteSize() < 0.52 * model.ByteSize()


def test_the_original_and_its_small_tensors_are_left_alone():
    model = a_network()
    before = model.SerializeToString(deterministic=True)

    made = narrow(model, "bf16")

    assert model.SerializeToString(deterministic=True) == before
    types = {t.name: t.data_type for t in made.graph.initializer}
    assert types["a.bias"] == types["c"] == TensorProto.FLOAT
    assert types["a.weight.bf16"] == TensorProto.BFLOAT16


def test_weights_that_old_graphs_list_as_inputs_are_narrowed_too():
    model = a_network()
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(
            helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        )

    made = first_output(narrow(model, "fp16"), some_rows())

    assert made == pytest.approx(first_output(model, some_rows()), abs=0.01)


def test_a_weight_that_does_not_fit_is_named():
    with pytest.raises(BuildError, match=r"weight a\.weight: fp16 cannot hold .* magnitude"):
        narrow(a_network(scale=1e5), "fp16")


def test_a_weight_that_fp16_cannot_hold_fits_bf16():
    assert np.isfinite(rounded(np.array([1e5], np.float32), "bf16").astype(np.float32)).all()


def test_a_graph_without_weights_is_refused():
    graph = Graph()
    graph.node("Relu", ["x"], "y")
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in "xy"]

    with pytest.raises(BuildError, match=r"holds no fp32 weights of .*; nothing to narrow"):
        narrow(graph.model("none", *value), "fp16")


def test_weights_too_small_to_be_worth_it_are_called_that():
    graph = Graph()
    graph.node("MatMul", ["x", graph.constant("w", np.ones((3, 3), np.float32))], "y")
    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 3]) for n in "xy"]

    with pytest.raises(
        BuildError, match=r"too small to be worth it: the largest has 9 values, .* 256 or more"
    ):
        narrow(graph.model("small", *value), "fp16")
