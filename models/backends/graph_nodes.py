"""What an ONNX graph takes and gives, read from the file alone: for runtimes that say it only once compiled."""

import onnx

from models.backends.signature import Node
from models.datatypes import DATATYPES

_DATATYPES = {row.onnx: row.name for row in DATATYPES.values()}
"""ONNX's element type -> Open Inference Protocol datatype."""


def graph_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """Those that a caller gives: old graphs list their weights among the inputs."""
    known = {i.name for i in graph.initializer}
    return [i for i in graph.input if i.name not in known]


def bodies_of(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """The graphs that an operator of control flow runs."""
    found = [a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH]
    return found + [g for a in node.attribute for g in a.graphs]


def input_nodes(graph: onnx.GraphProto) -> tuple[Node, ...]:
    """What a caller gives, in the graph's order."""
    return tuple(_node(value) for value in graph_inputs(graph))


def output_nodes(graph: onnx.GraphProto) -> tuple[Node, ...]:
    """What comes back, in the graph's order."""
    return tuple(_node(value) for value in graph.output)


def _node(value: onnx.ValueInfoProto) -> Node:
    tensor = value.type.tensor_type
    shape = tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None
        for d in tensor.shape.dim
    )
    return Node(value.name, _DATATYPES.get(tensor.elem_type, str(tensor.elem_type)), shape)
