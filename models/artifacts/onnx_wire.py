"""An ONNX file's messages, read where they lie: which tensors keep their values in other files, and under what name.

Only heads of messages are read, never weights, so that it costs no memory; no file but this one is touched.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

_BLOCK = 1 << 16
_DEEPEST = 200
"""Messages within messages; protobuf's own limit is 100."""

_TENSOR = "tensor"
_MESSAGES: Mapping[str, Mapping[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: _TENSOR, 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: _TENSOR, 6: "graph", 10: _TENSOR, 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: _TENSOR, 2: _TENSOR},
}
"""Message -> number of a field -> the message in it (onnx.proto), for all that tensors can be in."""

_DIMS, _TYPE, _NAME, _EXTERNAL, _PLACE, _IS_EXTERNAL = 1, 2, 8, 13, 14, 1
_TYPES = {
    2: (25, 26),
    4: (21, 22, 23),
    8: (2, 3, 9, 17, 18, 19, 20, 24),
    16: (4, 5, 10, 16),
    32: (1, 6, 12),
    64: (7, 11, 13, 14),
    128: (15,),
}
_BITS = {code: bits for bits, codes in _TYPES.items() for code in codes}
"""TensorProto.DataType -> bits of a value; texts cannot be kept outside."""


class MalformedGraph(Exception):
    """A file that is no protobuf message, or not one that any runtime would read."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A tensor whose values are in another file. `entries`: what the graph says of it, `location` among it.

    `needed_bytes` follows from type and shape; None where the type is unknown.
    """

    tensor: str
    entries: tuple[tuple[str, str], ...]
    needed_bytes: int | None

    def entry(self, key: str) -> str:
        """What the graph says under `key`; empty where it says nothing."""
        return next((value for k, value in self.entries if k == key), "")

    @property
    def location(self) -> str:
        """The file's name as the graph gives it."""
        return self.entry("location")


@dataclass(frozen=True, slots=True)
class _Field:
    number: int
    wire: int
    start: int
    value: int  # where it begins; for a varint, the number itself
    end: int


class _Bytes:
    """A file read in blocks."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._at = 0
        self._block = b""
        self.size = file.seek(0, 2)

    def slice(self, start: int, end: int) -> bytes:
        """These bytes. Raises MalformedGraph where the file ends before."""
        if not self._at <= start <= end <= self._at + len(self._block):
            self._file.seek(start)
            self._block = self._file.read(max(_BLOCK, end - start))
            self._at = start
        found = self._block[start - self._at : end - self._at]
        if len(found) != end - start:
            raise MalformedGraph("the file ends in the midst of a message")
        return found

    def varint(self, at: int) -> tuple[int, int]:
        """The number there, and where it ends."""
        value = 0
        for i, byte in enumerate(self.slice(at, min(at + 10, self.size))):
            value |= (byte & 0x7F) << 7 * i
            if byte < 0x80:
                return value & (1 << 64) - 1, at + i + 1
        raise MalformedGraph("a number does not end")


def references_in(path: Path) -> list[Reference]:
    """Every tensor of the model at `path` whose values are elsewhere. Raises MalformedGraph, or OSError."""
    with path.open("rb") as file:
        content = _Bytes(file)
        return list(_references(content, 0, content.size, "model", 0))


def with_locations(path: Path, names: Mapping[str, str]) -> bytes:
    """The model at `path` with other locations: location -> its new name. All else stays as it is, byte for byte."""
    with path.open("rb") as file:
        content = _Bytes(file)
        return _rewritten(content, 0, content.size, "model", names)


def _fields(content: _Bytes, start: int, end: int) -> Iterator[_Field]:
    """The fields of a message; a group's are passed over with it."""
    at = start
    while at < end:
        field = _field(content, at, end)
        yield field
        at = field.end


def _field(content: _Bytes, at: int, end: int) -> _Field:
    tag, value = content.varint(at)
    number, wire = tag >> 3, tag & 7
    if not number:
        raise MalformedGraph("a field has no number")
    match wire:
        case 0:
            word, stop = content.varint(value)
            found = _Field(number, wire, at, word, stop)
        case 1 | 5:
            found = _Field(number, wire, at, value, value + (8 if wire == 1 else 4))
        case 2:
            length, value = content.varint(value)
            found = _Field(number, wire, at, value, value + length)
        case 3:
            found = _Field(number, wire, at, value, _end_of_group(content, value, end))
        case _:
            raise MalformedGraph(f"a field is of the unknown kind {wire}")
    if found.end > end:
        raise MalformedGraph("a field is longer than its message")
    return found


def _end_of_group(content: _Bytes, at: int, end: int) -> int:
    depth = 1
    while depth:
        tag, value = content.varint(at)
        if tag & 7 in {3, 4}:
            depth += 1 if tag & 7 == 3 else -1
            at = value
        else:
            at = _field(content, at, end).end
    return at


def _references(
    content: _Bytes, start: int, end: int, message: str, depth: int
) -> Iterator[Reference]:
    if depth > _DEEPEST:
        raise MalformedGraph("its messages are nested too deeply")
    for field in _fields(content, start, end):
        inner = _MESSAGES[message].get(field.number) if field.wire == 2 else None
        if inner == _TENSOR:
            if reference := _reference(content, field.value, field.end):
                yield reference
        elif inner is not None:
            yield from _references(content, field.value, field.end, inner, depth + 1)


def _reference(content: _Bytes, start: int, end: int) -> Reference | None:
    """What this tensor says of another file, whether or not it also says that its values are there: readers differ."""
    fields = list(_fields(content, start, end))
    is_external = (_PLACE, _IS_EXTERNAL) in {(f.number, f.value) for f in fields if f.wire == 0}
    if not is_external and all(f.number != _EXTERNAL for f in fields):
        return None
    dims = [d for f in fields if f.number == _DIMS for d in _numbers(content, f)]
    types = [f.value for f in fields if (f.number, f.wire) == (_TYPE, 0)]
    names = [_text(content, f) for f in fields if f.number == _NAME and f.wire == 2]
    entries = tuple(_entry(content, f) for f in fields if f.number == _EXTERNAL and f.wire == 2)
    bits = _BITS.get(types[-1]) if types else None
    needed = None if bits is None else -(-math.prod(dims) * bits // 8)
    return Reference(names[-1] if names else "", entries, needed)


def _numbers(content: _Bytes, field: _Field) -> list[int]:
    """Of a repeated field of numbers, which may be packed."""
    if field.wire == 0:
        return [field.value]
    found: list[int] = []
    at = field.value
    while field.wire == 2 and at < field.end:
        number, at = content.varint(at)
        found.append(number)
    return found


def _text(content: _Bytes, field: _Field) -> str:
    return content.slice(field.value, field.end).decode(errors="surrogateescape")


def _entry(content: _Bytes, field: _Field) -> tuple[str, str]:
    found = {
        f.number: _text(content, f) for f in _fields(content, field.value, field.end) if f.wire == 2
    }
    return found.get(1, ""), found.get(2, "")


def _rewritten(
    content: _Bytes, start: int, end: int, message: str, names: Mapping[str, str]
) -> bytes:
    parts: list[bytes] = []
    for field in _fields(content, start, end):
        inner = _MESSAGES[message].get(field.number) if field.wire == 2 else None
        if inner is None or (inner == _TENSOR and not _reference(content, field.value, field.end)):
            parts.append(content.slice(field.start, field.end))
            continue
        if inner == _TENSOR:
            made = _moved(content, field, names)
        else:
            made = _rewritten(content, field.value, field.end, inner, names)
        parts.append(_packed(field.number, made))
    return b"".join(parts)


def _moved(content: _Bytes, tensor: _Field, names: Mapping[str, str]) -> bytes:
    parts: list[bytes] = []
    for field in _fields(content, tensor.value, tensor.end):
        if field.number == _EXTERNAL and field.wire == 2:
            key, value = _entry(content, field)
            if key == "location":
                pair = ((1, key), (2, names[value]))
                entry = [_packed(n, t.encode(errors="surrogateescape")) for n, t in pair]
                parts.append(_packed(field.number, b"".join(entry)))
                continue
        parts.append(content.slice(field.start, field.end))
    return b"".join(parts)


def _packed(number: int, value: bytes) -> bytes:
    """A field of bytes."""
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
