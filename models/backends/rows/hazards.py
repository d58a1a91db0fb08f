"""What in an ONNX graph hangs on what its inputs hold, not on their shapes: sizes, which branch is taken, divisions.

Such a graph may treat a row by what its neighbours are, however well rows agree that were tried.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.inliner import inline_local_functions

from models.backends.base import BackendError, operators, words
from models.backends.graph_nodes import bodies_of, graph_inputs
from models.backends.rows.across import across_rows
from models.backends.rows.names import bodies_in, make_unique, nodes_of
from models.catalog import Family, TensorSpec
from models.datatypes import DATATYPES

_SIZED_BY_CONTENT = {"Compress", "NonMaxSuppression", "NonZero", "StringSplit", "Unique"}
"""Operators whose outputs' shapes follow from values."""

_SIZES = {
    **dict.fromkeys(("Expand", "OneHot", "Pad", "Reshape"), (1,)),
    **dict.fromkeys(("Split", "Tile", "TopK", "Upsample"), (1,)),
    "ConstantOfShape": (0,),
    "Range": (0, 1, 2),
    "Resize": (2, 3),
    "Slice": (1, 2, 3, 4),
}
"""Operator -> its inputs whose values say how large the output is."""

_CONTROL = {"If": (0,), "Loop": (0, 1)}
"""Operator -> its inputs whose values say what is run."""

_BOUNDED = {"If", "Reshape", "Slice", "Split", "TopK", *_SIZED_BY_CONTENT}
"""Of all these, those that give no more than they are given, and end."""

_SHAPES_ONLY = {"Shape", "Size"}


_DIVISIONS = {"Div", "Mod"}

_NUMBERS = {row.onnx for row in DATATYPES.values() if row.name not in {"BOOL", "FP16"}}
_SMALL = 1 << 16
"""Bytes of a tensor that is looked into."""
_VALUES = {"value_int", "value_ints", "value_float", "value_floats"}
_HANDING_ON = operators("""
    Cast Concat Expand Gather Identity Reshape Slice Squeeze Tile Transpose Unsqueeze
""")
"""Operators that give values of their first input, Concat of all."""

_TRAPPED = {TensorProto.INT32, TensorProto.INT64}
_FATAL_DIVISORS = (0, -1)
"""Processors stop the process where the smallest of these numbers is divided by -1, and runtimes do not all check for
it, or for 0."""


@dataclass(frozen=True, slots=True)
class Hazards:
    """`hangs`: what in the graph hangs on what rows hold, or on their neighbours; `fatal`: how a row may end the
    process; `endless`: what a row may have take any time or memory. Empty: nothing."""

    hangs: str = ""
    fatal: str = ""
    endless: str = ""


def hazards_of(path: Path, family: Family | None = None) -> Hazards:
    """What clients' rows may do to the graph in this `.onnx` file. Raises BackendError where it cannot be read.

    Where sizes of the `family` are free, rows are followed at the typical and at the largest ones.
    """
    if family is None or not family.sizes:
        return _hazards(path, ())
    found = [_hazards(path, one.inputs) for one in (family.typical, family.largest)]
    return Hazards(
        *(next(filter(None, said), "") for said in zip(*map(astuple, found), strict=True))
    )


def _hazards(path: Path, inputs: Sequence[TensorSpec]) -> Hazards:
    try:
        model = onnx.load(path, load_external_data=False)
        if model.functions:
            model = inline_local_functions(model)
        make_unique(model.graph)
        _set_sizes(model.graph, inputs)
    except Exception as error:  # protobuf's DecodeError is not ours to import
        raise BackendError(f"{path} is no ONNX model: {words(error)}; publish it again") from error
    given = {value.name for value in graph_inputs(model.graph)}
    visited = list(_following(model.graph, given))
    against = {
        node.op_type: reason for node, content in visited if (reason := _against(node, content))
    }
    endless = next((why for kind, why in against.items() if kind not in _BOUNDED), "")
    divisions = [
        (node, node.input[1] in content) for node, content in visited if node.op_type in _DIVISIONS
    ]
    hangs = next(iter(against.values()), "")
    try:
        constants = _constants(model.graph)
    except Exception as error:  # a tensor whose bytes are not what its shape says
        raise BackendError(f"{path} is no ONNX model: {words(error)}; publish it again") from error
    fatal = _fatal(model, divisions, constants) if divisions else ""
    return Hazards(hangs or across_rows(model, constants), fatal, endless)


def _set_sizes(graph: onnx.GraphProto, inputs: Sequence[TensorSpec]) -> None:
    """Give the graph's inputs these sizes behind their rows."""
    wanted = {spec.name: spec.shape for spec in inputs}
    for value in graph_inputs(graph):
        dims = value.type.tensor_type.shape.dim
        for dim, size in zip(dims[1:], wanted.get(value.name, ())[1:], strict=False):
            dim.dim_value = size


def _following(
    graph: onnx.GraphProto, content: set[str]
) -> Iterator[tuple[onnx.NodeProto, set[str]]]:
    """The nodes that follow from content, with all that does so in their graph, which `content` grows to be."""
    for node in graph.node:
        if node.op_type in _SHAPES_ONLY or not _follows(node, content):
            continue
        yield node, content
        for body in bodies_of(node):
            yield from _following(body, _inside(node, body, content))
        content.update(name for name in node.output if name)


def _inside(node: onnx.NodeProto, body: onnx.GraphProto, content: set[str]) -> set[str]:
    """What follows from content as this body begins: a loop's number of the round, and whether it is to go on, do only
    where its own inputs do."""
    given = [value.name for value in body.input]
    if node.op_type == "Loop" and not _holds(node, (0, 1), content):
        given = given[2:]
    return content | set(given)


def _fatal(
    model: onnx.ModelProto,
    divisions: Sequence[tuple[onnx.NodeProto, bool]],
    constants: Mapping[str, NDArray[Any]],
) -> str:
    """Which of these divides whole numbers by what may be fatal; each with whether its divisor follows from content."""
    kinds = _element_types(model)
    makers = {name: node for node in nodes_of(model.graph) for name in node.output}
    for node, by_content in divisions:
        divisor = node.input[1]
        fmod = any(a.name == "fmod" and a.i for a in node.attribute)
        if fmod or kinds.get(node.output[0], kinds.get(divisor)) not in _TRAPPED:
            continue
        if by_content or not _is_harmless(divisor, constants, makers):
            return (
                f"its {node.op_type} divides whole numbers by what may be 0 or -1, at which the process ends: "
                "clamp the divisor, or divide floats"
            )
    return ""


def _is_harmless(
    divisor: str, constants: Mapping[str, NDArray[Any]], makers: Mapping[str, onnx.NodeProto]
) -> bool:
    """Whether it is known to be neither 0 nor -1: a constant, a length, or either of them handed on."""
    if divisor in constants:
        return not np.isin(np.trunc(constants[divisor]), _FATAL_DIVISORS).any()
    maker = makers.get(divisor)
    if maker is None or maker.op_type not in _SHAPES_ONLY | _HANDING_ON:
        return False
    sources = maker.input if maker.op_type == "Concat" else maker.input[:1]
    return maker.op_type in _SHAPES_ONLY or all(
        _is_harmless(name, constants, makers) for name in sources
    )


def _constants(graph: onnx.GraphProto) -> dict[str, NDArray[Any]]:
    """Constants by name, those of bodies too; not large ones, nor what is kept in other files."""
    tensors = {t.name: t for one in (graph, *bodies_in(graph)) for t in one.initializer}
    given = {value.name for body in bodies_in(graph) for value in body.input}
    found = dict[str, NDArray[Any]]()
    for node in (n for n in nodes_of(graph) if n.op_type == "Constant"):
        for attribute in node.attribute:
            if attribute.name == "value":
                tensors[node.output[0]] = attribute.t
            elif attribute.name in _VALUES:
                found[node.output[0]] = np.array(helper.get_attribute_value(attribute))
    small = {
        name: t
        for name, t in tensors.items()
        if name not in given
        and t.data_type in _NUMBERS
        and not t.external_data
        and t.ByteSize() <= _SMALL
    }
    return found | {name: numpy_helper.to_array(tensor) for name, tensor in small.items()}


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    """Element type of every value that can be told."""
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception:  # noqa: BLE001 - types are told without it too, if fewer
        graph = model.graph
    return _declared(graph)


def _declared(graph: onnx.GraphProto) -> dict[str, int]:
    """Types that a graph and its bodies state."""
    kinds: dict[str, int] = {}
    for body in (body for node in graph.node for body in bodies_of(node)):
        kinds |= _declared(body)
    values = [*graph.input, *graph.value_info, *graph.output]
    kinds |= {value.name: value.type.tensor_type.elem_type for value in values}
    return kinds | {tensor.name: tensor.data_type for tensor in graph.initializer}


def _against(node: onnx.NodeProto, content: set[str]) -> str:
    if node.op_type in _SIZED_BY_CONTENT:
        return f"the size of what {node.op_type} gives hangs on what the rows hold"
    if _holds(node, _SIZES.get(node.op_type, ()), content):
        return f"the size of what {node.op_type} gives is computed from what the rows hold"
    if _holds(node, _CONTROL.get(node.op_type, ()), content) or _goes_on(node, content):
        return f"what {node.op_type} runs is decided by what the rows hold"
    return ""


def _goes_on(node: onnx.NodeProto, content: set[str]) -> bool:
    """Whether a loop goes on for as long as its body finds."""
    if node.op_type != "Loop":
        return False
    inside = {body.output[0].name: _inside(node, body, content) for body in bodies_of(node)}
    for body, known in zip(bodies_of(node), inside.values(), strict=True):
        for _ in _following(body, known):
            pass
    return any(name in known for name, known in inside.items())


def _holds(node: onnx.NodeProto, which: Sequence[int], content: set[str]) -> bool:
    return any(index < len(node.input) and node.input[index] in content for index in which)


def _follows(node: onnx.NodeProto, content: set[str]) -> bool:
    """Whether its inputs, or what its bodies take from outside, follow from content."""
    used: Iterable[str] = node.input
    return any(name in content for name in used) or any(
        _follows(inner, content) for body in bodies_of(node) for inner in body.node
    )
