"""The embedded family's networks: MobileNetV2 and EfficientNet-Lite, as one chain of inverted residual blocks.

A checkpoint says how wide and deep its network is; only strides, padding and key names are written down here.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import onnx
from onnx import TensorProto, helper

from models.build.checkpoints import StateDict
from models.build.errors import BuildError
from models.build.graphs import Array, Graph, fold_batch_norm, same_pads, symmetric_pads

CORE_INPUT = "pixels"
OUTPUT = "logits"
CLASSES = 1000

Pads = Callable[[int, int, int], tuple[int, int]]
"""(side, kernel, stride) -> padding before and after."""


@dataclass(frozen=True, slots=True)
class Architecture:
    """How a kind of network names its parameters, pads, and where it strides (by block; 1 elsewhere)."""

    blocks: tuple[tuple[tuple[str, str], ...], ...]
    """Per block, (convolution, batch-norm) key prefixes in order; the first is the stem, the last the head."""
    strides: frozenset[int]
    """Blocks whose one spatial convolution has stride 2."""
    classifier: str
    pads: Pads
    epsilon: float


def mobilenet_v2() -> Architecture:
    """MobileNetV2 at width 1.0 with torchvision's key names."""
    blocks = [(("features.0.0", "features.0.1"),), _torchvision(1, 1)]
    blocks += [_torchvision(i, 2) for i in range(2, 18)]
    blocks.append((("features.18.0", "features.18.1"),))
    strides = frozenset({0, 2, 4, 7, 14})
    return Architecture(tuple(blocks), strides, "classifier.1", symmetric_pads, 1e-5)


def _torchvision(i: int, activated: int) -> tuple[tuple[str, str], ...]:
    """A block: `activated` convolutions with activation (each a module of its own), then the projection."""
    base = f"features.{i}.conv"
    pairs = [(f"{base}.{j}.0", f"{base}.{j}.1") for j in range(activated)]
    return (*pairs, (f"{base}.{activated}", f"{base}.{activated + 1}"))


def efficientnet_lite(depth: float) -> Architecture:
    """EfficientNet-Lite with `depth` times lite0's blocks; first and last stage keep theirs."""
    repeats = [1, *(int(np.ceil(r * depth)) for r in (2, 2, 3, 3, 4)), 1]
    starts = np.cumsum([1, *repeats])
    strided = [starts[stage] for stage in (1, 2, 3, 5)]  # the other stages keep their resolution
    blocks = [(("_conv_stem", "_bn0"),), _lite(0, expands=False)]
    blocks += [_lite(i, expands=True) for i in range(1, sum(repeats))]
    blocks.append((("_conv_head", "_bn1"),))
    strides = frozenset({0, *(int(s) for s in strided)})
    return Architecture(tuple(blocks), strides, "_fc", same_pads, 1e-3)


def _lite(i: int, *, expands: bool) -> tuple[tuple[str, str], ...]:
    pairs = (("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2"))
    return tuple(
        (f"_blocks.{i}.{c}", f"_blocks.{i}.{n}") for c, n in (pairs if expands else pairs[1:])
    )


@dataclass(slots=True)
class _Parameters:
    """A state dict, taken apart: what is left at the end was not understood."""

    left: StateDict

    def take(self, key: str) -> Array:
        if key not in self.left:
            raise BuildError(f"checkpoint lacks {key}; it belongs to another network")
        return cast("Array", self.left.pop(key))

    def convolution(self, conv: str, norm: str, epsilon: float) -> tuple[Array, Array]:
        parts = ("weight", "bias", "running_mean", "running_var")
        statistics = {part: self.take(f"{norm}.{part}") for part in parts}
        self.left.pop(f"{norm}.num_batches_tracked", None)
        return fold_batch_norm(self.take(f"{conv}.weight"), statistics, epsilon)


def build_core(
    architecture: Architecture, state: StateDict, side: int, scale: Array
) -> onnx.ModelProto:
    """The network without pre-processing: `pixels` FP32 [N, 3, side, side], already centred, -> `logits` [N, 1000].

    `scale` [3] multiplies the channels of `pixels`; it goes into the stem's weights, where it costs nothing.
    """
    graph, parameters = Graph(), _Parameters(dict(state))
    here = _Here(CORE_INPUT, side, 3)
    for i, block in enumerate(architecture.blocks):
        convolutions = [parameters.convolution(*names, architecture.epsilon) for names in block]
        if i == 0:
            weight, bias = convolutions[0]
            convolutions[0] = (weight * scale[None, :, None, None], bias)
        stride = 2 if i in architecture.strides else 1
        here = _block(graph, here, [c for c, _ in block], convolutions, (stride, architecture.pads))
    _classify(graph, here, parameters, architecture.classifier)
    if parameters.left:
        raise BuildError(f"checkpoint has parameters unknown here: {sorted(parameters.left)[:3]}")
    source = helper.make_tensor_value_info(CORE_INPUT, TensorProto.FLOAT, ["N", 3, side, side])
    target = helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["N", CLASSES])
    return graph.model("network", source, target)


@dataclass(frozen=True, slots=True)
class _Here:
    """Where the chain has got to: the tensor [N, channels, side, side]."""

    tensor: str
    side: int
    channels: int


def _block(
    graph: Graph,
    start: _Here,
    names: list[str],
    convolutions: list[tuple[Array, Array]],
    spatial: tuple[int, Pads],
) -> _Here:
    """Convolutions in a row, all but a projection activated, and the shortcut around them where shapes allow."""
    here, (stride, pads) = start, spatial
    for name, parameters in zip(names, convolutions, strict=True):
        kernel = parameters[0].shape[-1]
        step = stride if kernel > 1 else 1
        padding = pads(here.side, kernel, step)
        tensor = graph.convolution(here.tensor, name, parameters, step, padding)
        here = _Here(tensor, -(-here.side // step), len(parameters[1]))
        if name != names[-1] or len(names) == 1:
            here = replace(here, tensor=graph.relu6(tensor))
    if len(names) > 1 and (here.side, here.channels) == (start.side, start.channels):
        return replace(
            here, tensor=graph.node("Add", [start.tensor, here.tensor], f"{names[-1]}.sum")
        )
    return here


def _classify(graph: Graph, here: _Here, parameters: _Parameters, key: str) -> None:
    pooled = graph.node("GlobalAveragePool", [here.tensor], "pooled")
    features = graph.node("Flatten", [pooled], "features", axis=1)
    weight = graph.constant(f"{key}.weight", parameters.take(f"{key}.weight"))
    bias = graph.constant(f"{key}.bias", parameters.take(f"{key}.bias"))
    graph.node("Gemm", [features, weight, bias], OUTPUT, transB=1)
