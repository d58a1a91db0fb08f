"""Pickles of byte arrays, read without trusting them: neither numpy nor any other code acts on what they say.

Every name that a pickle may ask for gets a stand-in of ours here; any other name is refused.
"""

import io
import pickle
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from trainer.data.reading import content_of, why
from trainer.errors import TrainError

_UNREADABLE = (
    *(pickle.UnpicklingError, struct.error, EOFError, ValueError, TypeError, LookupError),
    *(AttributeError, ArithmeticError, AssertionError, MemoryError, RecursionError, SystemError),
)
"""What unpickling raises on damaged opcodes; SystemError, on a byte array cut short (a slip in CPython 3.11)."""


class ByteArray:
    """Stands for a numpy array of unsigned bytes: `elements`, read-only, or None where the pickle gives none."""

    def __init__(self) -> None:
        self.elements: NDArray[np.uint8] | None = None

    def __setstate__(self, state: Any) -> None:
        match state:
            case (int(), tuple() as shape, _Bytes(), fortran, bytes() as content):
                self.elements = _shaped(content, shape, "F" if fortran else "C")
            case _:
                raise pickle.UnpicklingError("it holds an array that is not of unsigned bytes")


class _Bytes:
    """Stands for numpy's type of unsigned bytes; its state, the byte order, means nothing for bytes."""

    def __setstate__(self, state: Any) -> None: ...


def _shaped(content: bytes, shape: tuple[Any, ...], order: Literal["C", "F"]) -> NDArray[np.uint8]:
    return np.frombuffer(content, np.uint8).reshape(shape, order=order)


def _dtype(name: Any, *_how: Any) -> _Bytes:
    if name not in ("u1", b"u1", "|u1"):
        raise pickle.UnpicklingError(f"it holds an array of {name!r:.20}, not of unsigned bytes")
    return _Bytes()


def _reconstruct(*_empty: Any) -> ByteArray:
    """How pickles below protocol 5 begin an array; its state follows."""
    return ByteArray()


def _from_buffer(content: Any, _dtype: _Bytes, shape: Any, order: Any) -> ByteArray:
    """How pickles of protocol 5 hold a whole array."""
    array = ByteArray()
    array.__setstate__((1, shape, _dtype, order == "F", bytes(content)))
    return array


def _encoded(text: Any, encoding: Any) -> bytes:
    """How pickles below protocol 3 hold bytes."""
    if not isinstance(text, str) or encoding != "latin1":
        raise pickle.UnpicklingError(f"it holds bytes in the encoding {encoding!r:.20}")
    return text.encode("latin1")


@dataclass(frozen=True, slots=True)
class _Name:
    """What a pickle gets for a name: it can be called, and not be changed."""

    act: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.act(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise pickle.UnpicklingError("it changes what it has asked for")


_NAMES: Mapping[tuple[str, str], _Name] = {
    ("numpy", "ndarray"): _Name(_reconstruct),
    ("numpy", "dtype"): _Name(_dtype),
    ("_codecs", "encode"): _Name(_encoded),
    ("numpy.core.multiarray", "_reconstruct"): _Name(_reconstruct),
    ("numpy._core.multiarray", "_reconstruct"): _Name(_reconstruct),
    ("numpy.core.numeric", "_frombuffer"): _Name(_from_buffer),
    ("numpy._core.numeric", "_frombuffer"): _Name(_from_buffer),
}


class _Unpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        if found := _NAMES.get((module_name, global_name)):
            return found
        raise TrainError(
            f"it asks for {module_name}.{global_name}, and only arrays of bytes are read; "
            "use the files as their authors publish them"
        )


def unpickled(path: Path) -> Any:
    """What a pickle holds: built-in values and, for arrays of bytes, ByteArray. Python 2's text comes out as bytes.

    Raises TrainError where it cannot be read or asks for anything else.
    """
    content = content_of(path)
    try:
        return _Unpickler(io.BytesIO(content), encoding="bytes").load()
    except TrainError as error:
        raise TrainError(f"{path} is refused: {error}") from error
    except _UNREADABLE as error:
        raise TrainError(
            f"{path} cannot be read as a pickle of byte arrays: {why(error)}; get the file again"
        ) from error
