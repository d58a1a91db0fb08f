"""fp32 network -> int8 network (QDQ): U8 activations, S8 weights per channel, ranges taken from real pictures.

Chosen by measurement (docs/decisions/0003): on pictures ranges averaged over the rows beat extremes, percentiles and
entropy; elsewhere they clip what is rare and large, so other networks get the better of averages and extremes. First
convolutions stay fp32, which is faster too; logits stay fp32, because 256 levels tie the best classes.
"""

import logging
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from models.build.graphs import Array
from models.build.narrowing.closeness import Floats, relative_error
from models.build.networks import CORE_INPUT
from models.exact_int8 import EXACT_INT8
from surroundings.search_path import search_path_kept

with search_path_kept():
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

_FLOAT_CONVOLUTIONS = 2
"""The stem, whose three input channels suit no int8 kernel, and the depthwise convolution after it."""

_ROWS_COMPARED = 128
"""Of the calibration rows, at most, that say which ranges are better."""
_CLEARLY_LESS = 0.9
"""Less of the error than this: else averages, whose clipping spares most rows' precision."""


class _Reader(CalibrationDataReader):
    """Hands the quantiser the inputs of one row at a time, then None."""

    def __init__(self, rows: Iterable[Mapping[str, NDArray[Any]]]) -> None:
        self._rows = iter(rows)

    def get_next(self) -> Any:
        return next(self._rows, None)


def quantize(core: onnx.ModelProto, pixels: Array) -> onnx.ModelProto:
    """`core` in int8, calibrated on `pixels` [n, 3, side, side], which are centred as `core` wants them."""
    convolutions = [node.name for node in core.graph.node if node.op_type == "Conv"]
    rows = _one_by_one({CORE_INPUT: pixels})
    return _quantized(core, rows, convolutions[:_FLOAT_CONVOLUTIONS], averaged=True)


def quantize_products(
    model: onnx.ModelProto, rows: Iterable[Mapping[str, NDArray[Any]]], kept_float: Sequence[str]
) -> onnx.ModelProto:
    """`model` with its products of values by weights in int8; `rows` are inputs for one row each, of any sizes.

    Products of values by values, those named in `kept_float`, and all other operators stay as they are.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    products = [n for n in model.graph.node if n.op_type == "MatMul"]
    kept = [n.name for n in products if not weights & set(n.input)]
    return _quantized(model, rows, [*kept, *kept_float], averaged=True, operators=["MatMul"])


def quantize_graph(
    model: onnx.ModelProto, inputs: Mapping[str, NDArray[Any]], kept_float: Sequence[str] = ()
) -> onnx.ModelProto:
    """`model` in int8, calibrated on the rows of `inputs`; the nodes named in `kept_float` stay as they are.

    The ranges are averages over the rows or the extremes: extremes where they are clearly nearer to fp32 on the rows.
    """
    averaged = _quantized(model, _one_by_one(inputs), kept_float, averaged=True)
    extremes = _quantized(model, _one_by_one(inputs), kept_float, averaged=False)
    some = {name: a[:: -(-len(a) // _ROWS_COMPARED)] for name, a in inputs.items()}
    expected = _outputs(model, some)
    error = _error(expected, _outputs(averaged, some))
    nearer = _error(expected, _outputs(extremes, some))
    return extremes if nearer < _CLEARLY_LESS * error else averaged


def _one_by_one(inputs: Mapping[str, NDArray[Any]]) -> Iterable[Mapping[str, NDArray[Any]]]:
    n = len(next(iter(inputs.values())))
    return ({name: a[i : i + 1] for name, a in inputs.items()} for i in range(n))


def _quantized(
    model: onnx.ModelProto,
    rows: Iterable[Mapping[str, NDArray[Any]]],
    kept_float: Sequence[str],
    *,
    averaged: bool,
    operators: Sequence[str] | None = None,
) -> onnx.ModelProto:
    """`operators`: the kinds that are quantised, all that can be where that is None."""
    with tempfile.TemporaryDirectory() as folder, _quiet():
        source, target = Path(folder) / "fp32.onnx", Path(folder) / "int8.onnx"
        onnx.save(
            model, source
        )  # given the graph itself, the quantiser moves its weights out of it
        quantize_static(
            source,
            target,
            _Reader(rows),
            quant_format=QuantFormat.QDQ,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            per_channel=True,
            op_types_to_quantize=operators,
            nodes_to_exclude=list(kept_float),
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "CalibMovingAverage": averaged,
                "OpTypesToExcludeOutputQuantization": ["Gemm"],
            },
        )
        return onnx.load(target)


def _outputs(model: onnx.ModelProto, rows: Mapping[str, NDArray[Any]]) -> list[NDArray[Any]]:
    """Its outputs for the rows, one row a run, as calibration runs them."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(*EXACT_INT8)
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    n = len(next(iter(rows.values())))
    runs: list[Any] = [
        session.run(None, {name: a[i : i + 1] for name, a in rows.items()}) for i in range(n)
    ]
    return [np.concatenate(parts) for parts in zip(*runs, strict=True)]


def _error(expected: Sequence[NDArray[Any]], found: Sequence[NDArray[Any]]) -> float:
    """The mean over the outputs; infinite where an answer is no number that fp32 gives one for."""
    errors = [
        _error_of(e.astype(np.float64), f.astype(np.float64))
        for e, f in zip(expected, found, strict=True)
    ]
    return float(np.mean(errors))


def _error_of(expected: Floats, found: Floats) -> float:
    whole = np.isfinite(expected.reshape(len(expected), -1)).all(axis=1)
    if not np.isfinite(found[whole]).all():
        return np.inf
    return relative_error(expected[whole], found[whole])


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
