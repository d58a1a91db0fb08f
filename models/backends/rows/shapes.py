"""Shapes in an ONNX graph for one batch of a telling size: what follows from it can be told by it.

Graphs compute shapes from shapes; with a number in the place of every length all of that can be worked out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from models.backends.base import operators
from models.backends.graph_nodes import bodies_of, graph_inputs

ROWS = 1_000_003
"""How many rows the batch has: a prime, and no length of anything else."""

_LARGE = 4096
"""Bytes of an initialiser whose values say nothing of shapes."""
_MOST = 64
"""Numbers in what shapes are computed from."""
_MOST_PASSES = 500
_COMPUTED = operators("""
    Add And Cast Ceil Concat ConstantOfShape Div Equal Floor Gather Greater Identity Less Max Min
    Mod Mul Neg Not Or ReduceProd Reshape Slice Sqrt Squeeze Sub Unsqueeze Where
""")
"""Operators that shapes are computed with."""

Dims = Sequence[int | None]
"""A shape; None for a length that cannot be told."""


def shapes_of(
    model: onnx.ModelProto, constants: Mapping[str, NDArray[Any]]
) -> tuple[dict[str, Dims], dict[str, NDArray[Any]]]:
    """Shapes by value, and the constants with what is computed from shapes among them; `model` is changed.

    Takes large weights out of it, and puts numbers in the place of what computes them.
    """
    _bare(model)
    known, dims = dict(constants), _dims(model)
    for _ in range(_MOST_PASSES):
        found = _computed(model.graph, known, dims)
        if not found:
            break
        known |= found
        for node in model.graph.node:
            if node.output and node.output[0] in found:
                value = numpy_helper.from_array(found[node.output[0]])
                node.CopyFrom(helper.make_node("Constant", [], [node.output[0]], value=value))
        dims = _dims(model)
    return dims, known


def _computed(
    graph: onnx.GraphProto, known: Mapping[str, NDArray[Any]], dims: Mapping[str, Dims]
) -> dict[str, NDArray[Any]]:
    """What follows now and is not known yet."""
    found: dict[str, NDArray[Any]] = {}
    for node in graph.node:
        if len(node.output) != 1 or node.output[0] in known or not node.input:
            continue
        if node.op_type in {"Shape", "Size"}:
            shape = dims.get(node.input[0])
            if shape is not None and None not in shape:
                found[node.output[0]] = _measured(node, [n for n in shape if n is not None])
        elif node.op_type in _COMPUTED:
            given = {name: found.get(name, known.get(name)) for name in node.input if name}
            values = {name: value for name, value in given.items() if value is not None}
            if len(values) == len(given) and all(v.size <= _MOST for v in values.values()):
                found |= _ran(node, values)
    return found


def _measured(node: onnx.NodeProto, shape: Sequence[int]) -> NDArray[Any]:
    if node.op_type == "Size":
        return np.array(np.prod(shape, dtype=np.int64))
    given = {a.name: a.i for a in node.attribute}
    begin, end = given.get("start", 0), given.get("end", len(shape))
    return np.array(shape[begin:end], np.int64)


def _ran(node: onnx.NodeProto, values: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The operator's output, unless it is large or cannot be run."""
    if node.op_type == "ConstantOfShape":
        lengths = next(iter(values.values()))
        if np.prod(lengths.astype(float)) > _MOST:
            return {}
    inputs = [helper.make_empty_tensor_value_info(name) for name in values]
    outputs = [helper.make_empty_tensor_value_info(node.output[0])]
    opset = [
        helper.make_opsetid("", 18 if node.op_type == "ReduceProd" and len(node.input) > 1 else 17)
    ]
    model = helper.make_model(
        helper.make_graph([node], "one", inputs, outputs), opset_imports=opset
    )
    try:
        result = np.asarray(next(iter(ReferenceEvaluator(model).run(None, dict(values)))))
    except Exception:  # noqa: BLE001 - then it is not known
        return {}
    return {node.output[0]: result} if result.size <= _MOST else {}


def _dims(model: onnx.ModelProto) -> dict[str, Dims]:
    """Shapes, as far as they can be told."""
    try:
        graph = shape_inference.infer_shapes(model, data_prop=True).graph
    except Exception:  # noqa: BLE001 - shapes are told without it too, if fewer
        graph = model.graph
    return _dims_in(graph)


def _dims_in(graph: onnx.GraphProto) -> dict[str, Dims]:
    """Those of a graph and of its bodies."""
    found: dict[str, Dims] = {}
    for node in graph.node:
        for body in bodies_of(node):
            found |= _dims_in(body)
    for value in [*graph.input, *graph.value_info, *graph.output]:
        if value.type.tensor_type.HasField("shape"):
            shape = value.type.tensor_type.shape.dim
            found[value.name] = [d.dim_value if d.HasField("dim_value") else None for d in shape]
    return found | {tensor.name: list(tensor.dims) for tensor in graph.initializer}


def _bare(model: onnx.ModelProto) -> None:
    """A number for the rows, no shapes but those of the inputs, and nothing that takes long to copy."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    for value in graph_inputs(model.graph):
        dims = value.type.tensor_type.shape.dim
        if dims:
            dims[0].dim_value = ROWS
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > _LARGE:
            tensor.ClearField("raw_data")
