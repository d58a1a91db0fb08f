"""Small families published for the server under test: scripted ones, and a seeded ONNX perceptron."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.artifacts import publish_family
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

WIDTH = 16
"""Values in a row of the input `x`."""
SEED = 7
"""Of the perceptron's weights, unless another is asked for."""
MARKER = 666.0
"""A row of `frail` that begins with this fails its batch."""

_X = (TensorSpec("x", "FP32", (-1, WIDTH)),)
_Y = (TensorSpec("y", "FP32", (-1, 4)),)

ECHO = Family("echo", _X, _Y, (), Slo(2.0), max_batch=8, labels=("a", "b", "c", "d"))
MLP = Family("mlp", _X, _Y, (), Slo(2.0), max_batch=8)
JUDGES = Family("judges", _X, _Y, (), Slo(2.0), max_batch=8, labels=("a", "b", "c", "d"))
FRAIL = Family("frail", _X, _Y, (), Slo(5.0), max_batch=8)
SLOW = Family("slow", _X, _Y, (), Slo(10.0), max_batch=4)
PAIR = Family(
    "pair",
    (TensorSpec("a", "INT32", (-1, 2)), TensorSpec("b", "UINT8", (-1, 3))),
    (TensorSpec("s", "FP32", (-1, 1)), TensorSpec("t", "INT64", (-1, 2))),
    (),
    Slo(2.0),
    max_batch=8,
)


def publish_scripted(
    root: Path,
    family: Family,
    scripts: Mapping[str, str] | None = None,
    accuracies: Mapping[str, float] | None = None,
    candidates: Collection[str] = (),
) -> Family:
    """Publish `family` with a scripted variant per entry of `scripts`; its accuracy is 0.8 unless given.

    Again with the same scripts and further ones, it adds variants: those of the same script stay as they are.
    """
    sources = {
        name: _file(root.parent / f"{family.name}-{name}.scripted", script.encode())
        for name, script in (scripts or {"only": ""}).items()
    }
    known = accuracies or {}
    variants = tuple(
        Variant(
            name, "fp32", "", "", Accuracy(known.get(name, 0.8), "scripted"), name in candidates
        )
        for name in sources
    )
    return publish_family(root, replace(family, variants=variants), sources)


def publish_mlp(root: Path) -> Family:
    """Publish the perceptron: two variants of one graph, so that answers do not depend on the choice."""
    graph = _file(root.parent / "mlp.onnx", perceptron().SerializeToString())
    variants = (
        Variant("tiny", "fp32", "", "", Accuracy(0.7, "made up")),
        Variant("twin", "fp32", "", "", Accuracy(0.9, "made up")),
    )
    return publish_family(root, replace(MLP, variants=variants), {"tiny": graph, "twin": graph})


def publish_judges(
    root: Path,
    seeds: Mapping[str, int],
    accuracies: Mapping[str, float],
    candidates: Collection[str] = (),
) -> Family:
    """Publish perceptrons with labels, of these seeds: one seed, one opinion. Again with more, it adds variants."""
    sources = {
        name: _file(root.parent / f"judge-{name}.onnx", perceptron(seed).SerializeToString())
        for name, seed in seeds.items()
    }
    variants = tuple(
        Variant(name, "fp32", "", "", Accuracy(accuracies[name], "made up"), name in candidates)
        for name in seeds
    )
    return publish_family(root, replace(JUDGES, variants=variants), sources)


def perceptron(seed: int = SEED) -> onnx.ModelProto:
    """y = tanh(x @ W1) @ W2 with `weights(seed)`; the rows are free."""
    first, second = weights(seed)
    nodes = [
        helper.make_node("MatMul", ["x", "w1"], ["h"]),
        helper.make_node("Tanh", ["h"], ["g"]),
        helper.make_node("MatMul", ["g", "w2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "perceptron",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", WIDTH])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])],
        [numpy_helper.from_array(first, "w1"), numpy_helper.from_array(second, "w2")],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="test"
    )


def weights(seed: int = SEED) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The perceptron's matrices, (WIDTH, 8) and (8, 4)."""
    rng = np.random.default_rng(seed)
    shapes = ((WIDTH, 8), (8, 4))
    first, second = (rng.standard_normal(s).astype(np.float32) for s in shapes)
    return first, second


def expected_mlp(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What the perceptron answers for the rows of `x`."""
    first, second = weights()
    return np.tanh(x @ first) @ second


def expected_echo(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a scripted variant answers: each row's mean, divided by 1, 2, 3 and 4."""
    level = x.astype(np.float64).mean(axis=1, keepdims=True)
    return (level / (1.0 + np.arange(4))).astype(np.float32)


def rows(first: float, count: int = 1) -> NDArray[np.float32]:
    """`count` rows of x that no other `first` has: row i holds first + i / 64 everywhere."""
    column = (first + np.arange(count)[:, None] / 64).astype(np.float32)
    return np.repeat(column, WIDTH, axis=1)


def _file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
