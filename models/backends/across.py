"""What in an ONNX graph runs over the rows of a batch, told by its shapes: such a row's answer hangs on its neighbours.

Rows tried beside each other show most of that, but not what begins at some value only.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper, shape_inference

from models.backends.graph_nodes import graph_inputs

_ROWS = "rows of the batch"
"""Stands for their number in shapes."""

_REDUCE = "Reduce"
_ALONG = {
    "ArgMax": 0, "ArgMin": 0, "Hardmax": -1, "LogSoftmax": -1, "LpNormalization": -1, "Softmax": -1, "TopK": -1,
}  # fmt: skip
"""Operator -> the axis that it runs along where it names none, in opset 13 and later."""
_FLATTENING = {"Hardmax", "LogSoftmax", "Softmax"}
"""Before, these ran along all axes from the one that they name, by default the second."""
_OPSET_ALONG = 13
_RECURRENT = {"GRU", "LSTM", "RNN"}
_WHOLE = {"DynamicQuantizeLinear"}
"""These look at all values at once."""

_LARGE = 4096
"""Bytes of an initialiser whose values say nothing of shapes."""

_Dims = Sequence[Any]


def across_rows(
    model: onnx.ModelProto, nodes: Iterable[onnx.NodeProto], constants: Mapping[str, NDArray[Any]]
) -> str:
    """Which of these nodes of the main graph runs over rows; empty where none is known to.

    Takes the shapes and the large weights out of `model`. `constants` are its small ones.
    """
    _bare(model)
    try:
        graph = shape_inference.infer_shapes(model).graph
    except Exception:  # noqa: BLE001 - what shapes cannot be told of is only tried
        return ""
    dims = {
        value.name: list(value.type.tensor_type.shape.dim)
        for value in [*graph.input, *graph.value_info, *graph.output]
    }
    opset = next((o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}), 1)
    for node in nodes:
        first = dims.get(node.input[0], []) if node.input else []
        axes = _axes(node, len(first), constants, opset)
        scanned = node.op_type == "Scan" and _scans(node, dims)
        if scanned or any(_is_rows(first[a]) for a in axes if -len(first) <= a < len(first)):
            return f"its {node.op_type} runs over the rows of a batch"
    return ""


def _bare(model: onnx.ModelProto) -> None:
    """One name for the rows everywhere, and nothing that takes long to copy."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    for value in graph_inputs(model.graph):
        dims = value.type.tensor_type.shape.dim
        if dims and not dims[0].dim_value:
            dims[0].dim_param = _ROWS
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > _LARGE:
            tensor.ClearField("raw_data")


def _axes(
    node: onnx.NodeProto, rank: int, constants: Mapping[str, NDArray[Any]], opset: int
) -> Iterable[int]:
    """The axes of its first input that it runs along."""
    kind, given = node.op_type, {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if kind.startswith(_REDUCE):
        return _reduced(node, given, rank, constants)
    if kind == "CumSum":
        return _numbers(constants.get(node.input[1]))
    if kind in _FLATTENING and opset < _OPSET_ALONG:
        return range(given.get("axis", 1) % max(1, rank), rank)
    if kind in _ALONG:
        return [given.get("axis", _ALONG[kind])]
    return _fixed(kind, given, rank)


def _fixed(kind: str, given: Mapping[str, Any], rank: int) -> Iterable[int]:
    """Of operators whose axes nothing names."""
    if kind in _WHOLE:
        return range(rank)
    if kind in _RECURRENT and not given.get("layout"):
        return [0]
    return [-1] if kind == "MatMul" and rank > 1 else []


def _reduced(
    node: onnx.NodeProto, given: dict[str, Any], rank: int, constants: Mapping[str, NDArray[Any]]
) -> Iterable[int]:
    if "axes" in given:
        return given["axes"]
    if len(node.input) > 1 and node.input[1]:
        return _numbers(constants.get(node.input[1]))
    return [] if given.get("noop_with_empty_axes") else range(rank)


def _numbers(constant: NDArray[Any] | None) -> list[int]:
    return [] if constant is None else [int(n) for n in constant.ravel()]


def _scans(node: onnx.NodeProto, dims: Mapping[str, _Dims]) -> bool:
    """Whether it hands something on from row to row."""
    given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    scanned = given.get("num_scan_inputs", 0)
    if len(node.input) <= scanned:
        return False
    axes = given.get("scan_input_axes", [0] * scanned)
    over = (dims.get(name, []) for name in node.input[-scanned:])
    return any(-len(d) <= a < len(d) and _is_rows(d[a]) for d, a in zip(over, axes, strict=False))


def _is_rows(dim: Any) -> bool:
    return bool(dim.dim_param == _ROWS)
