"""What OpenVINO's CPU plug-in would not compute as the model says: read off the graph before anything is compiled.

It computes 64-bit whole numbers in 32 bits and FP64 in FP32, and follows indices and divides without a look at them.
What follows from an input's shape alone, and numbers that count or point to elements, fit all the same.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

from models.backends.base import operators
from models.datatypes import DATATYPES

_NARROWED = [DATATYPES[name] for name in ("INT64", "UINT64", "UINT32", "FP64")]
_FOREIGN = {row.openvino: row.name for row in _NARROWED} | {"string": "BYTES"}
"""Types that are computed in others, by the protocol's word."""


class _From(IntEnum):
    """What a value follows from; the larger of two wins."""

    SHAPES = 0
    """Constants and the inputs' shapes."""
    POSITIONS = 1
    """Positions of elements: small whole numbers."""
    CONTENT = 2
    """What a client sends."""


_POSITIONS = {
    "TopK": (1,),
    "MaxPool": (1,),
    "AdaptiveMaxPool": (1,),
    "NonZero": (0,),
    "NonMaxSuppression": (0, 2),
    "MulticlassNms": (1, 2),
    "MatrixNms": (1, 2),
}
"""Operator -> its outputs that are positions or counts."""

_LAYOUT = operators("""
    Broadcast Concat Convert Reshape Result Reverse Slice Split Squeeze StridedSlice Tile Transpose
    Unsqueeze VariadicSplit
""")
"""Operators that hand on the values that they are given."""

_INDICES = {
    "EmbeddingBagOffsets": 1,
    "EmbeddingBagOffsetsSum": 1,
    "EmbeddingBagPackedSum": 1,
    "EmbeddingSegmentsSum": 1,
    "Gather": 1,
    "GatherElements": 1,
    "GatherND": 1,
    "GatherTree": 0,
    "ScatterElementsUpdate": 1,
    "ScatterNDUpdate": 1,
    "ScatterUpdate": 1,
}
"""Operator -> the input that says which elements."""

_IN_FLOATS = {"Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual", "Power"}
"""Operators that take INT32 as FP32, which has 24 bits."""

_DIVISIONS = {"Divide", "Mod", "FloorMod"}
_CONTROL = {"If", "Loop", "TensorIterator"}
_WHOLE = {"i4", "i8", "i16", "i32", "i64", "u1", "u4", "u8", "u16", "u32", "u64"}


def foreign(model: Any) -> str:
    """Why the answers for this `openvino.Model` would not be the model's; empty where nothing is known against it."""
    known: dict[tuple[str, int], _From] = {}
    for node in model.get_ordered_ops():
        inputs = [_source(value, known) for value in node.input_values()]
        kind = node.get_type_name()
        if reason := _against(node, kind, inputs):
            return reason
        for index in range(node.get_output_size()):
            known[node.get_name(), index] = _follows(kind, index, inputs)
    return ""


def _source(value: Any, known: dict[tuple[str, int], _From]) -> _From:
    return known.get((value.get_node().get_name(), value.get_index()), _From.CONTENT)


def _follows(kind: str, index: int, inputs: list[_From]) -> _From:
    if kind == "Parameter":
        return _From.CONTENT
    if kind in {"Constant", "ShapeOf"}:
        return _From.SHAPES
    if index in _POSITIONS.get(kind, ()):
        return _From.POSITIONS
    return max(inputs, default=_From.CONTENT)


def _against(node: Any, kind: str, inputs: list[_From]) -> str:
    """Why this operator would give something else."""
    if kind == "Parameter":
        return _narrowed([node.output(0)], "an input")
    most = max(inputs, default=_From.SHAPES)
    if most is _From.SHAPES or kind == "ShapeOf":
        return ""
    if reason := _unchecked(node, kind, inputs):
        return reason
    if most is _From.POSITIONS and (kind in _LAYOUT or kind in _INDICES):
        return ""
    origins = zip(node.input_values(), inputs, strict=True)
    taken = [value for value, origin in origins if origin is not _From.SHAPES]
    positions = _POSITIONS.get(kind, ())
    given = [
        output
        for index, output in enumerate(node.outputs())
        if index not in positions and output.get_target_inputs()
    ]
    return _narrowed(taken if kind == "Result" else [*taken, *given], f"its {kind}")


def _unchecked(node: Any, kind: str, inputs: list[_From]) -> str:
    """What a model must refuse and this runtime would answer, or computes in floats."""
    if kind in _CONTROL:
        return f"what its control flow ({kind}) computes cannot be told beforehand"
    if kind in _INDICES and inputs[_INDICES[kind]] is _From.CONTENT:
        return f"it does not check indices that follow from an input ({kind})"
    whole = kind in _DIVISIONS and _type(node.input_value(1)) in _WHOLE
    if whole and inputs[1] is not _From.SHAPES:
        return f"it does not check for a division of whole numbers by zero ({kind})"
    in_floats = kind in _IN_FLOATS and "i32" in map(_type, node.input_values())
    if in_floats and _From.CONTENT in inputs:
        return f"it computes INT32 in FP32 (its {kind})"
    return ""


def _narrowed(values: Sequence[Any], where: str) -> str:
    found = next((_FOREIGN[t] for value in values if (t := _type(value)) in _FOREIGN), None)
    return f"it computes {found} in a narrower type ({where})" if found else ""


def _type(value: Any) -> str:
    return str(value.get_element_type().get_type_name())
