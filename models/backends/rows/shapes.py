"""Shapes in an ONNX graph for one batch of a telling size: what follows from it can be told by it.

Graphs compute shapes from shapes; with a number in the place of every length all of that can be worked out.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from models.backends.base import operators
from models.backends.graph_nodes import bodies_of, graph_inputs
from models.backends.rows.names import bodies_in, nodes_of
from models.backends.rows.tables import shapes_in, take_over

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

    Takes large weights out of it, and puts numbers in the place of what computes them. Each name in it must stand for
    one value (`names.make_unique`).
    """
    _bare(model)
    known = dict(constants)
    dims = _worked_out(model, known, _dims(model))
    if any(node.op_type == "Loop" for node in nodes_of(model.graph)):
        dims = _worked_out(model, known, _steady(model, dims))
    return dims, known


def _worked_out(
    model: onnx.ModelProto, known: dict[str, NDArray[Any]], dims: dict[str, Dims]
) -> dict[str, Dims]:
    """The shapes once all that follows from them is in `known`."""
    for _ in range(_MOST_PASSES):
        found = _computed(model, known, dims)
        if not found:
            break
        known |= found
        for node in nodes_of(model.graph):
            if node.output and node.output[0] in found:
                value = numpy_helper.from_array(found[node.output[0]])
                node.CopyFrom(helper.make_node("Constant", [], [node.output[0]], value=value))
        dims = _dims(model)
    return dims


def _steady(model: onnx.ModelProto, dims: Mapping[str, Dims]) -> dict[str, Dims]:
    """The shapes, those among them of what loops carry that is as large after a turn as before it."""
    begun: dict[str, tuple[onnx.ValueInfoProto, Sequence[int], str]] = {}
    for name, given, made in _carried(model.graph):
        shape = [n for n in dims.get(name) or [None] if n is not None]
        if name in dims and len(shape) == len(dims[name]):
            begun[given.name] = given, shape, made
            _declare(given, shape)
    while True:
        found = _dims(model)
        grown = [key for key, (_, shape, made) in begun.items() if found.get(made) != shape]
        if not grown:
            return found
        for key in grown:
            begun.pop(key)[0].type.tensor_type.ClearField("shape")


def _carried(graph: onnx.GraphProto) -> Iterator[tuple[str, onnx.ValueInfoProto, str]]:
    """Of what loops carry: how it is called before them, as it is given to a turn, and what the turn makes of it."""
    for node in nodes_of(graph):
        for body in bodies_of(node) if node.op_type == "Loop" else ():
            made = [value.name for value in body.output[1:]]
            yield from zip(node.input[2:], body.input[2:], made, strict=False)


def _declare(value: onnx.ValueInfoProto, shape: Sequence[int]) -> None:
    dims = value.type.tensor_type.shape.dim
    del dims[:]
    value.type.tensor_type.shape.SetInParent()
    for length in shape:
        dims.add().dim_value = length


def _computed(
    model: onnx.ModelProto, known: Mapping[str, NDArray[Any]], dims: Mapping[str, Dims]
) -> dict[str, NDArray[Any]]:
    """What follows now and is not known yet."""
    opset = opset_of(model)
    found: dict[str, NDArray[Any]] = {}
    for node in nodes_of(model.graph):
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
                found |= _ran(node, values, opset)
    return found


def _measured(node: onnx.NodeProto, shape: Sequence[int]) -> NDArray[Any]:
    if node.op_type == "Size":
        return np.array(np.prod(shape, dtype=np.int64))
    given = {a.name: a.i for a in node.attribute}
    begin, end = given.get("start", 0), given.get("end", len(shape))
    return np.array(shape[begin:end], np.int64)


def opset_of(model: onnx.ModelProto) -> int:
    """The version of ONNX's own operators."""
    return next((o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}), 1)


def _ran(
    node: onnx.NodeProto, values: Mapping[str, NDArray[Any]], opset: int
) -> dict[str, NDArray[Any]]:
    """The operator's output, unless it is large, cannot be run or is rounded in another way elsewhere."""
    if node.op_type == "Div" and any(
        v.dtype.kind == "i" and (v < 0).any() for v in values.values()
    ):
        return {}
    if node.op_type == "ConstantOfShape":
        lengths = next(iter(values.values()))
        if np.prod(lengths.astype(float)) > _MOST:
            return {}
    inputs = [helper.make_empty_tensor_value_info(name) for name in values]
    outputs = [helper.make_empty_tensor_value_info(node.output[0])]
    graph = helper.make_graph([node], "one", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        result = np.asarray(next(iter(ReferenceEvaluator(model).run(None, dict(values)))))
    except Exception:  # noqa: BLE001 - then it is not known
        return {}
    return {node.output[0]: result} if result.size <= _MOST else {}


def _dims(model: onnx.ModelProto) -> dict[str, Dims]:
    """Shapes, as far as they can be told."""
    known = {value.name for value in model.graph.value_info}
    while True:
        try:
            graph = shape_inference.infer_shapes(model, data_prop=True).graph
        except Exception:  # noqa: BLE001 - shapes are told without it too, if fewer
            graph = model.graph
        dims = _dims_in(graph)
        found = [one for one in shapes_in(model.graph, dims) if one.name not in known]
        if not found:
            return dims
        model.graph.value_info.extend(found)
        known |= {one.name for one in found}


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
    inside = list(bodies_in(model.graph))
    take_over(model)
    for graph in (model.graph, *inside):
        del graph.value_info[:]
    declared = [*model.graph.output, *(v for body in inside for v in (*body.input, *body.output))]
    for value in declared:
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.ClearField("shape")
    for value in graph_inputs(model.graph):
        dims = value.type.tensor_type.shape.dim
        if dims:
            dims[0].dim_value = ROWS
    for tensor in (t for graph in (model.graph, *inside) for t in graph.initializer):
        if len(tensor.raw_data) > _LARGE:
            tensor.ClearField("raw_data")
