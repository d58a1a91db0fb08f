"""Rows from a folder of pictures; folders in it, if there are any, are the classes (as torchvision's ImageFolder)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.adding.rows.labels import LabelledRows
from models.build.errors import BuildError
from models.catalog import Family, TensorSpec

SUFFIXES = {".jpg", ".jpeg", ".png"}
USUAL_SIDE = 224
"""Pixels, where the model takes any and nobody says."""
MOST, MOST_BYTES = 2000, 1 << 30
"""So many pictures are used at most, and so much memory."""
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet's pixels by channel, 0 to 1: what most networks for it are trained with."""
_CHANNELS = {1: "L", 3: "RGB"}
_SHOWN = {
    "zero-one": "0 to 1",
    "imagenet": "less ImageNet's mean, by its deviation",
    "none": "0 to 255",
}
NORMALISED = tuple(_SHOWN)
"""The ways in which pixels become values."""


@dataclass(frozen=True, slots=True)
class _Frame:
    """How an input wants its pictures."""

    channels: int
    height: int
    width: int
    channels_first: bool


def read_pictures(
    folder: Path, family: Family, normalise: str, sizes: Mapping[str, int]
) -> LabelledRows:
    """Rows of the only input, with their classes if there are folders of them. Raises BuildError."""
    spec, frame = _frame(folder, family, sizes)
    how = normalise or ("zero-one" if spec.is_float else "none")
    if how != "none" and not spec.is_float:
        raise BuildError(
            f"input {spec.name!r} is {spec.datatype}, which holds pixels as they are; use --normalise none"
        )
    if how == "imagenet" and frame.channels != len(MEAN):
        raise BuildError(f"--normalise imagenet is for three channels, input {spec.name!r} has one")
    found = _found(folder)
    row_bytes = frame.channels * frame.height * frame.width * spec.dtype.itemsize
    most = min(len(found), MOST, max(1, MOST_BYTES // row_bytes))
    chosen: list[int] = np.random.default_rng(0).permutation(len(found))[:most].tolist()
    pixels = np.stack([_opened(found[i][0], frame) for i in chosen])
    array = _values(pixels, how).astype(spec.dtype)
    if frame.channels_first:
        array = np.ascontiguousarray(array.transpose(0, 3, 1, 2))
    labels = [found[i][1] for i in chosen]
    remark = (
        f"{most} of {len(found)} pictures: the middle of each, resized to {frame.width} x {frame.height}, values "
        f"{_SHOWN[how]}; --normalise {', '.join(NORMALISED)} says how"
    )
    classes = labels if len(set(labels)) > 1 else None
    return LabelledRows({spec.name: array}, len(found), classes, (remark,), chosen)


def _frame(folder: Path, family: Family, sizes: Mapping[str, int]) -> tuple[TensorSpec, _Frame]:
    """The only input, and how it wants its pictures. Raises BuildError where it takes none."""
    spec = family.inputs[0]
    dims = spec.shape[1:]
    if len(family.inputs) == 1 and len(dims) == 3:
        usual = dict.fromkeys(spec.sizes, USUAL_SIDE) | dict(sizes)
        at = spec.at({name: usual[name] for name in spec.sizes}).shape[1:]
        if dims[0] in _CHANNELS:
            return spec, _Frame(at[0], at[1], at[2], channels_first=True)
        if dims[2] in _CHANNELS:
            return spec, _Frame(at[2], at[0], at[1], channels_first=False)
    shown = ", ".join(f"{s.name} {list(s.shape)}" for s in family.inputs)
    raise BuildError(
        f"{folder} is a folder of pictures, and the model takes none: its inputs are {shown}, no single one of 3 or 1 "
        "channels; give rows as .npz or .jsonl"
    )


def _found(folder: Path) -> list[tuple[Path, str]]:
    """(picture, the folder in `folder` that it lies in, or "") in the order of their paths. Raises BuildError."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    inner = [p.relative_to(folder).parts for p in paths]
    if not paths:
        raise BuildError(f"{folder} holds no pictures ({', '.join(sorted(SUFFIXES))})")
    if len({len(parts) > 1 for parts in inner}) > 1:
        flat = next(p for p, parts in zip(paths, inner, strict=True) if len(parts) == 1)
        raise BuildError(
            f"{flat} is in no folder, others are; put each into the folder of its class, or all into one"
        )
    return [(p, parts[0] if parts[1:] else "") for p, parts in zip(paths, inner, strict=True)]


def _opened(path: Path, frame: _Frame) -> NDArray[np.uint8]:
    """The middle of the picture, resized: height, width, channels. Raises BuildError where it cannot be read."""
    try:
        with Image.open(path) as opened:
            picture = opened.convert(_CHANNELS[frame.channels])
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise BuildError(f"{path} cannot be read as a picture: {error}; take it out") from error
    made = ImageOps.fit(picture, (frame.width, frame.height), Image.Resampling.BILINEAR)
    return np.asarray(made, np.uint8).reshape(frame.height, frame.width, frame.channels)


def _values(pixels: NDArray[np.uint8], how: str) -> NDArray[Any]:
    if how == "none":
        return pixels
    values = pixels.astype(np.float32) / np.float32(255)
    return values if how == "zero-one" else (values - _row(MEAN)) / _row(DEVIATION)


def _row(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32)
