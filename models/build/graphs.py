"""Writing ONNX graphs node by node: weights as initializers, batch-norm folded into the convolution before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

OPSET = 17
IR_VERSION = 8

Array = NDArray[np.float32]


@dataclass(slots=True)
class Graph:
    """A graph under construction. Each method adds nodes and returns the name of its output tensor."""

    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    initializers: list[onnx.TensorProto] = field(default_factory=list[onnx.TensorProto])

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        """An initializer."""
        self.initializers.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def shared(self, name: str, value: NDArray[np.generic]) -> str:
        """An initializer that several nodes take: it is added once."""
        if not any(tensor.name == name for tensor in self.initializers):
            self.constant(name, value)
        return name

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """One node with one output, named after it."""
        self.nodes.append(helper.make_node(op, inputs, [output], name=output, **attributes))
        return output

    def convolution(
        self,
        tensor: str,
        name: str,
        parameters: tuple[Array, Array],
        stride: int,
        padding: tuple[int, int],
    ) -> str:
        """A square convolution; weight [out, in, k, k] with in = 1 < out is depthwise."""
        weight, bias = parameters
        inputs = [
            tensor,
            self.constant(f"{name}.weight", weight),
            self.constant(f"{name}.bias", bias),
        ]
        before, after = padding
        return self.node(
            "Conv",
            inputs,
            name,
            kernel_shape=list(weight.shape[2:]),
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=len(bias) if weight.shape[1] == 1 else 1,
        )

    def relu6(self, tensor: str) -> str:
        """min(max(x, 0), 6)."""
        bounds = [self.shared(n, np.array(v, np.float32)) for n, v in (("zero", 0), ("six", 6))]
        return self.node("Clip", [tensor, *bounds], f"{tensor}.relu6")

    def model(
        self,
        name: str,
        source: onnx.ValueInfoProto,
        target: onnx.ValueInfoProto,
        *further: onnx.ValueInfoProto,
    ) -> onnx.ModelProto:
        """The finished model, checked; it takes `source` and the `further` inputs."""
        sources = [source, *further]
        graph = helper.make_graph(self.nodes, name, sources, [target], self.initializers)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
        )
        onnx.checker.check_model(model, full_check=True)
        return model


def fold_batch_norm(
    weight: Array, norm: Mapping[str, Array], epsilon: float
) -> tuple[Array, Array]:
    """Weight and bias of the convolution that does conv (no bias), then batch-norm. `weight` is [out, in, k, k].

    `norm` holds weight, bias, running_mean and running_var, each [out].
    """
    deviation = np.sqrt(norm["running_var"].astype(np.float64) + epsilon)
    scale = norm["weight"] / deviation
    bias = norm["bias"] - norm["running_mean"] * scale
    return (weight * scale[:, None, None, None]).astype(np.float32), bias.astype(np.float32)


def symmetric_pads(_side: int, kernel: int, _stride: int) -> tuple[int, int]:
    """Padding before and after, as torchvision's networks have it: half the kernel on either side."""
    return kernel // 2, kernel // 2


def same_pads(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Padding before and after, as TensorFlow's SAME has it: enough for ceil(side / stride) outputs, less before."""
    total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2
