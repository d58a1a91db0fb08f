"""Encoded pictures become the pixels that the family takes, whatever their size; what is none is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from models.catalog import CodedInput, Family, Slo, TensorSpec
from models.coded import Undecodable
from models.coded.pictures import Pictures

FAMILY = Family("look", (TensorSpec("image", "UINT8", (-1, 8, 12, 3)),), (), (), Slo(1.0))
CODED = CodedInput("jpeg", "picture", 1 << 20, input="image")


def encoded(width: int, height: int, kind: str = "PNG", mode: str = "RGB") -> bytes:
    """A picture whose left half is red and whose right half is blue."""
    picture = Image.new("RGB", (width, height), (255, 0, 0))
    picture.paste((0, 0, 255), (width // 2, 0, width, height))
    out = io.BytesIO()
    picture.convert(mode).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "RGB"), ("PNG", "RGBA"), ("JPEG", "RGB"), ("PNG", "P")]
)
def test_a_picture_of_any_size_fills_the_input(kind: str, mode: str):
    pixels = Pictures(FAMILY, CODED).decode(
        [encoded(40, 40, kind, mode), encoded(12, 8, kind, mode)]
    )["image"]

    assert (pixels.shape, pixels.dtype) == ((2, 8, 12, 3), np.dtype(np.uint8))
    for one in pixels:
        assert one[4, 1, 0] > 200
        assert one[4, 1, 2] < 60
        assert one[4, 10, 2] > 200
        assert one[4, 10, 0] < 60


def test_a_picture_of_the_right_size_stays_as_it_is():
    noise = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "PNG")

    assert (Pictures(FAMILY, CODED).decode([out.getvalue()])["image"][0] == noise).all()


def bomb() -> bytes:
    """A PNG that says it has 100,000 x 100,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "row 0 is no JPEG or PNG"),
        (b"GIF89a" + bytes(40), "row 0 is no JPEG or PNG"),
        (encoded(40, 40)[:60], "row 0 is no JPEG or PNG"),
        (bomb(), "row 0 is"),
        (encoded(7000, 6000), "7000 x 6000; 40000000 pixels are the most"),
    ],
)
def test_what_is_no_picture_or_too_large_is_refused(content: bytes, words: str):
    with pytest.raises(Undecodable, match=words):
        Pictures(FAMILY, CODED).decode([content])


@pytest.mark.parametrize("shape", [(-1, 8, 12), (-1, 3, 8, 12)])
def test_an_input_that_takes_no_pictures_is_refused(shape: tuple[int, ...]):
    with pytest.raises(ValueError, match="pictures are made into one UINT8 input"):
        Pictures(Family("x", (TensorSpec("image", "UINT8", shape),), (), (), Slo(1.0)), CODED)


def test_the_pixels_of_a_request_count_together():
    with pytest.raises(Undecodable, match="row 1 is a picture of 5000 x 5000; 40000000 pixels"):
        Pictures(FAMILY, CODED).decode([encoded(5000, 5000)] * 2)


@pytest.mark.parametrize("level", [300, 32768, 65535])
def test_sixteen_bits_of_grey_become_eight(level: int):
    out = io.BytesIO()
    Image.fromarray(np.full((8, 12), level, np.uint16)).save(out, "PNG")

    assert set(Pictures(FAMILY, CODED).decode([out.getvalue()])["image"].ravel()) == {level >> 8}


def test_a_picture_that_lies_on_its_side_is_turned():
    upright = Image.open(io.BytesIO(encoded(12, 8)))
    turned, exif = upright.rotate(90, expand=True), Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees, clockwise
    out = io.BytesIO()
    turned.save(out, "PNG", exif=exif)

    pixels = Pictures(FAMILY, CODED).decode([out.getvalue()])["image"][0]
    assert (pixels == np.asarray(upright)).all()


def test_what_nobody_waits_for_is_given_up():
    waits = iter([True, True, False])
    with pytest.raises(Undecodable, match="its client has left"):
        Pictures(FAMILY, CODED).decode([encoded(12, 8)] * 5, lambda: next(waits))
