"""Small ONNX networks that keep their weights in other files, for tests."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.artifacts import (
    publish_family,
)
from models.backends import RUNTIMES, Way, is_installed, open_backend
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
ROWS = np.random.default_rng(5).standard_normal((3, WIDTH)).astype(np.float32)
ANYWHERE = [Way("onnxruntime"), Way("openvino"), Way("torch")]


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


def publish(root: Path, **files: Path) -> Family:
    variants = tuple(a_variant(name) for name in files)
    return publish_family(root, replace(FAMILY, variants=variants), files)


def answers(root: Path, family: Family, name: str, way: Way | None = None) -> np.ndarray:
    variant = family.variant(name)
    assert variant is not None
    backend = open_backend(root / "own", family, variant, threads=1, way=way)
    try:
        return np.asarray(backend.run({"x": ROWS})["y"])
    finally:
        backend.close()


def by_hand(root: Path, path: Path, text: str = "") -> Path:
    """A family as a user writes it: a manifest with the graph's sha256, `text` at its end."""
    folder = root / "own"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "family.toml").write_text(
        f"""
name = "own"
slo = {{ latency_ms = 50 }}
inputs = [{{ name = "x", datatype = "FP32", shape = [-1, {WIDTH}] }}]
outputs = [{{ name = "y", datatype = "FP32", shape = [-1, {WIDTH}] }}]

[[variants]]
name = "net"
precision = "fp32"
artifact = "{path.name}"
sha256 = "{digest}"
accuracy = {{ value = 0.8, source = "mine" }}
{text}"""
    )
    return folder


def ways() -> list[Way]:
    there = {r.name for r in RUNTIMES if is_installed(r)}
    return [way for way in ANYWHERE if way.backend in there]


def everywhere() -> onnx.ModelProto:
    """A model with a tensor outside in every place that a tensor can be in."""

    def away(name: str) -> TensorProto:
        tensor = numpy_helper.from_array(weights(), name)
        outside(tensor, f"{name}.bin")
        return tensor

    def node(name: str, **attributes: object) -> onnx.NodeProto:
        return helper.make_node("Any", [], [f"{name}.out"], **attributes)

    def sparse(name: str) -> onnx.SparseTensorProto:
        return helper.make_sparse_tensor(away(f"{name}.values"), away(f"{name}.indices"), [4, 16])

    branch = helper.make_graph(
        [node("inner", value=away("inner.attribute"))], "branch", [], [], [away("inner.weights")]
    )
    nodes = [
        node("one", value=away("attribute")),
        node("many", values=[away("first"), away("second")]),
        node("graph", then_branch=branch),
        node("graphs", branches=[branch]),
        node("sparse", sparse_value=sparse("attribute.sparse")),
        node("sparses", sparse_values=[sparse("list.sparse")]),
    ]
    graph = helper.make_graph(
        nodes, "main", [], [], [away("weights"), numpy_helper.from_array(weights(), "in")]
    )
    graph.sparse_initializer.append(sparse("initialiser"))
    model = helper.make_model(graph)
    model.functions.append(
        helper.make_function("d", "f", [], [], [node("f", value=away("function"))], [], [])
    )
    info = model.training_info.add()
    info.algorithm.CopyFrom(helper.make_graph([], "train", [], [], [away("training")]))
    return model
