"""An exported fp32 network in bf16, fp16 and int8: the same tools that `gearshift models quantize` uses."""

from pathlib import Path

import numpy as np
import onnx

from models.build import narrow
from models.build.errors import BuildError
from models.build.quantize import quantize_graph
from trainer.errors import TrainError
from trainer.evaluate import Images
from trainer.signature import INPUT

PRECISIONS = (*narrow.PRECISIONS, "int8")
"""What can be made of fp32."""


def write_precision(full: Path, precision: str, calibration: Images, target: Path) -> None:
    """Write the fp32 network at `full` in `precision` to `target`.

    `calibration` (n, c, h, w) sets the ranges of int8 and must come from the training split. Raises TrainError where
    this network cannot be had in `precision`, OSError where `target` cannot be written.
    """
    if precision not in PRECISIONS:
        raise TrainError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    model = onnx.load(full)
    made = _quantized(model, calibration) if precision == "int8" else _narrowed(model, precision)
    target.write_bytes(made.SerializeToString())


def _narrowed(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    try:
        return narrow.narrow(model, precision)
    except BuildError as error:
        raise TrainError(str(error)) from error


def _quantized(model: onnx.ModelProto, calibration: Images) -> onnx.ModelProto:
    if not len(calibration):
        raise TrainError("int8 needs images of the training split to set its ranges; give some")
    rows = {INPUT: calibration.astype(np.float32)}
    try:
        return quantize_graph(model, rows, _kept_float(model))
    except OSError:  # a full disk is no fault of the network's
        raise
    except Exception as error:  # the quantiser raises whatever the operator it met led to
        said = " ".join(str(error).split()) or type(error).__name__
        raise TrainError(f"the network cannot be quantised to int8: {said}") from error


def _kept_float(model: onnx.ModelProto) -> list[str]:
    """All up to the first convolution: scaling of pixels, and a stem whose few channels suit no int8 kernel."""
    operators = [node.op_type for node in model.graph.node]
    if "Conv" not in operators:
        return []
    return [node.name for node in model.graph.node[: operators.index("Conv") + 1] if node.name]
