"""A split of a data set on the device that trains: batches of it, augmented at random where asked for."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from trainer.data import Split

_CROP = 8
"""A crop shifts by up to the side over this."""


class Pixels:
    """Images as uint8 (n, channels, height, width) and labels (n,), both on `device`."""

    def __init__(self, split: Split, device: torch.device) -> None:
        self.images = torch.from_numpy(np.ascontiguousarray(split.images)).to(device)
        self.labels = torch.from_numpy(np.ascontiguousarray(split.labels)).to(device)

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, ids: NDArray[np.intp]) -> tuple[Tensor, Tensor]:
        """Images as uint8 and labels of these examples."""
        where = torch.from_numpy(ids).to(self.labels.device)
        return self.images[where], self.labels[where]


def floats(images: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """What a network takes: pixel values 0 to 255, channels last in memory."""
    return images.to(dtype, memory_format=torch.channels_last)


def augmented(images: Tensor, how: str, rng: np.random.Generator) -> Tensor:
    """Each image mirrored with probability 1/2 ("flip"), and shifted by up to an eighth of its side too ("crop").

    What a shift uncovers is 0. No loop over examples.
    """
    if how == "none":
        return images
    n, _, height, width = images.shape
    mirror = torch.from_numpy(rng.random(n) < 0.5).to(images.device)
    images = torch.where(mirror[:, None, None, None], images.flip(3), images)
    if how == "flip":
        return images
    reach = max(1, height // _CROP)
    padded = torch.nn.functional.pad(images, (reach, reach, reach, reach))
    rows, columns = torch.from_numpy(rng.integers(0, 2 * reach + 1, (2, n))).to(images.device)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(n, device=images.device), :, rows, columns]
