"""How accurate an exported network is, through the very backends that will serve it.

Where several runtimes of this machine's CPU compute in the variant's precision, the one that does worst counts.
"""

import math
from collections.abc import Generator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from models.backends import Way, open_backend, ways
from models.backends.base import BackendError, Refused
from models.catalog import Accuracy, Slo, Variant
from trainer.errors import TrainError
from trainer.publish.signature import INPUT, OUTPUT, signature

REFERENCE = Way("onnxruntime")
"""Runs every precision on every machine; fp32's answers by it are what others are compared with."""

_Z = 1.96  # two-sided 95 %
_BATCH = 64

Images = NDArray[np.uint8]
"""(n, channels, height, width), pixel values."""


@dataclass(frozen=True, slots=True)
class Judged:
    """`accuracy` on the images given and the class answered for each, [n], by the runtime that did worst."""

    accuracy: Accuracy
    answers: NDArray[np.int64]


def evaluate(
    path: Path, images: Images, labels: NDArray[np.int64], *, precision: str = "fp32", of: str = ""
) -> Judged:
    """The share of `images` for which the network at `path` answers `labels` [n], with its 95 % interval.

    `of` names the images in `Accuracy.source`. Raises TrainError where they do not go together or the network fails.
    """
    if not len(images) or len(images) != len(labels):
        raise TrainError(
            f"{path.name} cannot be evaluated on {len(images)} images with {len(labels)} labels; give one label each"
        )
    by_way: dict[Way, NDArray[np.int64]] = {}
    for way in _serving_ways(path, precision):
        with suppress(Refused):  # nor will the server have it run there
            by_way[way] = scores(path, images, precision=precision, way=way).argmax(axis=1)
    right = {way: float((answers == labels).mean()) for way, answers in by_way.items()}
    worst = min(right, key=lambda way: right[way])
    runtimes = ", ".join(way.backend for way in by_way)
    source = f"measured: {len(images)} test images{f' of {of}' * bool(of)}, {runtimes}"
    n = len(images)
    return Judged(
        Accuracy(right[worst], source, n, wilson_half_width(right[worst], n)), by_way[worst]
    )


def agreement(answers: NDArray[np.int64], others: NDArray[np.int64]) -> float:
    """The share of rows for which both give the same class."""
    return float((answers == others).mean())


def wilson_half_width(share: float, n: int) -> float:
    """Half the width of the 95 % score interval (Wilson 1927) of a `share` seen in `n` trials.

    The interval's middle lies a little nearer to 1/2 than `share`: unlike the normal one it is not 0 wide at 0 and 1.
    """
    z2 = _Z * _Z
    return _Z / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))


def scores(
    path: Path,
    images: Images,
    *,
    precision: str = "fp32",
    way: Way = REFERENCE,
    batches: Sequence[int] = (_BATCH,),
) -> NDArray[np.float32]:
    """The logits [n, classes] of every image, run in batches of the sizes given, in turn.

    Raises TrainError, or Refused where that runtime would give other answers than the network's.
    """
    labels = tuple(map(str, range(_classes(path))))
    family = signature(path.stem, images.shape[1:], labels, Slo(1.0))
    variant = _variant(path, precision)
    try:
        backend = open_backend(path.parent, family, variant, threads=1, way=way)
        try:
            rows = [
                backend.run({INPUT: images[start:end].astype(np.float32)})[OUTPUT]
                for start, end in _cut(len(images), batches)
            ]
        finally:
            backend.close()
    except Refused:
        raise
    except BackendError as error:
        raise TrainError(f"the exported network cannot be served: {error}") from error
    return np.concatenate(rows).astype(np.float32)


def _serving_ways(path: Path, precision: str) -> list[Way]:
    """Those on the CPU: building a GPU's engines takes minutes, and the server compares answers itself."""
    return [w for w in ways(_variant(path, precision)) if w.device == "cpu"] or [REFERENCE]


def _variant(path: Path, precision: str) -> Variant:
    return Variant(path.stem, precision, path.name, "", Accuracy(0.0, "not known yet"))


def _classes(path: Path) -> int:
    try:
        outputs = onnx.load(path, load_external_data=False).graph.output
        return int(outputs[0].type.tensor_type.shape.dim[1].dim_value)
    except (OSError, DecodeError, IndexError) as error:
        raise TrainError(
            f"{path} is no ONNX network with logits [n, classes]: {error}; export it again"
        ) from error


def _cut(count: int, sizes: Sequence[int]) -> Generator[tuple[int, int]]:
    """(start, end) of each batch."""
    start = 0
    for size in cycle(sizes):
        if start >= count:
            return
        yield start, min(start + size, count)
        start += size
