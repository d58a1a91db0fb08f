"""IDX, the format of MNIST and Fashion-MNIST: four files, plain or gzip.

Format: two zero bytes, the element type (8: unsigned byte), the number of axes, each axis's length as a big-endian
32-bit integer, then the elements, last axis fastest.
"""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from trainer.data.dataset import Dataset, Split, split, together
from trainer.data.reading import content_of, described
from trainer.errors import TrainError

_UNSIGNED_BYTE = 8

_FASHION_LABELS = "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
"""sha256 of Fashion-MNIST's training labels, decompressed: by these it is known, wherever they lie."""
_FASHION_CLASSES = (
    *("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat"),
    *("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"),
)


def matches(path: Path) -> bool:
    """Whether it is a folder with training or test images in IDX."""
    return any(_candidates(path, "train", "images")) or any(_candidates(path, "t10k", "images"))


def read(folder: Path) -> Dataset:
    """The data set in `folder`: {train,t10k}-{images-idx3,labels-idx1}-ubyte[.gz]. Raises TrainError."""
    files = [
        _file(folder, part, what) for part in ("train", "t10k") for what in ("images", "labels")
    ]
    splits = _split(*files[:2]), _split(*files[2:])
    is_fashion = hashlib.sha256(content_of(files[1])).hexdigest() == _FASHION_LABELS
    name, classes = (
        ("fashion-mnist", _FASHION_CLASSES) if is_fashion else (folder.resolve().name, None)
    )
    return together(name, splits, classes, described(folder, files))


def _file(folder: Path, part: str, what: str) -> Path:
    found = next(_candidates(folder, part, what), None)
    if found is None:
        raise TrainError(
            f"{folder} has no {_name(part, what, '-')} and no {_name(part, what, '-')}.gz; put the missing file there"
        )
    return found


def _candidates(folder: Path, part: str, what: str) -> Iterator[Path]:
    names = (_name(part, what, joint) + end for joint in "-." for end in ("", ".gz"))
    return (folder / name for name in names if (folder / name).is_file())


def _name(part: str, what: str, joint: str) -> str:
    return f"{part}-{what}{joint}idx{3 if what == 'images' else 1}-ubyte"


def _split(images: Path, labels: Path) -> Split:
    return split(array_of(images, 3)[:, None], array_of(labels, 1), f"{images} with {labels.name}")


def array_of(path: Path, axes: int) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file that must have `axes` axes; read-only. Raises TrainError."""
    content = content_of(path)
    if content[:4] != (magic := bytes((0, 0, _UNSIGNED_BYTE, axes))):
        raise TrainError(
            f"{path} begins with bytes {content[:4].hex(' ') or 'none'}, not {magic.hex(' ')}: it is no IDX file of "
            f"unsigned bytes with {axes} axes; get the file again"
        )
    start = 4 + 4 * axes
    shape = np.frombuffer(content[4:start].ljust(4 * axes, b"\0"), ">u4").astype(int)
    expected, found = start + int(np.prod(shape, dtype=object)), len(content)
    if found != expected:
        problem = "is truncated: it" if found < expected else "is too long: it"
        raise TrainError(
            f"{path} {problem} has {found} bytes, its header says {expected}; get the file again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
