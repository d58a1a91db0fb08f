"""What crosses the seam under every front: requests in, answers out, as plain values. Times are time.monotonic's.

A front decodes its protocol into a Request and encodes an Answer; of protocols nothing is known here.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from models.catalog import TensorSpec
from models.datatypes import BY_DTYPE, DATATYPES
from server.errors import BadInput, RequestError

Scalar = bool | int | float | str
"""What a request's parameter may be."""

_TYPES = {"b": {bool}, "u": {int}, "i": {int}, "f": {int, float}}
"""Kind of number -> what its elements may be; no truth values among numbers, and nothing is rounded to a whole one."""
_PIECE = 32_768
"""Numbers that are converted in one go: of millions at once no other thread would get a word in."""


class Contents(Protocol):
    """A tensor's elements, as its front has them."""

    def array(self, spec: TensorSpec, elements: int, model: str) -> NDArray[np.generic]:
        """They as a flat array of the spec's datatype. Raises BadInput where they are not so many, or no such."""
        ...


@dataclass(frozen=True, slots=True)
class Buffer:
    """Elements in memory, row by row, little-endian as this machine has them. They are read where they are."""

    memory: "bytes | memoryview"

    def array(self, spec: TensorSpec, elements: int, model: str) -> NDArray[np.generic]:
        """A read-only view of the memory. Raises BadInput where its size does not fit."""
        dtype = spec.dtype
        expected, got = elements * dtype.itemsize, memoryview(self.memory).nbytes
        if expected != got:
            raise BadInput(
                f"input byte size mismatch for input '{spec.name}' for model '{model}'. "
                f"Expected {expected}, got {got}"
            )
        array = np.frombuffer(self.memory, dtype)
        if dtype.kind == "b" and (array.view(np.uint8) > 1).any():
            raise BadInput(
                f"input '{spec.name}' for model '{model}': a BOOL is a byte 0 or 1, others mean nothing"
            )
        return array


@dataclass(frozen=True, slots=True)
class Values:
    """Elements as numbers, one after the other. `kept_in` names where they were, for errors.

    `typed`: all are of one type that suits the datatype, as a protobuf field's are; else each is looked at.
    """

    numbers: Sequence[bool | int | float]
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


@dataclass(slots=True, eq=False)
class Tensor:
    """One input: its datatype as the Open Inference Protocol calls it, its shape with rows first, its elements."""

    name: str
    datatype: str
    shape: Sequence[int]
    contents: Contents

    @classmethod
    def of(cls, name: str, array: NDArray[np.generic]) -> Self:
        """An array as it is: copied only where its elements do not lie row by row. Raises KeyError for other dtypes."""
        dense = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
        flat = dense.reshape(-1).view(np.uint8).data if dense.size else b""
        return cls(name, BY_DTYPE[array.dtype.name].name, array.shape, Buffer(flat))


@dataclass(slots=True, eq=False)
class Request:
    """What a client asks of `model`, a family.

    `inputs` each once, `outputs` those wanted (none named: all), `version` "" or "1", or a variant's name, which pins
    it. Parameters: see `demands.py`. `arrival_s`: when its message came, None: now; `deadline_s`: when its client gives
    up, whatever the SLO says. `client` tells clients apart, and nothing else; `trace` is a W3C traceparent. Both are
    carried along. `release` is called once, however the request ended, when the inputs' memory is read no more: it may
    be a while after the answer, and never where a runtime that was given up does not come back. `origin` is the
    front's own.
    """

    model: str
    inputs: Sequence[Tensor]
    id: str = ""
    version: str = ""
    outputs: Sequence[str] = ()
    parameters: Mapping[str, Scalar | None] = field(default_factory=dict[str, Scalar | None])
    arrival_s: float | None = None
    deadline_s: float | None = None
    client: Hashable = None
    trace: str = ""
    release: Callable[[], object] | None = None
    origin: Any = None


class Execution(NamedTuple):
    """How an answer was computed; one object for all answers of a batch that agree in it.

    Of a request that was split: the variant of least accuracy, and `variants` names all that took part; `batch_size`
    (rows) is that variant's batch; `compute_s` is from its first batch's start to its last one's end.
    """

    variant: str
    precision: str
    backend: str
    accuracy: float
    batch_size: int
    compute_s: float
    variants: tuple[str, ...] = ()


@dataclass(slots=True, eq=False)
class Answer:
    """A request's one answer: outputs by name, in the order asked for, and how they were computed; or an error.

    `rows` are the request's, `queue_s` what it waited. `trailers` go out with the answer where a front can carry them.
    """

    request: Request
    rows: int
    outputs: Mapping[str, NDArray[np.generic]] = field(
        default_factory=dict[str, NDArray[np.generic]]
    )
    execution: Execution | None = None
    queue_s: float = 0.0
    error: RequestError | None = None
    trailers: tuple[tuple[str, str], ...] = ()


Deliver = Callable[[Sequence[Answer]], None]
"""Takes answers of one batch to their clients, from any thread; of those that it cannot give it sets `error`."""
