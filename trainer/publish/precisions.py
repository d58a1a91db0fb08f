"""An exported fp32 network in bf16, fp16 and int8: the same tools that `gearshift models quantize` uses."""

from pathlib import Path

import numpy as np
import onnx

from models.build.errors import BuildError
from models.build.narrowing.precisions import PRECISIONS, in_precision
from trainer.errors import TrainError
from trainer.publish.evaluate import Images
from trainer.publish.signature import INPUT

__all__ = ["PRECISIONS", "write_precision"]


def write_precision(full: Path, precision: str, calibration: Images, target: Path) -> None:
    """Write the fp32 network at `full` in `precision` to `target`.

    `calibration` (n, c, h, w) sets the ranges of int8 and must come from the training split. Raises TrainError where
    this network cannot be had in `precision`, OSError where `target` cannot be written.
    """
    if precision not in PRECISIONS:
        raise TrainError(f"unknown precision {precision!r}; known: {', '.join(PRECISIONS)}")
    if precision == "int8" and not len(calibration):
        raise TrainError("int8 needs images of the training split to set its ranges; give some")
    model = onnx.load(full)
    rows = {INPUT: calibration.astype(np.float32)}
    try:
        made = in_precision(model, precision, rows, _kept_float(model))
    except BuildError as error:
        raise TrainError(str(error)) from error
    target.write_bytes(made.SerializeToString())


def _kept_float(model: onnx.ModelProto) -> list[str]:
    """All up to the first convolution: scaling of pixels, and a stem whose few channels suit no int8 kernel."""
    operators = [node.op_type for node in model.graph.node]
    if "Conv" not in operators:
        return []
    return [node.name for node in model.graph.node[: operators.index("Conv") + 1] if node.name]
