"""What a large ModelInfer request holds, found in its bytes before anything is built of them.

Building what a few million empty entries or dimensions say takes seconds and gigabytes, during which nothing else runs.
Here only what is no tensor's contents is walked through, and of that there may be no more than fits in a small request.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from server.errors import BadInput

SMALL_BYTES = 128 << 10
"""Requests up to this size are built as they are; of larger ones, all but tensors' contents must fit into it,"""
MOST_FIELDS = 16384
"""and have no more fields than that."""
_NAME, _ID, _INPUTS, _RAW = 1, 3, 5, 7
_CONTENTS = 5
_WIDTHS = {6: 4, 7: 8}
"""Packed fields of an input's contents whose elements have all the same size; 1 to 5 hold varints."""
_PACKED = {1, 2, 3, 4, 5, *_WIDTHS}
_STEP_BYTES = 1 << 20


@dataclass(slots=True)
class Outline:
    """A request's model, its id, and where its inputs are: (first byte, end)."""

    model: str = ""
    id: str = ""
    inputs: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])


def draw(data: bytes, found: Outline) -> None:
    """Fill in the outline of a serialised ModelInferRequest, as far as BadInput is not raised.

    That is where it is none, or holds too much besides contents.
    """
    for number, at, end in _Walk(data).fields(0, len(data), {_INPUTS, _RAW}):
        if number == _NAME:
            found.model = data[at:end].decode(errors="replace")
        elif number == _ID:
            found.id = data[at:end].decode(errors="replace")
        elif number == _INPUTS:
            found.inputs.append((at, end))


def elements(data: bytes, found: Outline) -> int:
    """Elements in all typed contents. Raises BadInput as `draw` does."""
    walk = _Walk(data)
    return sum(
        _elements(data, *part)
        for at, end in found.inputs
        for number, begin, stop in walk.fields(at, end, {_CONTENTS})
        if number == _CONTENTS
        for part in walk.fields(begin, stop, _PACKED)
        if part[0] in _PACKED
    )


def _elements(data: bytes, number: int, at: int, end: int) -> int:
    if number in _WIDTHS:
        return (end - at) // _WIDTHS[number]
    count = 0
    for begin in range(at, end, _STEP_BYTES):  # each ends with the one byte that has no high bit
        part = np.frombuffer(data, np.uint8, min(_STEP_BYTES, end - begin), begin)
        count += int(np.count_nonzero(part < 0x80))
    return count


class _Walk:
    """Goes through fields, and counts the bytes of all whose contents are not passed over."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._left, self._fields_left = SMALL_BYTES, MOST_FIELDS

    def fields(self, at: int, end: int, passed: set[int]) -> Iterator[tuple[int, int, int]]:
        """Number and extent of each field from `at` to `end`; those of `passed` cost their tag and length only."""
        while at < end:
            begin = at
            key, at = self._varint(at, end)
            number, kind = key >> 3, key & 7
            if kind == 2:
                size, at = self._varint(at, end)
                stop = at + size
            else:
                stop = self._after(kind, at, end)
            if stop > end or not number:
                raise _malformed()
            self._left -= (at if kind == 2 and number in passed else stop) - begin
            self._fields_left -= 1
            if self._left < 0 or self._fields_left < 0:
                raise BadInput(
                    f"ModelInferRequest holds more than {SMALL_BYTES} bytes or {MOST_FIELDS} entries besides its "
                    "tensors' contents; send those raw or packed, and fewer or shorter names"
                )
            yield number, at, stop
            at = stop

    def _after(self, kind: int, at: int, end: int) -> int:
        match kind:
            case 0:
                return self._varint(at, end)[1]
            case 1:
                return at + 8
            case 5:
                return at + 4
            case _:
                raise _malformed()

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while at < end and shift < 70:
            byte = self._data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value, at
            shift += 7
        raise _malformed()


def _malformed() -> BadInput:
    return BadInput("cannot parse ModelInferRequest: its bytes are no such message")
