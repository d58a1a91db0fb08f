"""Writes a family that takes pictures of 203 kB and hardly looks at them: their way to the batch is what they cost."""

from pathlib import Path

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import onnx
from onnx import TensorProto, helper

from models.artifacts import publish_family
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

NAME = "picture"
SHAPE = (260, 260, 3)
"""Of one row, UINT8."""


def publish_picture(repository: Path, path: Path) -> None:
    """A family whose answer is a row's first pixel, its graph written to `path` first."""
    constants = {"starts": [0, 0], "ends": [1, 1], "axes": [1, 2]}
    graph = helper.make_graph(
        [
            *(
                helper.make_node("Constant", [], [name], value_ints=values)
                for name, values in constants.items()
            ),
            helper.make_node("Slice", ["x", *constants], ["pixel"]),
            helper.make_node("Cast", ["pixel"], ["wide"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["wide"], ["y"], axis=1),
        ],
        NAME,
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["rows", *SHAPE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", SHAPE[-1]])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    family = Family(
        name=NAME,
        inputs=(TensorSpec("x", "UINT8", (-1, *SHAPE)),),
        outputs=(TensorSpec("y", "FP32", (-1, SHAPE[-1])),),
        variants=(Variant("pixel", "fp32", "", "", Accuracy(0.9, "none: for the transport only")),),
        slo=Slo(latency_s=2.0),
        max_batch=32,
        description="looks at one pixel of each picture",
    )
    publish_family(repository, family, {"pixel": path})
