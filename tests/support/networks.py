"""Small networks in a user's own folder, and copies of them in other precisions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.__main__ import main
from models.artifacts import load_family
from models.artifacts.digests import sha256_of
from models.catalog import Accuracy

WIDTH, CLASSES, ROWS = 16, 20, 80
Nodes = list[onnx.NodeProto]
Weights = list[TensorProto]


def some(*shape: int, seed: int = 4) -> np.ndarray:
    return (0.3 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def constant(name: str, value: np.ndarray) -> TensorProto:
    return numpy_helper.from_array(value, name)


def dense(target: str = "y") -> tuple[Nodes, Weights]:
    """`target` = x @ w, wide enough to be worth narrowing."""
    node = helper.make_node("MatMul", ["x", f"{target}.w"], [target], name=target)
    return [node], [constant(f"{target}.w", some(WIDTH, CLASSES))]


def a_family(
    root: Path,
    graph: tuple[Nodes, Weights],
    outputs: Sequence[tuple[str, str, Sequence[int]]] = (("y", "FP32", (CLASSES,)),),
    opsets: Sequence[tuple[str, int]] = (("", 17),),
    *,
    accuracy: float = 0.9,
    labelled: bool = False,
) -> Path:
    """A family as its user wrote it down, with files of their own beside."""
    folder = root / "own"
    folder.mkdir(parents=True)
    kinds = {"FP32": TensorProto.FLOAT, "INT64": TensorProto.INT64}
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", WIDTH])]
    results = [helper.make_tensor_value_info(n, kinds[d], ["N", *s]) for n, d, s in outputs]
    model = helper.make_model(
        helper.make_graph(graph[0], "own", ends, results, graph[1]),
        opset_imports=[helper.make_opsetid(*o) for o in opsets],
        ir_version=8,
    )
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    described = "".join(
        f'\n[[outputs]]\nname = "{n}"\ndatatype = "{d}"\nshape = {[-1, *s]}\n'
        for n, d, s in outputs
    )
    labels = [f"kind {i}" for i in range(CLASSES)] if labelled else []
    (folder / "family.toml").write_text(
        f"""# Ours: ask Ann.
name = "own"
labels = {labels}

[slo]
latency_ms = 50  # agreed

[[inputs]]
name = "x"
datatype = "FP32"
shape = [-1, {WIDTH}]
{described}
# The only one.
[[variants]]
name = "net"
precision = "fp32"
artifact = "model.onnx"
sha256 = "{sha256_of(folder / "model.onnx")}"
accuracy = {{ value = {accuracy}, source = "own test split" }}
"""
    )
    (folder / "notes.txt").write_text("notes")
    return folder


def quantize(root: Path, precisions: str = "int8,bf16,fp16", **arrays: Any) -> int:
    np.savez(root / "own" / "rows.npz", **({"x": some(ROWS, WIDTH, seed=9)} | arrays))
    rows = str(root / "own" / "rows.npz")
    options = ["--repository", str(root), "--calibration", rows, "--precisions", precisions]
    return main(["quantize", "own", *options])


def made(root: Path) -> dict[str, Accuracy]:
    return {v.name: v.accuracy for v in load_family(root / "own").variants[1:]}
