"""A pair train.npz and test.npz of JPEG files end to end: `jpeg` all bytes, `offset` n + 1 bounds, `label` n."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from trainer.data.dataset import Dataset, Split, split, together
from trainer.data.pictures import Pixels, channels_first, opened, room_for
from trainer.data.reading import arrays_of, described
from trainer.errors import TrainError

_NAMES = ("train.npz", "test.npz")


def matches(path: Path) -> bool:
    """Whether it is a folder with one of the pair."""
    return any((path / name).is_file() for name in _NAMES)


def read(folder: Path) -> Dataset:
    """The data set in `folder`. Raises TrainError."""
    paths = [folder / name for name in _NAMES]
    train, test = (_split(path) for path in paths)
    return together(folder.resolve().name, (train, test), None, described(folder, paths))


def _split(path: Path) -> Split:
    content, bounds, labels = arrays_of(path, ("jpeg", "offset", "label"))
    _check(content, bounds, path)
    return split(_decoded(content, bounds.astype(np.int64), path), labels, str(path))


def _check(content: NDArray[Any], bounds: NDArray[Any], path: Path) -> None:
    if content.dtype != np.uint8 or content.ndim != 1 or bounds.dtype.kind not in "iu":
        raise TrainError(
            f"{path}: `jpeg` must be (bytes,) of uint8 and `offset` whole numbers; they are {content.dtype} of shape "
            f"{content.shape} and {bounds.dtype}; save the file again"
        )
    wide = bounds.astype(np.int64)
    if (
        bounds.ndim != 1
        or len(wide) < 2
        or wide[0]
        or wide[-1] != len(content)
        or (np.diff(wide) <= 0).any()
    ):
        raise TrainError(
            f"{path}: `offset` must rise from 0 to the {len(content)} bytes of `jpeg`, a picture at every step; "
            "the file is truncated or damaged, get it again"
        )


def _decoded(content: NDArray[np.uint8], bounds: NDArray[np.int64], path: Path) -> Pixels:
    everything = content.tobytes()
    pictures = (everything[a:b] for a, b in pairwise(bounds))
    first = channels_first(opened(everything[: bounds[1]], f"{path}, picture 0"))
    images = room_for(len(bounds) - 1, first.shape, str(path))
    progress = tqdm(pictures, f"decoding {path.name}", len(images), leave=False, disable=None)
    for index, picture in enumerate(progress):
        pixels = channels_first(opened(picture, f"{path}, picture {index}"))
        if pixels.shape != first.shape:
            raise TrainError(
                f"{path}: picture {index} has shape {pixels.shape}, the first {first.shape}; save all alike"
            )
        images[index] = pixels
    return images
