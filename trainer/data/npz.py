"""One npz file with both splits: (xtr ytr xte yte), or (x_train y_train x_test y_test) as Keras has it."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.data.dataset import Dataset, split, together
from trainer.data.reading import arrays_of, described, names_in
from trainer.errors import TrainError

_KEYS = (("xtr", "ytr", "xte", "yte"), ("x_train", "y_train", "x_test", "y_test"))
_CHANNELS = (1, 3)


def matches(path: Path) -> bool:
    """Whether it is an npz file."""
    return path.suffix == ".npz" and path.is_file()


def read(path: Path) -> Dataset:
    """The data set in the npz file at `path`. Raises TrainError."""
    present = names_in(path)
    keys = next((k for k in _KEYS if present >= set(k)), None)
    if keys is None:
        raise TrainError(
            f"{path} has the arrays {', '.join(sorted(present)) or 'none'}; "
            f"save it with {' or '.join(' '.join(k) for k in _KEYS)}"
        )
    arrays = arrays_of(path, keys)
    images, labels = (
        (_channels_first(arrays[i], f"{path}, {keys[i]}") for i in (0, 2)),
        arrays[1::2],
    )
    splits = tuple(
        split(x, y, f"{path}, {part}")
        for x, y, part in zip(images, labels, ("train", "test"), strict=True)
    )
    return together(path.stem, (splits[0], splits[1]), None, described(path, [path]))


def _channels_first(images: NDArray[Any], where: str) -> NDArray[np.uint8]:
    """(n, h, w), (n, h, w, c) and (n, c, h, w) as the last of these."""
    if images.dtype != np.uint8:
        raise TrainError(f"{where} has type {images.dtype}; save pixels as uint8 in 0..255")
    match images.shape:
        case (_, _, _):
            return images[:, None]
        case (_, channels, _, _) if channels in _CHANNELS:
            return images
        case (_, _, _, channels) if channels in _CHANNELS:
            return images.transpose(0, 3, 1, 2)
        case shape:
            raise TrainError(
                f"{where} has shape {'x'.join(map(str, shape))}; save images as (n, height, width), "
                "or with 1 or 3 channels as (n, channels, height, width) or (n, height, width, channels)"
            )
