"""Writes the MLP of 784-128-10: as a bare ONNX file for the peers and as a published family for
Gearshift."""

from pathlib import Path

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from models.artifacts import publish_family
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

NAME = "mlp"
WIDTHS = (784, 128, 10)


def write_mlp(path: Path, seed: int = 0) -> None:
    """An ONNX file: `x` FP32 [rows, 784] -> `y` FP32 [rows, 10], two dense layers with a ReLU,
    seeded weights."""
    rng = np.random.default_rng(seed)
    weights = {
        name: (rng.standard_normal(shape) / np.sqrt(WIDTHS[0])).astype(np.float32)
        for name, shape in (
            ("w1", WIDTHS[:2]),
            ("b1", WIDTHS[1:2]),
            ("w2", WIDTHS[1:]),
            ("b2", WIDTHS[2:]),
        )
    }
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["x", "w1", "b1"], ["h"]),
            helper.make_node("Relu", ["h"], ["r"]),
            helper.make_node("Gemm", ["r", "w2", "b2"], ["y"]),
        ],
        NAME,
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", WIDTHS[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", WIDTHS[-1]])],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def publish_mlp(repository: Path, path: Path) -> None:
    """A family of that one variant under `repository`."""
    family = Family(
        name=NAME,
        inputs=(TensorSpec("x", "FP32", (-1, WIDTHS[0])),),
        outputs=(TensorSpec("y", "FP32", (-1, WIDTHS[-1])),),
        variants=(
            Variant(
                "mlp-fp32",
                "fp32",
                "",
                "",
                Accuracy(0.9, "none: seeded weights, for transport only"),
            ),
        ),
        slo=Slo(latency_s=2.0),
        max_batch=32,
        description="a tiny model that leaves the transport as the cost",
    )
    publish_family(repository, family, {"mlp-fp32": path})
