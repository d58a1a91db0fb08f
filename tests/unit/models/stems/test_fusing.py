"""Heads of equal graph fused into one: the scores are those of each alone; what has no rule is left alone."""

from collections.abc import Callable, Sequence

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.stems.fusing import fused
from tests.support.fusing import assert_exact

Array = NDArray[np.float32]
CHANNELS, SIDE = 4, 6


class Drawn:
    """A head being written: every task draws its own weights."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, *shape: int, low: float = -1.0) -> str:
        return self.constant(self.rng.uniform(low, 1, shape).astype(np.float32))

    def constant(self, value: NDArray[np.generic]) -> str:
        name = f"w{self.rng.integers(1 << 40)}-{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(value, name))
        return name

    def then(self, op: str, inputs: Sequence[str], **attributes: object) -> str:
        name = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def model(self, last: str, shape: tuple[int, ...]) -> onnx.ModelProto:
        self.nodes[-1].output[0] = "score" if last == self.nodes[-1].output[0] else last
        ends = [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape]),
            helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"]),
        ]
        graph = helper.make_graph(self.nodes, "head", ends[:1], ends[1:], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model, full_check=True)
        return model


def normalised(g: Drawn, x: str, channels: int) -> str:
    moments = [
        g.weight(channels),
        g.weight(channels),
        g.weight(channels),
        g.weight(channels, low=0.5),
    ]
    return g.then("BatchNormalization", [x, *moments])


def scored(g: Drawn, x: str, features: int) -> onnx.ModelProto:
    logit = g.then("Gemm", [x, g.weight(1, features), g.weight(1)], transB=1, alpha=0.5)
    return ending(g, g.then("Sigmoid", [logit]), (CHANNELS, SIDE, SIDE))


def ending(g: Drawn, column: str, shape: tuple[int, ...]) -> onnx.ModelProto:
    return g.model(g.then("Squeeze", [column, g.constant(np.array([1]))]), shape)


def convolutional(seed: int) -> onnx.ModelProto:
    """Convolutions with bias, a depthwise one, batch norm, pools, two linear layers."""
    g = Drawn(seed)
    x = g.then("Conv", ["x", g.weight(8, CHANNELS, 3, 3), g.weight(8)], pads=[1, 1, 1, 1])
    x = g.then("Relu", [normalised(g, x, 8)])
    x = g.then("Conv", [x, g.weight(8, 1, 3, 3)], group=8, pads=[1, 1, 1, 1])
    x = g.then("MaxPool", [x], kernel_shape=[2, 2], strides=[2, 2])
    x = g.then("Flatten", [x])
    x = g.then("Relu", [g.then("Gemm", [x, g.weight(5, 72), g.weight(5)], transB=1)])
    return scored(g, x, 5)


def depthwise_first(seed: int) -> onnx.ModelProto:
    g = Drawn(seed)
    x = g.then("Conv", ["x", g.weight(CHANNELS, 1, 3, 3)], group=CHANNELS)
    return scored(g, g.then("ReduceMean", [x], axes=[2, 3], keepdims=0), CHANNELS)


def residual(seed: int) -> onnx.ModelProto:
    """A pre-activation block, whose sum takes the activation that tasks share, then another with a shortcut."""
    g = Drawn(seed)
    x = g.then("Relu", [normalised(g, "x", CHANNELS)])
    x = g.then("Conv", [x, g.weight(CHANNELS, CHANNELS, 3, 3)], pads=[1, 1, 1, 1])
    x = g.then("Add", ["x", x])
    opened = g.then("Relu", [normalised(g, x, CHANNELS)])
    kept = g.then("Conv", [opened, g.weight(6, CHANNELS, 1, 1)], strides=[2, 2])
    x = g.then("Conv", [opened, g.weight(6, CHANNELS, 3, 3)], pads=[1, 1, 1, 1], strides=[2, 2])
    x = g.then("GlobalAveragePool", [g.then("Add", [kept, x])])
    return scored(g, g.then("Flatten", [x]), 6)


def prepared(seed: int) -> onnx.ModelProto:
    """Equal preparation for all, then constants of their own for every channel and as a whole."""
    g = Drawn(seed)
    x = g.then("Sub", ["x", g.constant(np.full((1, CHANNELS, 1, 1), 0.25, np.float32))])
    x = g.then("Div", [x, g.weight(1, CHANNELS, 1, 1, low=0.5)])
    x = g.then("Mul", [x, g.weight()])
    x = g.then("Add", [x, g.weight(1, SIDE, SIDE)])
    x = g.then("Clip", [x, g.constant(np.float32(-0.5)), g.constant(np.float32(2))])
    x = g.then("Reshape", [x, g.constant(np.array([0, CHANNELS * SIDE * SIDE]))])
    x = g.then("MatMul", [x, g.weight(CHANNELS * SIDE * SIDE, 3)])
    return scored(g, x, 3)


def linear(seed: int) -> onnx.ModelProto:
    """What is left behind the last features: nothing but the score."""
    g = Drawn(seed)
    logit = g.then("Gemm", ["x", g.weight(7, 1), g.weight(1)], beta=2.0)
    return ending(g, g.then("Sigmoid", [logit]), (7,))


HEADS = (convolutional, depthwise_first, residual, prepared, linear)


@pytest.mark.parametrize("tasks", [2, 5])
@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("head", HEADS, ids=lambda h: h.__name__)
def test_fused_heads_say_what_each_says_alone(
    head: Callable[[int], onnx.ModelProto], tasks: int, rows: int
):
    models = [head(seed) for seed in range(tasks)]
    shape = (7,) if head is linear else (CHANNELS, SIDE, SIDE)
    x = np.random.default_rng(9).normal(size=(rows, *shape)).astype(np.float32)

    assert_exact(models, x)


def test_what_all_tasks_do_alike_is_done_once():
    together = fused([prepared(seed) for seed in range(3)])

    assert together is not None
    assert [n.op_type for n in together.graph.node][:3] == ["Sub", "Concat", "Div"]


def test_heads_of_other_graphs_are_not_fused():
    assert fused([convolutional(0), residual(1)]) is None


def test_heads_that_differ_in_an_attribute_are_not_fused():
    other = convolutional(1)
    other.graph.node[-3].attribute[0].f += 0.25

    assert other.graph.node[-3].op_type == "Gemm"
    assert fused([convolutional(0), convolutional(2)]) is not None
    assert fused([convolutional(0), other]) is None


def softmax_ending(seed: int) -> onnx.ModelProto:
    """A softmax goes over the channels, which here are all tasks' together."""
    g = Drawn(seed)
    x = g.then("Gemm", ["x", g.weight(7, 2), g.weight(2)])
    positive = g.then("Gather", [g.then("Softmax", [x], axis=1), g.constant(np.array([1]))], axis=1)
    return ending(g, positive, (7,))


def test_an_operator_without_a_rule_is_not_fused():
    assert fused([softmax_ending(seed) for seed in range(2)]) is None


def test_heads_that_are_one_and_the_same_are_not_fused():
    assert fused([linear(3), linear(3)]) is None
