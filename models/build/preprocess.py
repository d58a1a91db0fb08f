"""Pre-processing as part of the graph, so that one client-side picture serves networks of every size and scaling."""

import math

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper

from models.build.graphs import IR_VERSION, Array, Graph
from models.build.networks import CORE_INPUT

INPUT = "image"
INPUT_SIDE = 260


_CENTRED = "image.centred"


def preprocessing(side: int, mean: Array) -> onnx.ModelProto:
    """`image` UINT8 [N, 260, 260, 3] -> FP32 [N, 3, side, side]: `mean` [3] subtracted, resized bilinearly to `side`.

    The resizing is written as what it is, two weighted sums: of rows, which are gathered as bytes, and of columns, a
    matrix product. That costs a runtime with bf16 products a third of its own Resize, others the same. Centring comes
    first because bf16 holds small numbers better; the mean cannot go into the stem's bias, which pads with zeros.
    """
    graph = Graph()
    tensor = graph.node("Transpose", [INPUT], "image.chw", perm=[0, 3, 1, 2])
    centre = graph.constant("image.mean", mean.reshape(1, 3, 1, 1))
    if side == INPUT_SIDE:
        tensor = graph.node("Cast", [tensor], "image.float", to=TensorProto.FLOAT)
        graph.node("Sub", [tensor, centre], _CENTRED)
    else:
        tensor = graph.node("Sub", [_rows_resized(graph, tensor, side), centre], "image.low")
        _columns_resized(graph, tensor, side)
    return graph.model(
        "preprocessing",
        helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["N", INPUT_SIDE, INPUT_SIDE, 3]),
        helper.make_tensor_value_info(_CENTRED, TensorProto.FLOAT, ["N", 3, side, side]),
    )


def _taps(side: int) -> tuple[NDArray[np.int64], Array]:
    """Bilinear resizing of 260 values to `side` fewer, pixel centres aligned: result i is (1 - w) x[k] + w x[k + 1].

    Returns k and w, each [side].
    """
    at = (np.arange(side) + 0.5) * INPUT_SIDE / side - 0.5
    first = np.floor(at).astype(np.int64)
    return first, (at - first).astype(np.float32)


def _rows_resized(graph: Graph, tensor: str, side: int) -> str:
    """Bytes [N, 3, 260, 260] -> FP32 [N, 3, side, 260]."""
    first, weight = _taps(side)
    parts: list[str] = []
    for name, rows, share in (("above", first, 1 - weight), ("below", first + 1, weight)):
        chosen = graph.constant(f"image.{name}.rows", rows)
        part = graph.node("Gather", [tensor, chosen], f"image.{name}.bytes", axis=2)
        part = graph.node("Cast", [part], f"image.{name}.float", to=TensorProto.FLOAT)
        shares = graph.constant(f"image.{name}.share", share.reshape(side, 1))
        parts.append(graph.node("Mul", [part, shares], f"image.{name}"))
    return graph.node("Add", parts, "image.rows")


def _columns_resized(graph: Graph, tensor: str, side: int) -> str:
    """[N, 3, side, 260] -> [N, 3, side, side]. The taps repeat: equal blocks of columns meet one small matrix."""
    blocks = math.gcd(side, INPUT_SIDE)
    taken, made = INPUT_SIDE // blocks, side // blocks
    first, weight = _taps(side)
    first, weight = first[:made], weight[:made]
    matrix = np.zeros((taken, made), np.float32)
    matrix[first, np.arange(made)] = 1 - weight
    matrix[first + 1, np.arange(made)] = weight
    shape = graph.constant("image.blocks.shape", np.array([-1, taken]))
    tensor = graph.node("Reshape", [tensor, shape], "image.blocks")
    product = [tensor, graph.constant("image.columns.taps", matrix)]
    tensor = graph.node("MatMul", product, "image.columns")
    shape = graph.constant("image.shape", np.array([-1, 3, side, side]))
    return graph.node("Reshape", [tensor, shape], _CENTRED)


def joined(front: onnx.ModelProto, core: onnx.ModelProto) -> onnx.ModelProto:
    """The servable model: pre-processing, then the network."""
    whole = compose.merge_models(front, core, [(_CENTRED, CORE_INPUT)])
    whole.ir_version = IR_VERSION
    onnx.checker.check_model(whole, full_check=True)
    return whole
