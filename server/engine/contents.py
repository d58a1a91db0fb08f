"""Tensors' elements, as fronts have them: in memory, or one by one; each becomes an array of its input's datatype."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.catalog import TensorSpec
from models.datatypes import DATATYPES
from server.errors import BadInput

_TYPES = {"b": {bool}, "u": {int}, "i": {int}, "f": {int, float}}
"""Kind of number -> what its elements may be; no truth values among numbers, and nothing is rounded to a whole one."""
_PIECE = 32_768
"""Numbers that are converted in one go: of millions at once no other thread would get a word in."""


class Contents(Protocol):
    """A tensor's elements, as its front has them."""

    def array(self, spec: TensorSpec, elements: int, model: str) -> NDArray[np.generic]:
        """They as a flat array of the spec's datatype. Raises BadInput where they are not so many, or no such."""
        ...

    def strings(self, elements: int, where: str) -> Sequence[bytes]:
        """They as datatype BYTES has them. Raises BadInput, which begins with `where`, if not so many or no such."""
        ...


def check_bytes(spec: TensorSpec, elements: int, model: str, got: int) -> None:
    """Raises BadInput where so many elements do not take the bytes that were `got`."""
    expected = elements * spec.dtype.itemsize
    if expected != got:
        raise BadInput(
            f"input byte size mismatch for input '{spec.name}' for model '{model}'. "
            f"Expected {expected}, got {got}"
        )


@dataclass(frozen=True, slots=True)
class Buffer:
    """Elements in memory, row by row, little-endian as this machine has them. They are read where they are."""

    memory: "bytes | memoryview"

    def array(self, spec: TensorSpec, elements: int, model: str) -> NDArray[np.generic]:
        """A read-only view of the memory. Raises BadInput where its size does not fit."""
        dtype, memory = spec.dtype, self.memory
        got = len(memory) if isinstance(memory, bytes) else memoryview(memory).nbytes
        check_bytes(spec, elements, model, got)
        array = np.frombuffer(memory, dtype)
        if dtype.kind == "b" and (array.view(np.uint8) > 1).any():
            raise BadInput(
                f"input '{spec.name}' for model '{model}': a BOOL is a byte 0 or 1, others mean nothing"
            )
        return array

    def strings(self, elements: int, where: str) -> Sequence[bytes]:
        """Each is its length (4 bytes, little-endian), then its bytes. Raises BadInput where they are not so many."""
        memory, at = memoryview(self.memory).cast("B"), 0
        found: list[bytes] = []
        while at < len(memory) and len(found) <= elements:
            begin = at + 4
            at = begin + int.from_bytes(memory[at:begin], "little")
            found.append(bytes(memory[begin:at]))
        if at != len(memory) or len(found) != elements:
            raise BadInput(
                f"{where}: expected {elements} elements, each its length in 4 bytes and then its bytes; its "
                f"{len(memory)} bytes are no such"
            )
        return found


@dataclass(frozen=True, slots=True)
class Values:
    """Elements as numbers, one after the other. `kept_in` names where they were, for errors.

    `typed`: all are of one type that suits the datatype, as a protobuf field's are; else each is looked at.
    """

    numbers: Sequence[bool | int | float | str | bytes]
    kept_in: str = "its values"
    typed: bool = False

    def array(self, spec: TensorSpec, elements: int, model: str) -> NDArray[np.generic]:
        """A new array. Raises BadInput where there are not so many, or one is outside the datatype's range."""
        where = f"input '{spec.name}' for model '{model}'"
        if isinstance(self.numbers, str | bytes | bytearray | memoryview):
            raise BadInput(f"{where}: memory is a Buffer, and no numbers one by one")
        if len(self.numbers) != elements:
            raise BadInput(
                f"{where}: expected {elements} elements in {self.kept_in}, got {len(self.numbers)}"
            )
        array = np.empty(elements, DATATYPES[spec.datatype].widest)
        for at in range(0, elements, _PIECE):
            piece = self.numbers[at : at + _PIECE]
            if not self.typed:
                _check_types(piece, array.dtype.kind, f"{where}: {spec.datatype}")
            try:
                array[at : at + _PIECE] = piece
            except (OverflowError, ValueError) as error:
                raise _outside(spec, where) from error
        return _narrowed(array, spec, where)

    def strings(self, elements: int, where: str) -> Sequence[bytes]:
        """Texts as UTF-8. Raises BadInput where they are not so many, or no texts."""
        given: Sequence[Any] = self.numbers
        if isinstance(given, str | bytes) or len(given) != elements:
            raise BadInput(f"{where}: expected {elements} elements in {self.kept_in}")
        if not all(isinstance(one, str | bytes) for one in given):
            raise BadInput(f"{where}: expected texts in {self.kept_in}")
        return [one.encode() if isinstance(one, str) else one for one in given]


def _check_types(numbers: Sequence[Any], kind: str, what: str) -> None:
    if odd := set(map(type, numbers)) - _TYPES[kind]:
        names = ", ".join(sorted(one.__name__ for one in odd))
        raise BadInput(f"{what} cannot be made of elements that are {names}")


def _narrowed(wide: NDArray[np.generic], spec: TensorSpec, where: str) -> NDArray[np.generic]:
    """The array in the spec's own datatype. Raises BadInput where an element is outside its range."""
    dtype = spec.dtype
    if dtype.kind in "iu" and wide.size:
        limits = np.iinfo(dtype.name)
        if wide.min() < limits.min or wide.max() > limits.max:
            raise _outside(spec, where)
    with np.errstate(over="ignore"):
        narrow = wide.astype(dtype)
    if dtype.kind == "f" and (np.isinf(narrow) & np.isfinite(wide)).any():
        raise _outside(spec, where)
    return narrow


def _outside(spec: TensorSpec, where: str) -> BadInput:
    limits = np.finfo(spec.dtype.name) if spec.is_float else np.iinfo(spec.dtype.name)
    return BadInput(
        f"{where}: values outside {limits.min}..{limits.max}, the range of {spec.datatype}"
    )
