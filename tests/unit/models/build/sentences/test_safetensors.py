"""Safetensors files: whole ones are read value by value, damaged ones refused with what is wrong."""

import contextlib
import json
from typing import Any

import numpy as np
import pytest

from models.build.errors import BuildError
from models.build.sentences.safetensors import read_safetensors


def written(header: Any, values: bytes) -> bytes:
    """A file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def a_tensor(dtype: str, shape: list[int], first: int, last: int) -> dict[str, Any]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [first, last]}


WHOLE = {"a": a_tensor("F32", [2, 3], 0, 24), "b": a_tensor("I64", [2], 24, 40)}
VALUES = np.arange(6, dtype="<f4").tobytes() + np.array([7, -8], "<i8").tobytes()


def test_tensors_have_the_values_and_shapes_that_the_header_says():
    found = read_safetensors(written({"__metadata__": {"format": "pt"}, **WHOLE}, VALUES))

    assert found.keys() == {"a", "b"}
    np.testing.assert_array_equal(found["a"], np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(found["b"], [7, -8])


@pytest.mark.parametrize("dtype", ["F16", "F64", "U8", "I16", "BOOL"])
def test_types_are_numpys(dtype: str):
    value = np.array(
        [1], {"F16": "<f2", "F64": "<f8", "U8": "u1", "I16": "<i2", "BOOL": "?"}[dtype]
    )

    found = read_safetensors(written({"x": a_tensor(dtype, [1], 0, value.nbytes)}, value.tobytes()))

    assert found["x"].dtype == value.dtype
    assert found["x"][0] == 1


def test_a_scalar_and_an_empty_tensor_are_read():
    header = {"x": a_tensor("F32", [], 0, 4), "none": a_tensor("F32", [0, 3], 4, 4)}

    found = read_safetensors(written(header, np.float32(5).tobytes()))

    assert found["x"].shape == ()
    assert found["none"].shape == (0, 3)


@pytest.mark.parametrize(
    ("header", "values", "words"),
    [
        (WHOLE, VALUES[:-1], "'b' ends at byte 40 of 39"),
        (WHOLE, VALUES + b"x", "bytes 40 to 41 belong to no tensor"),
        ({**WHOLE, "b": a_tensor("I64", [2], 20, 36)}, VALUES, "'b' overlaps another at byte 20"),
        ({"b": WHOLE["b"]}, VALUES, "bytes 0 to 24 belong to no tensor"),
        ({"a": a_tensor("F8_E4M3", [24], 0, 24)}, VALUES[:24], "of type 'F8_E4M3'"),
        ({"a": a_tensor("F32", [2, 2], 0, 24)}, VALUES[:24], "has 24 bytes"),
        ({"a": a_tensor("F32", [-2, -3], 0, 24)}, VALUES[:24], "has 24 bytes"),
        ({"a": a_tensor("F32", [6], 24, 0)}, VALUES[:24], "no range of bytes"),
        ({"a": a_tensor("F32", [6], -4, 20)}, VALUES[:24], "no range of bytes"),
        ({"a": {"dtype": "F32", "shape": [6]}}, VALUES[:24], "no range of bytes"),
        ({"a": a_tensor("F32", [0, 1 << 70], 0, 0)}, b"", "cannot be had"),
        ({"a": 3}, VALUES[:24], "no range of bytes"),
        ([], VALUES, "no JSON object"),
        (b"{", VALUES, "its header is no JSON"),
        (b"\xff\xfe", VALUES, "its header is no JSON"),
        (b"[" * 100_000, b"", "its header is no JSON"),
    ],
)
def test_what_is_damaged_is_refused_with_what_is_wrong(header: Any, values: bytes, words: str):
    with pytest.raises(BuildError, match="safetensors file is damaged") as caught:
        read_safetensors(written(header, values))

    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x01\x00", (1 << 60).to_bytes(8, "little") + b"{}"])
def test_a_header_that_does_not_fit_is_refused(content: bytes):
    with pytest.raises(BuildError, match="longer than the file"):
        read_safetensors(content)


def test_no_damaged_byte_leads_to_another_error():
    whole = written(WHOLE, VALUES)
    for place in range(len(whole) - len(VALUES)):
        for value in (0, 0x22, 0x39, 0xFF):
            with contextlib.suppress(BuildError):
                read_safetensors(whole[:place] + bytes([value]) + whole[place + 1 :])
