"""fp32 network -> the same network with its weights stored in bf16 or fp16 and widened in the graph: half the file.

What computes in the narrow type is the runtime's affair: OpenVINO and TensorRT do, ONNX Runtime folds the Cast at load.
"""

import math
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.build.errors import BuildError

_TYPES = {"bf16": TensorProto.BFLOAT16, "fp16": TensorProto.FLOAT16}
PRECISIONS = tuple(_TYPES)

_WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
"""Operators whose weights are stored narrow; biases and scales stay fp32: they are small and add up."""

_WEIGHTS_ALONE = 4
"""The IR version from which on weights need not be inputs too."""

_LEAST_VALUES = 256
"""Smaller weights save nothing worth a node."""


def narrow(model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
    """A copy of `model` with the weights of its convolutions and products in `precision`, rounded to nearest even.

    Raises BuildError where a weight is too large for `precision`, or nothing could be narrowed.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    made.ir_version = max(made.ir_version, _WEIGHTS_ALONE)
    graph = made.graph
    chosen = {name for node in graph.node if node.op_type in _WEIGHTED for name in node.input[:2]}
    casts = [
        _stored_as(tensor, precision)
        for tensor in graph.initializer
        if tensor.name in chosen and _is_large_float(tensor)
    ]
    if not casts:
        raise BuildError(f"{precision}: {_nothing(graph, chosen)}; nothing to narrow")
    stored = {node.output[0] for node in casts}
    fixed = [value for value in graph.input if value.name not in stored]  # old graphs list weights
    del graph.input[:]
    graph.input.extend(fixed)
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(made, full_check=True)
    return made


def _nothing(graph: onnx.GraphProto, chosen: set[str]) -> str:
    """Why none of the weights called `chosen` is narrowed."""
    of = ", ".join(sorted(_WEIGHTED))
    sizes = [
        math.prod(tensor.dims)
        for tensor in graph.initializer
        if tensor.name in chosen and tensor.data_type == TensorProto.FLOAT
    ]
    if not sizes:
        return f"the graph holds no fp32 weights of {of}"
    return (
        f"its fp32 weights of {of} are too small to be worth it: the largest has {max(sizes)} values, "
        f"those of {_LEAST_VALUES} or more are narrowed"
    )


def rounded(values: NDArray[np.float32], precision: str) -> NDArray[Any]:
    """`values` as bf16 or fp16, to nearest, ties to even. Raises BuildError where one becomes infinite."""
    with np.errstate(over="ignore"):
        stored = values.astype(helper.tensor_dtype_to_np_dtype(_TYPES[precision]))
    if not np.isfinite(stored.astype(np.float32)).all():
        largest = float(np.abs(values).max())
        raise BuildError(
            f"{precision} cannot hold a weight of magnitude {largest:g}; leave this precision out"
        )
    return stored


def _is_large_float(tensor: onnx.TensorProto) -> bool:
    return tensor.data_type == TensorProto.FLOAT and math.prod(tensor.dims) >= _LEAST_VALUES


def _stored_as(tensor: onnx.TensorProto, precision: str) -> onnx.NodeProto:
    """Store `tensor` in `precision` under another name; the node returned gives the old name the widened values."""
    name = tensor.name
    stored = f"{name}.{precision}"
    try:
        values = rounded(numpy_helper.to_array(tensor), precision)
    except BuildError as error:
        raise BuildError(f"weight {name}: {error}") from error
    tensor.CopyFrom(numpy_helper.from_array(values, stored))
    return helper.make_node("Cast", [stored], [name], name=f"{name}.widened", to=TensorProto.FLOAT)
