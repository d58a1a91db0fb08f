"""An fp32 network in another precision, or in one line why it cannot be had in that."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto

from models.build.errors import BuildError
from models.build.narrowing import narrow
from models.build.narrowing.quantize import quantize_graph

PRECISIONS = (*narrow.PRECISIONS, "int8")

_LEAST_OPSET = {"bf16": 13, "fp16": 7, "int8": 13}
"""Of the standard operators: from where on Cast knows the type, or DequantizeLinear an axis."""

_MOST_WORDS = 400


def in_precision(
    model: onnx.ModelProto,
    precision: str,
    rows: Mapping[str, NDArray[Any]],
    kept_float: Sequence[str] = (),
) -> onnx.ModelProto:
    """`model` in `precision`; `rows` of its inputs set the ranges of int8, but for the nodes named in `kept_float`.

    Raises BuildError where it cannot be had so, OSError where the disk refuses.
    """
    opset = next((o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}), None)
    if opset is None:
        domains = ", ".join(sorted(o.domain for o in model.opset_import))
        raise BuildError(
            f"all of its operators are of {domains or 'no domain'}; only standard ones are made narrower"
        )
    if opset < _LEAST_OPSET[precision]:
        raise BuildError(
            f"its operators are of opset {opset}, {precision} needs {_LEAST_OPSET[precision]}; "
            "convert it with onnx.version_converter"
        )
    try:
        if precision != "int8":
            return narrow.narrow(model, precision)
        made = quantize_graph(model, rows, kept_float)
    except (OSError, BuildError):  # a full disk is no fault of the network's
        raise
    except Exception as error:  # the tools raise whatever the operator they met led to
        raise BuildError(line(error)) from error
    if not any(
        t.data_type == TensorProto.INT8 and np.prod(t.dims) > 1 for t in made.graph.initializer
    ):
        raise BuildError("it has no weights that can be quantised")
    return made


def line(error: Exception) -> str:
    """The error on one line of bounded length."""
    words = " ".join(str(error).split()) or type(error).__name__
    return words if len(words) <= _MOST_WORDS else f"{words[:_MOST_WORDS]} …"
