"""Families and variants: which models exist, what they take and give, and how accurate each is. Pure values."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from models.datatypes import DATATYPES

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
"""What runtimes compute in. A variant of another precision is served as well, emulated by the first that runs it."""


UNITS = 4
"""Where sizes are free, work is counted in units: a row of the typical sizes has so many."""


@dataclass(frozen=True, slots=True)
class FreeSize:
    """A dimension whose size requests choose: arms are measured at the `typical`, no more than `most` is answered."""

    name: str
    typical: int
    most: int


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output: `shape` counts rows first, as -1 (the batch), then dimensions; those that are free as -1.

    `sizes` names the free ones, in order; of an output that may be "": the size follows from what is in a row. `pad`:
    what fills an input's rows up to a larger size without another answer; None where nothing does. `default`: what an
    input is full of that a request leaves out; None where none may.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    sizes: tuple[str, ...] = ()
    pad: float | None = None
    default: float | None = None

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """numpy's type of its values."""
        return DATATYPES[self.datatype].dtype

    @property
    def is_float(self) -> bool:
        """Whether its values may be fractions, infinite or NaN."""
        return DATATYPES[self.datatype].is_float

    @property
    def row_elements(self) -> int:
        """Values in a row; sizes that are free and not set count as 1."""
        return prod(max(1, d) for d in self.shape[1:])

    def fits(self, dims: Sequence[int | None]) -> bool:
        """Whether a row may have these dimensions (None: any)."""
        wanted = self.shape[1:]
        return len(dims) == len(wanted) and all(
            w < 0 or d == w for w, d in zip(wanted, dims, strict=True)
        )

    def at(self, sizes: Mapping[str, int]) -> "TensorSpec":
        """With these sizes; what they do not name stays free."""
        if not self.sizes:
            return self
        names = iter(self.sizes)
        dims = [d if d >= 0 else sizes.get(next(names), -1) for d in self.shape[1:]]
        left = tuple(name for name in self.sizes if name not in sizes)
        return replace(self, shape=(self.shape[0], *dims), sizes=left)

    def sizes_of(self, dims: Sequence[int]) -> Mapping[str, int]:
        """The free sizes of a row with these dimensions, which fit; of those of one name the last."""
        free = [d for d, w in zip(dims, self.shape[1:], strict=True) if w < 0]
        return dict(zip(self.sizes, free, strict=True))


@dataclass(frozen=True, slots=True)
class CodedInput:
    """A way to give a row as bytes (datatype BYTES, one element a row) in place of the inputs that are made of it.

    `kind` "tokens": text, by the tokeniser in `file` of this `sha256`. "picture": a JPEG or PNG, made into `input`: the
    centre square of `keep` of its shorter edge, resized. A row has `most_bytes` at most.
    """

    name: str
    kind: str
    most_bytes: int
    file: str = ""
    sha256: str = ""
    input: str = ""
    keep: float = 1.0


@dataclass(frozen=True, slots=True)
class Accuracy:
    """A share in [0, 1] and how it is known; `interval` is its 95 % confidence half-width, 0 where none is stated."""

    value: float
    source: str
    n: int = 0
    interval: float = 0.0


@dataclass(frozen=True, slots=True)
class DataFile:
    """A file that an artefact keeps weights in: its path below the family's folder, and its content's sha256."""

    file: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Variant:
    """One artefact of a family: a network at a precision. `artifact` is a file name inside the family's folder.

    A `candidate` has yet to earn its place: it is served once the server has found that it moves the frontier here.
    `origin` tells how it came about, as the text of a JSON object; empty where nothing was recorded. `data`: the files
    that an ONNX graph keeps weights in (external data).
    """

    name: str
    precision: str
    artifact: str
    sha256: str
    accuracy: Accuracy
    candidate: bool = False
    origin: str = ""
    data: tuple[DataFile, ...] = ()

    @property
    def content(self) -> str:
        """What tells the network from any other: the artefact's sha256, or one over it and those of its data."""
        if not self.data:
            return self.sha256
        sums = (self.sha256, *sorted({d.sha256 for d in self.data}))
        return hashlib.sha256("\n".join(sums).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Slo:
    """A latency bound (s, at `percentile` of requests), the least accuracy worth an answer, the class it counts in."""

    latency_s: float
    min_accuracy: float = 0.0
    percentile: float = 0.99
    name: str = "default"


@dataclass(frozen=True, slots=True)
class Family:
    """What a client calls a model: one signature, one default SLO, several variants.

    `one_row`: a request has one row, which is run by itself; the first dimension of outputs is whatever it comes to.
    `coded`: inputs that may be given as bytes in place of all others.
    """

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    variants: tuple[Variant, ...]
    slo: Slo
    max_batch: int = 32
    labels: tuple[str, ...] = ()
    description: str = ""
    sizes: tuple[FreeSize, ...] = ()
    one_row: bool = False
    coded: tuple[CodedInput, ...] = ()

    @property
    def any_size(self) -> bool:
        """Whether not all shapes are known beforehand."""
        return bool(self.sizes) or self.one_row

    def sizes_by_name(self, sizes: Sequence[int]) -> dict[str, int]:
        """These sizes, in the family's order, by name."""
        return {size.name: n for size, n in zip(self.sizes, sizes, strict=True)}

    @property
    def pads(self) -> bool:
        """Whether rows of unlike sizes may run together, padded to one."""
        inputs, outputs = self.inputs, self.outputs
        filled = all(spec.pad is not None for spec in inputs if spec.sizes)
        known = all(name for spec in outputs for name in spec.sizes)
        return bool(self.sizes) and filled and known and not self.one_row

    def answers(self, spec: TensorSpec, shape: Sequence[int], rows: int) -> bool:
        """Whether an output may have this shape where so many rows were put in."""
        return bool(shape) and (self.one_row or shape[0] == rows) and spec.fits(shape[1:])

    @property
    def typical(self) -> "Family":
        """With inputs of the sizes that arms are measured at."""
        return self.at({size.name: size.typical for size in self.sizes})

    @property
    def largest(self) -> "Family":
        """With the largest sizes that are answered."""
        return self.at({size.name: size.most for size in self.sizes})

    def at(self, sizes: Mapping[str, int]) -> "Family":
        """With inputs and outputs of these sizes."""
        if not self.sizes:
            return self
        inputs, outputs = (
            tuple(s.at(sizes) for s in specs) for specs in (self.inputs, self.outputs)
        )
        return replace(self, inputs=inputs, outputs=outputs)

    @property
    def row_units(self) -> int:
        """Units of work in a row of the typical sizes: 1 where no size is free."""
        return UNITS if self.sizes else 1

    @property
    def most_units(self) -> int:
        """Units of work in the largest batch: `max_batch` typical rows, or the largest row where that has more."""
        return max(self.max_batch * self.row_units, self.largest_row_units)

    @property
    def largest_row_units(self) -> int:
        """Units of work in a row of the largest sizes; 1 where no size is free."""
        return self.units({size.name: size.most for size in self.sizes})

    def units(self, sizes: Mapping[str, int], rows: int = 1) -> int:
        """Units of work in rows of these sizes: in proportion to their product, 1 at least."""
        if not self.sizes:
            return rows
        each = UNITS * prod(sizes[s.name] / s.typical for s in self.sizes)
        return max(1, round(rows * each))

    def with_units(self, units: float) -> "Family":
        """With sizes at which a row has about so many units, all in proportion, as far as they may go."""
        if not self.sizes:
            return self
        scale = (units / UNITS) ** (1.0 / len(self.sizes))
        return self.at({s.name: min(s.most, max(1, round(scale * s.typical))) for s in self.sizes})

    def variant(self, name: str) -> Variant | None:
        """The variant called `name`, or None."""
        return next((v for v in self.variants if v.name == name), None)
