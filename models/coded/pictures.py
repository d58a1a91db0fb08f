"""Encoded pictures (JPEG, PNG) to pixels, by Pillow."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from models.catalog import CodedInput, Family, TensorSpec
from models.coded import Undecodable, always, check_wanted

MOST_PIXELS = 40_000_000
"""Of a request's pictures together, as they come: what claims to have more is not unpacked."""
_FORMATS = ("JPEG", "PNG")


class Pictures:
    """Fills `coded.input` with RGB pixels: the centre square of `coded.keep` of the shorter edge, resized (bicubic).

    Raises ValueError where that input takes no pictures: UINT8, rows x H x W x 3.
    """

    def __init__(self, family: Family, coded: CodedInput) -> None:
        spec = next((one for one in family.inputs if one.name == coded.input), None)
        if spec is None or len(family.inputs) != 1 or not _takes_pictures(spec):
            raise ValueError(
                f"pictures are made into one UINT8 input [-1, H, W, 3]; {coded.input!r} of {family.name} is none"
            )
        self._name, self._keep = spec.name, coded.keep
        self._size = (spec.shape[2], spec.shape[1])

    def decode(
        self, rows: Sequence[bytes], wanted: Callable[[], bool] = always
    ) -> Mapping[str, NDArray[Any]]:
        """Pixels, UINT8 (rows, H, W, 3), upright as EXIF says. Raises Undecodable."""
        left, pixels = MOST_PIXELS, list[NDArray[np.uint8]]()
        for index, row in enumerate(rows):
            check_wanted(wanted)
            picture = _opened(row, index)
            width, height = picture.size
            left -= width * height
            if left < 0:
                raise Undecodable(
                    f"row {index} is a picture of {width} x {height}; {MOST_PIXELS} pixels are the most of a request's "
                    "pictures together"
                )
            pixels.append(self._pixels(picture, index))
        return {self._name: np.stack(pixels)}

    def _pixels(self, picture: Image.Image, index: int) -> NDArray[np.uint8]:
        try:
            return self._cut(_upright(picture))
        except Exception as error:  # whatever a damaged file makes of a decoder
            raise _unreadable(index, error) from error

    def _cut(self, picture: Image.Image) -> NDArray[np.uint8]:
        width, height = picture.size
        side = self._keep * min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
        if picture.size == self._size and self._keep == 1.0:
            return np.asarray(picture, np.uint8)
        resized = picture.resize(self._size, Image.Resampling.BICUBIC, box=box)
        return np.asarray(resized, np.uint8)


def _opened(row: bytes, index: int) -> Image.Image:
    try:
        return Image.open(io.BytesIO(row), formats=_FORMATS)
    except Exception as error:  # whatever a damaged file makes of a decoder
        raise _unreadable(index, error) from error


def _unreadable(index: int, error: Exception) -> Undecodable:
    return Undecodable(
        f"row {index} is no {' or '.join(_FORMATS)} that can be read: {type(error).__name__}"
    )


def _upright(picture: Image.Image) -> Image.Image:
    """In 8 bits of RGB, turned as its EXIF says; what is transparent loses that."""
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would cut off
        grey = np.asarray(picture).astype(np.int64) >> 8
        picture = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    return ImageOps.exif_transpose(picture).convert("RGB")


def _takes_pictures(spec: TensorSpec) -> bool:
    return (
        spec.datatype == "UINT8"
        and len(spec.shape) == 4
        and spec.shape[3] == 3
        and min(spec.shape[1:]) > 0
    )
