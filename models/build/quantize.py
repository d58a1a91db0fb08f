"""fp32 network -> int8 network (QDQ): U8 activations, S8 weights per channel, ranges taken from real pictures."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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

from models.build.networks import CORE_INPUT

Array = NDArray[np.float32]


class _Reader(CalibrationDataReader):
    """Hands the quantiser one centred picture [1, 3, side, side] at a time."""

    def __init__(self, pixels: Array) -> None:
        self._rows = iter(pixels)

    def get_next(self) -> dict[str, Array] | None:  # type: ignore[override] - the base class says dict, its users None
        row = next(self._rows, None)
        return None if row is None else {CORE_INPUT: row[None]}


def quantize(core: onnx.ModelProto, pixels: Array) -> onnx.ModelProto:
    """`core` in int8, calibrated on `pixels` [n, 3, side, side], which are centred as `core` wants them."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(core, source)  # given the graph itself, the quantiser moves its weights out of it
        quantize_static(
            source,
            target,
            _Reader(pixels),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            calibrate_method=CalibrationMethod.MinMax,
        )
        return onnx.load(target)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser advises on the root logger to optimise the graph first; ours has nothing left to optimise."""
    logger = logging.getLogger()
    logger.addFilter(_is_ours)
    try:
        yield
    finally:
        logger.removeFilter(_is_ours)


def _is_ours(_record: logging.LogRecord) -> bool:
    return False


def run_front(front: onnx.ModelProto, pictures: NDArray[np.uint8]) -> Array:
    """The pre-processing graph's output for every picture."""
    session = ort.InferenceSession(front.SerializeToString(), providers=["CPUExecutionProvider"])
    rows = [session.run(None, {session.get_inputs()[0].name: p[None]})[0] for p in pictures]
    return np.concatenate(rows)
