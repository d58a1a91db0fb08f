"""The family of the traffic test: an answer is its request's rows, marked with the variant that gave it."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.artifacts import add_variants, publish_family, remove_variants
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

NAME = "marked"
VISITOR = "visitor"
TAGS = {"steady": 1.0, "other": 2.0, VISITOR: 3.0}
"""Variant -> what it puts into the last column."""
_ACCURACY = {"steady": 0.7, "other": 0.8, VISITOR: 0.9}
_FAMILY = Family(
    NAME,
    inputs=(TensorSpec("x", "FP32", (-1, 4)),),
    outputs=(TensorSpec("y", "FP32", (-1, 4)),),
    variants=(),
    slo=Slo(1.0),
    max_batch=16,
)


def rows_of(number: int, count: int) -> NDArray[np.float32]:
    """The rows of the request with this number, which no other has; each is exact in FP32."""
    rows = np.zeros((count, 4), np.float32)
    rows[:, 0], rows[:, 1], rows[:, 2] = number >> 12, number & 0xFFF, np.arange(count)
    return rows


def publish(root: Path) -> None:
    """The variants that stay."""
    names = [name for name in TAGS if name != VISITOR]
    sources = {name: _graph(root, name) for name in names}
    variants = tuple(_variant(name) for name in names)
    family = Family(NAME, _FAMILY.inputs, _FAMILY.outputs, variants, _FAMILY.slo, 16)
    publish_family(root, family, sources)


def come(root: Path) -> None:
    """The visitor is published."""
    add_variants(root, NAME, (_variant(VISITOR),), {VISITOR: _graph(root, VISITOR)})


def go(root: Path) -> None:
    """It is taken out again."""
    remove_variants(root, NAME, [VISITOR])


def _variant(name: str) -> Variant:
    return Variant(name, "fp32", "", "", Accuracy(_ACCURACY[name], "made up"))


def _graph(root: Path, name: str) -> Path:
    """y = x + (0, 0, 0, tag)."""
    mark = np.array([0, 0, 0, TAGS[name]], np.float32)
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "mark"], ["y"])],
        name,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(mark, "mark")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = root.parent / f"{NAME}-{name}.onnx"
    path.write_bytes(model.SerializeToString())
    assert onnx.load(path).graph.name == name
    return path
