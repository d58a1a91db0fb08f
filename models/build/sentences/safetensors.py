"""Weights in the safetensors format, read without its library: a JSON header says where in the file each tensor lies.

Format: the header's length in bytes (8 bytes, little-endian), the header, then the tensors' raw little-endian values.
"""

import json
import math
from typing import Any, cast

import numpy as np

from models.build.checkpoints import StateDict
from models.build.errors import BuildError

_DTYPES = {
    "BOOL": "?",
    **{f"U{8 * n}": f"<u{n}" for n in (1, 2, 4, 8)},
    **{f"I{8 * n}": f"<i{n}" for n in (1, 2, 4, 8)},
    **{f"F{8 * n}": f"<f{n}" for n in (2, 4, 8)},
}
"""The header's word for a type -> numpy's. BF16 and floats of eight bits, which numpy lacks, are refused."""
_LENGTH = 8  # bytes that hold the header's length
_METADATA = "__metadata__"


def read_safetensors(content: bytes) -> StateDict:
    """Tensor's name -> its values, views into `content`. Raises BuildError where the file is damaged."""
    size = int.from_bytes(content[:_LENGTH], "little")
    if size > len(content) - _LENGTH:
        raise _damaged(f"its header of {size} bytes is longer than the file, {len(content)} bytes")
    header = _header(content[_LENGTH : _LENGTH + size])
    rows = {name: row for name, row in header.items() if name != _METADATA}
    values = memoryview(content)[_LENGTH + size :]
    _check_ranges({name: _range(name, row) for name, row in rows.items()}, len(values))
    return {name: _tensor(name, row, values) for name, row in rows.items()}


def _header(text: bytes) -> dict[str, Any]:
    try:
        found: object = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _damaged(f"its header is no JSON ({error})") from error
    if not isinstance(found, dict):
        raise _damaged("its header is no JSON object")
    return cast("dict[str, Any]", found)


def _range(name: str, row: Any) -> tuple[int, int]:
    """Where the tensor's bytes begin and end. Raises BuildError."""
    found = _wholes(row.get("data_offsets")) if isinstance(row, dict) else None
    if found is None or len(found) != 2 or found[0] > found[1]:
        raise _damaged(f"tensor {name!r} has no range of bytes")
    return found[0], found[1]


def _check_ranges(ranges: dict[str, tuple[int, int]], size: int) -> None:
    """Raises BuildError unless the tensors fill `size` bytes, one after the other."""
    end = 0
    for name, (first, last) in sorted(ranges.items(), key=lambda item: item[1]):
        if first < end:
            raise _damaged(f"tensor {name!r} overlaps another at byte {first}")
        if last > size:
            raise _damaged(f"tensor {name!r} ends at byte {last} of {size}")
        if first > end:
            raise _damaged(f"bytes {end} to {first} belong to no tensor")
        end = last
    if end != size:
        raise _damaged(f"bytes {end} to {size} belong to no tensor")


def _tensor(name: str, row: dict[str, Any], values: memoryview) -> np.ndarray[Any, Any]:
    """One tensor's values, in its shape. Raises BuildError."""
    word, shape = row.get("dtype"), _wholes(row.get("shape"))
    if not isinstance(word, str) or word not in _DTYPES:
        raise _damaged(f"tensor {name!r} is of type {word!r}; known: {', '.join(_DTYPES)}")
    first, last = _range(name, row)
    dtype = np.dtype(_DTYPES[word])
    if shape is None or math.prod(shape) * dtype.itemsize != last - first:
        shown = row.get("shape")
        raise _damaged(f"tensor {name!r} of shape {shown} ({word}) has {last - first} bytes")
    try:
        return np.frombuffer(values[first:last], dtype).reshape(shape)
    except (OverflowError, ValueError) as error:  # one size is 0, another beyond measure
        raise _damaged(f"tensor {name!r} of shape {shape} cannot be had ({error})") from error


def _wholes(found: Any) -> list[int] | None:
    """The value where it is a list of whole numbers, none negative."""
    if not isinstance(found, list):
        return None
    numbers = cast("list[Any]", found)
    return numbers if all(type(n) is int and n >= 0 for n in numbers) else None


def _damaged(problem: str) -> BuildError:
    return BuildError(f"the safetensors file is damaged: {problem}; download it anew")
