"""fp32 network -> int8 network (QDQ): U8 activations, S8 weights per channel, ranges taken from real pictures.

Chosen by measurement (docs/decisions/0003): ranges averaged over the pictures beat extremes, percentiles and entropy;
the first convolutions stay fp32, which is faster too; logits stay fp32, because 256 levels tie the best classes.
"""

import logging
import tempfile
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)

from models.build.graphs import Array
from models.build.networks import CORE_INPUT

_FLOAT_CONVOLUTIONS = 2
"""The stem, whose three input channels suit no int8 kernel, and the depthwise convolution after it."""


class _Reader(CalibrationDataReader):
    """Hands the quantiser one row of every input at a time, then None."""

    def __init__(self, inputs: Mapping[str, NDArray[Any]]) -> None:
        self._inputs = inputs
        self._rows = iter(range(len(next(iter(inputs.values())))))

    def get_next(self) -> Any:
        row = next(self._rows, None)
        return None if row is None else {n: a[row : row + 1] for n, a in self._inputs.items()}


def quantize(core: onnx.ModelProto, pixels: Array) -> onnx.ModelProto:
    """`core` in int8, calibrated on `pixels` [n, 3, side, side], which are centred as `core` wants them."""
    convolutions = [node.name for node in core.graph.node if node.op_type == "Conv"]
    return quantize_graph(core, {CORE_INPUT: pixels}, convolutions[:_FLOAT_CONVOLUTIONS])


def quantize_graph(
    model: onnx.ModelProto, inputs: Mapping[str, NDArray[Any]], kept_float: Sequence[str] = ()
) -> onnx.ModelProto:
    """`model` in int8, calibrated on the rows of `inputs`; the nodes named in `kept_float` stay as they are."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(
            model, source
        )  # given the graph itself, the quantiser moves its weights out of it
        quantize_static(
            source,
            target,
            _Reader(inputs),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            nodes_to_exclude=list(kept_float),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "CalibMovingAverage": True,
                "OpTypesToExcludeOutputQuantization": ["Gemm"],
            },
        )
        return onnx.load(target)


@contextmanager
def _quiet() -> Generator[None]:
    """Hold back the quantiser's advice to optimise the graph first: nothing is left to optimise."""
    root = logging.getLogger()
    root.addFilter(_refuse)
    try:
        yield
    finally:
        root.removeFilter(_refuse)


def _refuse(_record: logging.LogRecord) -> bool:
    return False


def run_front(front: onnx.ModelProto, pictures: NDArray[np.uint8]) -> Array:
    """The pre-processing graph's output for every picture."""
    session = ort.InferenceSession(front.SerializeToString(), providers=["CPUExecutionProvider"])
    rows: list[Any] = [session.run(None, {"image": p[None]})[0] for p in pictures]
    return np.concatenate(rows)
