"""Pictures in files of their own formats, decoded with Pillow to 8-bit arrays."""

import io
import struct
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from trainer.data.reading import why
from trainer.errors import TrainError

Pixels = NDArray[np.uint8]

_UNDECODABLE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow raises on damaged files."""
_DEEP = ("I", "F")  # modes, and beginnings of modes, of more than 8 bits a channel
_GREY = ("1", "L", "LA", "La")


def opened(content: bytes, where: str) -> Image.Image:
    """The picture, upright, RGB or grey (L). Raises TrainError, which names `where`."""
    try:
        with Image.open(io.BytesIO(content)) as picture:
            upright = ImageOps.exif_transpose(picture)
            if not upright.mode.startswith(_DEEP):
                return _plain(upright)
    except UnidentifiedImageError as error:  # whose text names an object in memory
        raise TrainError(
            f"{where} cannot be decoded: it is of no format that is known; get it again or remove it"
        ) from error
    except _UNDECODABLE as error:
        raise TrainError(
            f"{where} cannot be decoded: {why(error)}; get it again or remove it"
        ) from error
    raise TrainError(
        f"{where} has more than 8 bits a channel ({upright.mode}); convert it to 8 bits"
    )


def _plain(picture: Image.Image) -> Image.Image:
    whole = picture.convert("RGBA") if "transparency" in picture.info else picture
    return whole.convert("L" if picture.mode in _GREY else "RGB")


def square(picture: Image.Image, side: int) -> Image.Image:
    """The central square, resized to `side`; the picture itself if it is that already."""
    if picture.size == (side, side):
        return picture
    return ImageOps.fit(picture, (side, side), Image.Resampling.BILINEAR)


def channels_first(picture: Image.Image) -> Pixels:
    """(channels, height, width) of a picture in mode L or RGB."""
    pixels = np.asarray(picture, np.uint8)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def room_for(count: int, shape: Sequence[int], where: str) -> Pixels:
    """An array for `count` pictures of `shape`. Raises TrainError where memory does not suffice."""
    try:
        return np.empty((count, *shape), np.uint8)
    except MemoryError as error:
        gib = count * float(np.prod(shape)) / 2**30
        raise TrainError(
            f"{where}: {count} pictures of {'x'.join(map(str, shape))} need {gib:.1f} GiB of memory; make them smaller"
        ) from error
