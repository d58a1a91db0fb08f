"""How each operator is done for all tasks at once, their channels beside each other along axis 1."""

import math
from collections.abc import Callable

import numpy as np

from models.backends.base import operators
from models.stems.fusion import Array, Fusion, Layer, NoRule

Rule = Callable[[Fusion, Layer], None]


def _same(fusion: Fusion, layer: Layer) -> None:
    """What treats every channel by itself and all alike."""
    if not layer.alike:
        raise NoRule(layer.node.op_type)
    fusion.copy(layer)


def _convolution(fusion: Fusion, layer: Layer) -> None:
    """On what all tasks share, more output channels; on their own channels, a group (or as many) for each task."""
    if 1 not in layer.params:
        raise NoRule("a computed weight")
    source, groups = layer.node.input[0], layer.attribute("group", 1)
    if source in fusion.stacked or groups != 1:
        source, groups = fusion.stack(source), groups * fusion.tasks
    inputs = [source, *_joined(fusion, layer)]
    attributes = layer.attributes | {"group": groups}
    fusion.node("Conv", inputs, layer.node.output[0], **attributes)


def _batch_normalization(fusion: Fusion, layer: Layer) -> None:
    if sorted(layer.params) != [1, 2, 3, 4] or layer.attribute("training_mode", 0):
        raise NoRule("a batch normalisation in training")
    inputs = [fusion.stack(layer.node.input[0]), *_joined(fusion, layer)]
    fusion.node("BatchNormalization", inputs, layer.node.output[0], **layer.attributes)


def _elementwise(fusion: Fusion, layer: Layer) -> None:
    """Of two activations, or one and a constant that is spread over its channels."""
    names = [name for i, name in enumerate(layer.node.input) if i not in layer.params]
    shapes = [fusion.shape(name) for name in names]
    if (
        not all(shapes)
        or len({shape[0] for shape in shapes}) != 1
        or len(set(map(len, shapes))) != 1
    ):
        raise NoRule("a broadcast between activations")
    if fusion.shape(layer.node.output[0])[:1] != shapes[0][:1]:
        raise NoRule("an activation that is spread over channels")
    inputs = [
        fusion.constant(f"{layer.node.output[0]}.{i}", _spread(layer.params[i], shapes[0]))
        if i in layer.params
        else fusion.stack(name)
        for i, name in enumerate(layer.node.input)
    ]
    fusion.node(layer.node.op_type, inputs, layer.node.output[0])


def _linear(fusion: Fusion, layer: Layer) -> None:
    """Gemm or MatMul with a constant matrix: wider on what tasks share, a batch of products on what is their own."""
    source, output = layer.node.input[0], layer.node.output[0]
    shape = fusion.shape(source)
    if 1 not in layer.params or len(shape) != 1 or layer.attribute("transA", 0):
        raise NoRule("a product of activations")
    each = [w.T if layer.attribute("transB", 0) else w for w in layer.params[1]]
    if each[0].ndim != 2:
        raise NoRule("a product of more than matrices")
    matrices = layer.attribute("alpha", 1.0) * np.stack(each)
    product = output if 2 not in layer.params else f"{output}.product"
    if source in fusion.stacked:
        _products(fusion, source, matrices, product)
    else:
        wide = fusion.constant(f"{output}.matrix", np.concatenate(list(matrices), axis=1))
        fusion.node("MatMul", [source, wide], product)
    if 2 in layer.params:
        width = matrices.shape[2]
        bias = np.concatenate([np.broadcast_to(b, (1, width)) for b in layer.params[2]], axis=1)
        scaled = fusion.constant(f"{output}.bias", np.float32(layer.attribute("beta", 1.0)) * bias)
        fusion.node("Add", [product, scaled], output)


def _products(fusion: Fusion, source: str, matrices: Array, product: str) -> None:
    """(any, tasks * features) -> (any, tasks * width), each task's features times its matrix."""
    tasks, features, width = matrices.shape
    apart = fusion.constant(f"{product}.apart", np.array([0, tasks, features]))
    together = fusion.constant(f"{product}.together", np.array([0, tasks * width]))
    rows = fusion.node("Reshape", [source, apart], f"{product}.rows")
    rows = fusion.node("Transpose", [rows], f"{product}.tasks", perm=[1, 0, 2])
    weights = fusion.constant(f"{product}.matrices", matrices.astype(np.float32))
    rows = fusion.node("MatMul", [rows, weights], f"{product}.each")
    rows = fusion.node("Transpose", [rows], f"{product}.back", perm=[1, 0, 2])
    fusion.node("Reshape", [rows, together], product)


def _reshaped(fusion: Fusion, layer: Layer) -> None:
    """Only what leaves every task's values in their order: to one row of features, or of one score, a task."""
    source, output = layer.node.input[0], layer.node.output[0]
    before, after = fusion.shape(source), fusion.shape(output)
    if len(after) > 1 or math.prod(before) != math.prod(after):
        raise NoRule("a change of shape")
    fusion.node("Flatten", [fusion.stack(source)], output, axis=1)


def _mean(fusion: Fusion, layer: Layer) -> None:
    """Over space, not over channels."""
    axes = layer.params[1][0].tolist() if 1 in layer.params else layer.attribute("axes", [])
    rank = len(fusion.shape(layer.node.input[0])) + 1
    if not axes or min(axis % rank for axis in axes) < 2:
        raise NoRule("a mean over channels")
    _same(fusion, layer)


def _joined(fusion: Fusion, layer: Layer) -> list[str]:
    """Every task's constants one after the other, for all constant inputs."""
    name = layer.node.output[0]
    return [fusion.constant(f"{name}.{i}", np.concatenate(p)) for i, p in layer.params.items()]


def _spread(constants: list[Array], shape: tuple[int, ...]) -> Array:
    """(1, tasks * channels, ...): each task's constant, broadcast to its channels."""
    rank = len(shape) + 1
    wide: list[Array] = []
    for constant in constants:
        if constant.ndim > rank or (constant.ndim == rank and len(constant) != 1):
            raise NoRule("a constant with rows")
        padded = constant.reshape((1,) * (rank - constant.ndim) + constant.shape)
        wide.append(np.broadcast_to(padded, (1, shape[0], *padded.shape[2:])))
    return np.concatenate(wide, axis=1)


_ALIKE = operators("""
    Relu LeakyRelu Elu Selu Sigmoid HardSigmoid HardSwish Tanh Softplus Softsign Erf Exp Log Sqrt
    Neg Abs Clip Identity MaxPool AveragePool GlobalAveragePool GlobalMaxPool
""")

RULES: dict[str, Rule] = {
    **dict.fromkeys(_ALIKE, _same),
    **dict.fromkeys(("Add", "Sub", "Mul", "Div"), _elementwise),
    **dict.fromkeys(("Gemm", "MatMul"), _linear),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze"), _reshaped),
    "BatchNormalization": _batch_normalization,
    "Conv": _convolution,
    "ReduceMean": _mean,
}
"""Operator -> its rule. What all tasks share and do alike needs none."""
