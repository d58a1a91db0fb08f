"""Families and variants: which models exist, what they take and give, and how accurate each is. Pure values."""

import hashlib
from dataclasses import dataclass

import numpy as np

from models.datatypes import DATATYPES

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
"""What runtimes compute in. A variant of another precision is served as well, emulated by the first that runs it."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output: `shape` counts rows first, as -1 (the batch), then fixed dimensions."""

    name: str
    datatype: str
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """numpy's type of its values."""
        return DATATYPES[self.datatype].dtype

    @property
    def is_float(self) -> bool:
        """Whether its values may be fractions, infinite or NaN."""
        return DATATYPES[self.datatype].is_float


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
    """What a client calls a model: one signature, one default SLO, several variants."""

    name: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    variants: tuple[Variant, ...]
    slo: Slo
    max_batch: int = 32
    labels: tuple[str, ...] = ()
    description: str = ""

    def variant(self, name: str) -> Variant | None:
        """The variant called `name`, or None."""
        return next((v for v in self.variants if v.name == name), None)
