"""int8: the ranges that fit the network, whatever its rows are like."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.build.narrowing.closeness import relative_error
from models.build.narrowing.quantize import quantize, quantize_graph
from models.build.networks import CORE_INPUT as INPUT
from tests.support.sessions import first_output

WIDTH = 16


def a_regression() -> onnx.ModelProto:
    """x [N, 16] -> 64 rectified units -> y [N, 1]."""
    rng = np.random.default_rng(3)
    weights = {"a": rng.standard_normal((WIDTH, 64)), "b": rng.standard_normal((64, 1))}
    nodes = [
        helper.make_node("MatMul", [INPUT, "a"], ["h"], name="first"),
        helper.make_node("Relu", ["h"], ["r"], name="relu"),
        helper.make_node("MatMul", ["r", "b"], ["y"], name="second"),
    ]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", width])
        for name, width in ((INPUT, WIDTH), ("y", 1))
    ]
    held = [numpy_helper.from_array(w.astype(np.float32), name) for name, w in weights.items()]
    graph = helper.make_graph(nodes, "own", ends[:1], ends[1:], held)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def some_rows(count: int = 200) -> np.ndarray:
    """Rows of unlike sizes, as tables of measurements are: a mean of extremes clips the largest."""
    rng = np.random.default_rng(5)
    sizes = np.exp(0.7 * rng.standard_normal((count, 1)))
    return (sizes * rng.standard_normal((count, WIDTH))).astype(np.float32)


def answers(model: onnx.ModelProto, rows: np.ndarray) -> np.ndarray:
    return first_output(model, rows).astype(np.float64)


def test_what_is_rare_and_large_is_not_clipped():
    model, rows = a_regression(), some_rows()

    made = quantize_graph(model, {INPUT: rows[::2]})

    assert relative_error(answers(model, rows[1::2]), answers(made, rows[1::2])) < 0.1


def test_pictures_get_averages_as_measured_for_them():
    """Decision 0003: the embedded family's artefacts do not depend on what is better on a few rows."""
    model, rows = a_regression(), some_rows()

    by_recipe = answers(quantize(model, rows), rows)

    assert relative_error(answers(model, rows), by_recipe) > 0.3


def test_the_same_rows_give_the_same_copy():
    model, rows = a_regression(), some_rows()

    copies = [quantize_graph(model, {INPUT: rows}).SerializeToString() for _ in range(2)]

    assert copies[0] == copies[1]
