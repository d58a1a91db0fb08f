"""A program of torch.export (`.pt2`) opened to be tried. It is served as it is, by torch."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from models.adding.archives import recipe
from models.adding.found import plain_name
from models.adding.graph import fitting
from models.adding.reading import MOST_BATCH, Arrays, Input, Opened, Shapes
from models.adding.torch_files.servable import (
    check_mode,
    check_outputs,
    check_range,
    check_rows,
    check_sizes,
)
from models.backends.base import BackendError, words
from models.build.errors import BuildError
from models.datatypes import DATATYPES

if TYPE_CHECKING:
    from models.backends.torch_runtime.stated import StatedProgram, Tensor


@dataclass(frozen=True, slots=True)
class ReadProgram:
    """What a program says of itself: a `Signature`."""

    path: Path
    inputs: Sequence[Input]
    outputs: Sequence[str]
    one_row: bool
    most_rows: int
    precision: str
    remarks: Sequence[str]
    freed: bool = False
    labels: tuple[str, ...] = field(default=())


class ProgramRunner:
    """The program on one thread of the CPU."""

    def __init__(self, stated: "StatedProgram") -> None:
        self._stated = stated

    def run(self, rows: Arrays) -> dict[str, NDArray[Any]]:
        """The outputs that are served."""
        answers = self._stated.run([rows[one.name] for one in self._stated.inputs])
        return {one.name: a for one, a in zip(self._stated.outputs, answers, strict=True)}

    def stated(self, output: str) -> Sequence[int | None]:
        """An output's dimensions as far as the program states them."""
        return next(
            [d.size for d in one.dims] for one in self._stated.outputs if one.name == output
        )


def open_program(path: Path, shapes: Shapes, *, one_row: bool = False) -> Opened:
    """The program at `path`, its free sizes fixed where `shapes` says so. Raises BuildError.

    One that was exported for one row is given one row a run, whether or not `one_row` says so.
    """
    stated = _read(path)
    if not stated.inputs:
        raise BuildError(f"{path} takes no input; there is nothing to serve")
    if unknown := sorted(shapes.keys() - {one.name for one in stated.inputs}):
        has = ", ".join(one.name for one in stated.inputs)
        raise BuildError(f"{path} has no input {unknown[0]!r}; it has {has}")
    check_mode(path, stated)
    check_outputs(path, stated)
    names: dict[str, str] = {}
    inputs = [_input(path, one, shapes, names) for one in stated.inputs]
    rows = [one.dims[0] for one in stated.inputs]
    alone = any(dim.size == 1 for dim in rows)
    remarks: list[str] = []
    if alone and not one_row:
        how = recipe(stated.inputs[0].name)
        remarks.append(f"each request is one row, run by itself: it was exported for one; {how}")
    most = min([MOST_BATCH, *(dim.most for dim in rows if dim.most is not None)])
    if most < MOST_BATCH and not (alone or one_row):
        remarks.append(f"batches have {most} rows at most, as it was exported for")
    outputs = [one.name for one in stated.outputs]
    found = ReadProgram(path, inputs, outputs, one_row or alone, most, stated.precision, remarks)
    return Opened(found, path, ProgramRunner(stated))


def _read(path: Path) -> "StatedProgram":
    from models.backends.torch_runtime.stated import read_stated  # noqa: PLC0415 - takes a second

    try:
        return read_stated(path)
    except BackendError as error:
        raise BuildError(f"{path}: {error}") from error
    except Exception as error:  # a damaged archive raises anything
        raise BuildError(
            f"{path} cannot be read as a program of torch.export: {words(error)}; save it anew with torch.export.save"
        ) from error


def _input(path: Path, one: "Tensor", shapes: Shapes, names: dict[str, str]) -> Input:
    """`names`: symbol of a free size -> its name, filled here. Raises BuildError."""
    if one.datatype not in DATATYPES:
        raise BuildError(
            f"{path}: input {one.name!r} is {one.datatype}, which is not served; let the program take another and "
            "cast it"
        )
    check_rows(path, one)
    found = [dim.size for dim in one.dims[1:]]
    if (wanted := shapes.get(one.name)) is not None:
        dims = fitting(path, one.name, wanted, found)
        for size, dim in zip(dims, one.dims[1:], strict=True):
            check_range(path, one.name, size, dim)
        return Input(one.name, one.datatype, dims)
    check_sizes(path, one)
    sizes = tuple(
        names.setdefault(dim.symbol, f"{plain_name(one.name)}_{axis}")
        for axis, dim in enumerate(one.dims[1:], start=1)
        if dim.size is None
    )
    return Input(one.name, one.datatype, tuple(-1 if d is None else d for d in found), sizes)
