"""What is looked at of a model, and what runs it: the two that an ONNX graph and a program of torch have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]
Shapes = Mapping[str, tuple[int | str, ...]]
"""Input -> the dimensions behind the rows that it is to be served with; a text is a free one's name."""

MOST_BATCH = 32


@dataclass(frozen=True, slots=True)
class Input:
    """What a model takes: the protocol's datatype, and what follows the rows; -1 where that is free, and its name."""

    name: str
    datatype: str
    dims: tuple[int, ...]
    sizes: tuple[str, ...] = ()

    def at(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """The dimensions with these sizes."""
        names = iter(self.sizes)
        return tuple(d if d >= 0 else sizes[next(names)] for d in self.dims)


@dataclass(frozen=True, slots=True)
class Said:
    """What the user says of the inputs: sizes behind the rows, datatypes, and where rows are, if any; and `config`:
    what is said of them beside the model."""

    shapes: Shapes = field(default_factory=dict[str, tuple[int | str, ...]])
    datatypes: Mapping[str, str] = field(default_factory=dict[str, str])
    samples: Path | None = None
    config: Mapping[str, Input] = field(default_factory=dict[str, Input])


class Signature(Protocol):
    """What a model says of itself. `path` is the user's file, `outputs` are those that can be served.

    `freed`: it was exported for one row a run, and its axis of rows has been named anew: whether it then computes them
    one by one has to be tried. `one_row`: it is to be given one row a run, as it is; else `most_rows` at most.
    `remarks`: what was changed or left out.
    """

    @property
    def path(self) -> Path: ...
    @property
    def inputs(self) -> Sequence[Input]: ...
    @property
    def outputs(self) -> Sequence[str]: ...
    @property
    def freed(self) -> bool: ...
    @property
    def one_row(self) -> bool: ...
    @property
    def most_rows(self) -> int: ...
    @property
    def labels(self) -> tuple[str, ...]: ...
    @property
    def remarks(self) -> Sequence[str]: ...
    @property
    def precision(self) -> str:
        """What it computes in."""
        ...


class Runner(Protocol):
    """A model as it will be served, on one thread of the CPU."""

    def run(self, rows: Arrays) -> dict[str, NDArray[Any]]:
        """The outputs that are served. Raises what its runtime raises."""
        ...

    def stated(self, output: str) -> Sequence[int | str | None]:
        """An output's dimensions as far as the model states them, rows first: numbers where they are fixed."""
        ...


@dataclass(frozen=True, slots=True)
class Opened:
    """A model that was read and loaded; `served` is the file that a server runs."""

    signature: Signature
    served: Path
    runner: Runner
