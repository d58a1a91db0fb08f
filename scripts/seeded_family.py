"""The embedded family's architectures with seeded random weights: for machines without its artefacts or a network."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import numpy as np
import onnx
from numpy.typing import NDArray

from models.build.checkpoints import StateDict
from models.build.narrowing.narrow import narrow
from models.build.networks import CLASSES, OUTPUT, build_core, efficientnet_lite, mobilenet_v2
from models.build.preprocess import INPUT, INPUT_SIDE, joined, preprocessing
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

SIDE = 224
_SEED = 20240229
_MOBILENET = ((1, 16, 1), (6, 24, 2), (6, 32, 3), (6, 64, 4), (6, 96, 3), (6, 160, 3), (6, 320, 1))
"""(expansion, channels, blocks) of each stage."""
_LITE0 = (
    (1, 16, 1, 3),
    (6, 24, 2, 3),
    (6, 40, 2, 5),
    (6, 80, 3, 3),
    (6, 112, 3, 5),
    (6, 192, 4, 5),
    (6, 320, 1, 3),
)
"""(expansion, channels, blocks, kernel) of each stage."""

Report = Callable[[str], None]


class _State:
    """A state dict in the making: He-normal convolutions, batch-norms near the identity."""

    def __init__(self) -> None:
        self.values: StateDict = {}
        self._rng = np.random.default_rng(_SEED)

    def convolution(self, conv: str, norm: str, shape: tuple[int, int, int]) -> None:
        out, into, kernel = shape
        scale = np.sqrt(2 / (into * kernel * kernel))
        self._put(f"{conv}.weight", (out, into, kernel, kernel), 0.0, scale)
        self._put(f"{norm}.weight", (out,), 1.0, 0.02)
        self._put(f"{norm}.bias", (out,), 0.1, 0.1)
        self._put(f"{norm}.running_mean", (out,), 0.0, 0.02)
        self.values[f"{norm}.running_var"] = np.ones(out, np.float32)

    def classifier(self, name: str) -> None:
        self._put(f"{name}.weight", (CLASSES, 1280), 0.0, 0.05)
        self._put(f"{name}.bias", (CLASSES,), 0.0, 0.05)

    def _put(self, name: str, shape: tuple[int, ...], mean: float, deviation: float) -> None:
        self.values[name] = self._rng.normal(mean, deviation, shape).astype(np.float32)


def _mobilenet_state() -> StateDict:
    state, channels, index = _State(), 32, 1
    state.convolution("features.0.0", "features.0.1", (32, 3, 3))
    for expansion, out, blocks in _MOBILENET:
        for _ in range(blocks):
            base, hidden, place = f"features.{index}.conv", channels * expansion, 0
            if expansion > 1:
                state.convolution(f"{base}.0.0", f"{base}.0.1", (hidden, channels, 1))
                place = 1
            state.convolution(f"{base}.{place}.0", f"{base}.{place}.1", (hidden, 1, 3))
            state.convolution(f"{base}.{place + 1}", f"{base}.{place + 2}", (out, hidden, 1))
            channels, index = out, index + 1
    state.convolution("features.18.0", "features.18.1", (1280, 320, 1))
    state.classifier("classifier.1")
    return state.values


def _lite_state() -> StateDict:
    state, channels, index = _State(), 32, 0
    state.convolution("_conv_stem", "_bn0", (32, 3, 3))
    for expansion, out, blocks, kernel in _LITE0:
        for _ in range(blocks):
            base, hidden = f"_blocks.{index}", channels * expansion
            if expansion > 1:
                state.convolution(f"{base}._expand_conv", f"{base}._bn0", (hidden, channels, 1))
            state.convolution(f"{base}._depthwise_conv", f"{base}._bn1", (hidden, 1, kernel))
            state.convolution(f"{base}._project_conv", f"{base}._bn2", (out, hidden, 1))
            channels, index = out, index + 1
    state.convolution("_conv_head", "_bn1", (1280, 320, 1))
    state.classifier("_fc")
    return state.values


def seeded_family(folder: Path, report: Report) -> Family:
    """Write two networks at four precisions into `folder`; int8 only where ONNX Runtime's quantiser runs."""
    networks = {
        "mobilenet_v2": (mobilenet_v2(), _mobilenet_state()),
        "efficientnet_lite0": (efficientnet_lite(depth=1.0), _lite_state()),
    }
    front = preprocessing(SIDE, np.full(3, 127, np.float32))
    variants: list[Variant] = []
    for name, (architecture, state) in networks.items():
        core = build_core(architecture, state, SIDE, np.full(3, 1 / 64, np.float32))
        cores = {"fp32": core, **{p: narrow(core, p) for p in ("bf16", "fp16")}}
        cores |= _quantized(core, front, report)
        for precision, made in cores.items():
            variants.append(_saved(folder, name, precision, joined(front, made)))
    return Family(
        "imagenet",
        (TensorSpec(INPUT, "UINT8", (-1, INPUT_SIDE, INPUT_SIDE, 3)),),
        (TensorSpec(OUTPUT, "FP32", (-1, CLASSES)),),
        tuple(variants),
        Slo(0.05),
    )


def _saved(folder: Path, name: str, precision: str, model: onnx.ModelProto) -> Variant:
    path, content = folder / f"{name}-{precision}.onnx", model.SerializeToString()
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return Variant(
        f"{name}-{precision}", precision, path.name, digest, Accuracy(0.5, "seeded weights")
    )


def _quantized(
    core: onnx.ModelProto, front: onnx.ModelProto, report: Report
) -> dict[str, onnx.ModelProto]:
    try:
        from models.build.narrowing.quantize import quantize, run_front

        return {"int8": quantize(core, run_front(front, pictures(8)))}
    except Exception as error:  # noqa: BLE001 - whatever the quantiser misses here, the rest goes on
        report(f"no int8 variant: {error}")
        return {}


def pictures(count: int) -> NDArray[np.uint8]:
    """[count, 260, 260, 3]: by turns noise, and smooth patches as photographs have them."""
    rng = np.random.default_rng(_SEED)
    noise = rng.integers(0, 256, (count, INPUT_SIDE, INPUT_SIDE, 3), dtype=np.uint8)
    coarse = rng.integers(0, 256, (count, 13, 13, 3)).astype(np.float32)
    smooth = coarse.repeat(INPUT_SIDE // 13, axis=1).repeat(INPUT_SIDE // 13, axis=2)
    for axis in (1, 2):
        smooth = sum(np.roll(smooth, step, axis) for step in range(-8, 9)) / 17
    return np.where(
        (np.arange(count) % 2 == 0)[:, None, None, None], noise, smooth.astype(np.uint8)
    )
