"""A graph that does for many tasks what each one's graph does for one: its nodes and tensors while it grows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]


class NoRule(Exception):
    """An operator, or a use of one, that is not known to be the same side by side."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One node as all tasks have it."""

    node: onnx.NodeProto
    """The first task's; names in the fused graph are its."""
    params: dict[int, list[Array]]
    """Position among the inputs -> every task's constant there."""

    def attribute(self, name: str, default: Any) -> Any:
        """The node's attribute, or the operator's default."""
        found = [helper.get_attribute_value(a) for a in self.node.attribute if a.name == name]
        return found[0] if found else default

    @property
    def attributes(self) -> dict[str, Any]:
        """Those that are written in the node."""
        return {a.name: helper.get_attribute_value(a) for a in self.node.attribute}

    @property
    def alike(self) -> bool:
        """Whether all tasks have the same constants."""
        return all(np.array_equal(p, rest) for p, *more in self.params.values() for rest in more)


@dataclass(slots=True)
class Fusion:
    """The fused graph as it grows."""

    tasks: int
    shapes: dict[str, tuple[int, ...]]
    """Of one task's tensors and one frame."""
    stacked: set[str] = field(default_factory=set[str])
    """The tensors that hold all tasks' channels; others are the same for all."""
    nodes: list[onnx.NodeProto] = field(default_factory=list[onnx.NodeProto])
    weights: list[TensorProto] = field(default_factory=list[TensorProto])

    def constant(self, name: str, value: Array) -> str:
        """A weight."""
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """One node; gives its output's name."""
        self.nodes.append(helper.make_node(op, inputs, [output], **attributes))
        return output

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Of one task's `tensor` and one frame."""
        if tensor not in self.shapes:
            raise NoRule(tensor)
        return self.shapes[tensor]

    def stack(self, tensor: str) -> str:
        """`tensor` with all tasks' channels: itself, or as many copies of what is the same for all."""
        if tensor in self.stacked:
            return tensor
        if not self.shape(tensor):
            raise NoRule(tensor)
        tiled = f"{tensor}.tiled"
        if tiled not in self.stacked:
            self.node("Concat", [tensor] * self.tasks, tiled, axis=1)
            self.stacked.add(tiled)
        return tiled

    def copy(self, layer: Layer) -> None:
        """The node as it is, its constants the first task's."""
        inputs = [
            self.constant(f"{layer.node.output[0]}.{i}", layer.params[i][0])
            if i in layer.params
            else name
            for i, name in enumerate(layer.node.input)
        ]
        node = onnx.NodeProto()
        node.CopyFrom(layer.node)
        node.ClearField("input")
        node.input.extend(inputs)
        self.nodes.append(node)
