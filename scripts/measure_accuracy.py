"""Top-1 of every variant on every runtime here, and what each loses against fp32 on the same labelled pictures.

    python scripts/measure_accuracy.py --images DIR

DIR holds `dataset.txt` (one `path, label` a line, labels counted from 0) and the pictures, as in the folder
ILSVRC2012_VAL_SET of the public repository VeriSilicon/acuity-dataset: 1,300 pictures of the ImageNet validation set,
squashed to 227 x 227. They are cropped and resized as a client does. The reference is each network's first variant in
the first of its ways (fp32 on ONNX Runtime). Writes accuracy.json and accuracy.md under --out.
"""

import argparse
import json
import math
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from models.artifacts import ArtifactError, default_repository, load_family
from models.backends import Way, open_backend, ways
from models.backends.base import BackendError
from models.build.pictures import Pictures, centre_crop
from models.catalog import Family, Variant

_Z = 1.96  # two-sided 95 %
_BATCH = 4

Classes = NDArray[np.int64]
"""Class numbers, [n]."""


@dataclass(frozen=True, slots=True)
class Row:
    """One arm's result; all but `n` are shares in [0, 1], intervals are 95 %."""

    variant: str
    backend: str
    device: str
    n: int
    top1: float
    low: float
    high: float
    agreement: float
    """Same top-1 class as the reference."""
    loss: float
    """The reference's top-1 minus this one's, picture by picture."""
    loss_interval: float


def wilson(successes: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of a share."""
    share, weight = successes / n, _Z**2 / n
    centre = (share + weight / 2) / (1 + weight)
    half = _Z / (1 + weight) * math.sqrt(share * (1 - share) / n + weight / (4 * n))
    return centre - half, centre + half


@dataclass(frozen=True, slots=True)
class Guesses:
    """What an arm takes the pictures for: class numbers [n]."""

    variant: Variant
    way: Way
    classes: Classes


def compare(guesses: Guesses, reference: Classes, labels: Classes) -> Row:
    """`reference` and `labels` are class numbers [n]."""
    right, n = guesses.classes == labels, len(labels)
    lost = (reference == labels).astype(float) - right
    low, high = wilson(int(right.sum()), n)
    return Row(
        variant=guesses.variant.name,
        backend=guesses.way.backend,
        device=guesses.way.device,
        n=n,
        top1=float(right.mean()),
        low=low,
        high=high,
        agreement=float((guesses.classes == reference).mean()),
        loss=float(lost.mean()),
        loss_interval=float(_Z * lost.std(ddof=1) / math.sqrt(n)),
    )


def read_labelled(folder: Path) -> tuple[Pictures, Classes]:
    """Pictures [n, 260, 260, 3], cropped as a client does, and their class numbers [n]."""
    lines = (folder / "dataset.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(",") for line in lines if line.strip()]
    labels = np.array([int(label) for _, label in pairs])
    pictures = [_picture(folder / name.strip()) for name, _ in pairs]
    return np.concatenate(pictures), labels


def _picture(path: Path) -> Pictures:
    with Image.open(path) as picture:
        return centre_crop(picture.convert("RGB"))


def guess(folder: Path, family: Family, pictures: Pictures) -> list[Guesses]:
    """Every variant in every way that there is here, in the family's order. Raises BackendError."""
    threads = len(os.sched_getaffinity(0))
    found: list[Guesses] = []
    for variant, way in tqdm([(v, way) for v in family.variants for way in ways(v)]):
        backend = open_backend(folder, family, variant, threads=threads, way=way)
        name, output = family.inputs[0].name, family.outputs[0].name
        batches = [pictures[i : i + _BATCH] for i in range(0, len(pictures), _BATCH)]
        scores: list[Any] = [backend.run({name: batch})[output] for batch in batches]
        backend.close()
        found.append(Guesses(variant, way, np.concatenate(scores).argmax(axis=1)))
    return found


def measure(folder: Path, family: Family, images: Path) -> list[Row]:
    """One row for every arm; each network's first variant, in its first way, is the others' reference."""
    pictures, labels = read_labelled(images)
    reference: dict[str, Classes] = {}
    rows: list[Row] = []
    for guesses in guess(folder, family, pictures):
        network = guesses.variant.name.removesuffix(f"-{guesses.variant.precision}")
        rows.append(compare(guesses, reference.setdefault(network, guesses.classes), labels))
    return rows


def markdown(rows: Sequence[Row]) -> str:
    """The table for people."""
    head = (
        "# Accuracy of the embedded family\n\n"
        "`python scripts/measure_accuracy.py --images DIR`: 1,300 labelled pictures of the ImageNet validation set,\n"
        "squashed to 227 px (VeriSilicon/acuity-dataset), then cropped and resized to 260 px as a client does.\n"
        "They are easier than the full set, so only differences carry over. Intervals are 95 %; `same class` and\n"
        "`loss` (points) compare with the network's fp32 on ONNX Runtime, picture by picture. OpenVINO computes what\n"
        "int8 leaves in float in bf16 where the processor can; a precision that no runtime here computes natively is\n"
        "emulated.\n\n"
        "| variant | runtime | n | top-1 % | interval | same class % | loss |\n|---|---|---|---|---|---|---|\n"
    )
    return head + "".join(
        f"| {r.variant} | {r.backend} {r.device} | {r.n} | {100 * r.top1:.1f} | {100 * r.low:.1f}-{100 * r.high:.1f} "
        f"| {100 * r.agreement:.1f} | {100 * r.loss:+.2f} ± {100 * r.loss_interval:.2f} |\n"
        for r in rows
    )


def main(argv: list[str]) -> int:
    """Measure and write; 2 with one message where the inputs are not there."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--images", type=Path, required=True, help="folder with dataset.txt")
    parser.add_argument("--repository", type=Path, default=default_repository())
    parser.add_argument("--family", default="imagenet")
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    arguments = parser.parse_args(argv)
    folder = arguments.repository / arguments.family
    try:
        rows = measure(folder, load_family(folder), arguments.images)
    except (ArtifactError, BackendError, OSError) as error:
        print(f"measure_accuracy: {error}", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    table = json.dumps([asdict(row) for row in rows], indent=1)
    (arguments.out / "accuracy.json").write_text(table + "\n", encoding="utf-8")
    (arguments.out / "accuracy.md").write_text(markdown(rows), encoding="utf-8")
    print(markdown(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
