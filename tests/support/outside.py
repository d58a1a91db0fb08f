"""Small ONNX networks that keep their weights in other files, for tests."""

from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

WIDTH = 4
FAMILY = Family(
    "own",
    (TensorSpec("x", "FP32", (-1, WIDTH)),),
    (TensorSpec("y", "FP32", (-1, WIDTH)),),
    (),
    Slo(2.0),
    max_batch=4,
)


def a_variant(name: str) -> Variant:
    """As it is before it is published."""
    return Variant(name, "fp32", "", "", Accuracy(0.8, "made up"))


def weights(seed: int = 0) -> NDArray[np.float32]:
    """What the network multiplies by."""
    return np.random.default_rng(seed).standard_normal((WIDTH, WIDTH)).astype(np.float32)


def a_product(
    path: Path, location: str = "model.onnx.data", seed: int = 0, **entries: int | str
) -> Path:
    """Write y = x @ weights(seed) to `path`, its weights at `location` as it says; the file is written if it can be.

    `entries` are further ones, such as `offset`.
    """
    tensor = numpy_helper.from_array(weights(seed), "w")
    content = outside(tensor, location, **entries)
    save(path, [helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor])
    if location and not location.startswith("/") and ".." not in location and ":" not in location:
        (path.parent / location).parent.mkdir(parents=True, exist_ok=True)
        (path.parent / location).write_bytes(content)
    return path


def outside(tensor: TensorProto, location: str, **entries: int | str) -> bytes:
    """Say of `tensor` that its values are at `location`; returns them."""
    content = tensor.raw_data
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        tensor.external_data.add(key=key, value=str(value))
    return content


def save(path: Path, nodes: list[onnx.NodeProto], tensors: list[TensorProto]) -> None:
    """Write a graph from x to y, rows free, as it stands: nothing is checked or moved."""
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", WIDTH]) for name in ("x", "y")
    ]
    graph = helper.make_graph(nodes, "outside", ends[:1], ends[1:], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path.write_bytes(model.SerializeToString())
