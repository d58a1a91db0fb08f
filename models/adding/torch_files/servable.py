"""Whether what a program of torch takes and gives can be served, and what to do where it cannot."""

from pathlib import Path
from typing import TYPE_CHECKING

from models.adding.archives import recipe
from models.build.errors import BuildError
from models.datatypes import DATATYPES

if TYPE_CHECKING:
    from models.backends.torch_runtime.stated import Dimension, StatedProgram, Tensor


def check_mode(path: Path, stated: "StatedProgram") -> None:
    """Raises BuildError where its answers are those of training: random, or of all rows of a batch."""
    if stated.training:
        raise BuildError(
            f"{path} was exported in training mode ({stated.training}), in which answers hang on other rows or on "
            f"chance; {recipe()}"
        )


def check_rows(path: Path, one: "Tensor") -> None:
    """Raises BuildError where it is not one row or any number of them."""
    if not one.dims:
        raise BuildError(
            f"{path}: input {one.name!r} has no axis of rows; export the program with one in front"
        )
    rows = one.dims[0]
    if rows.size is not None and rows.size != 1:
        raise BuildError(
            f"{path}: input {one.name!r} takes {rows.size} rows at a time and no other number; export it with a free "
            f"first axis: {recipe(one.name)}"
        )
    if rows.size is None and not rows.symbol.isidentifier():
        raise BuildError(
            f"{path}: input {one.name!r} takes {rows.symbol} rows, a number of its own; export it with one row for "
            "each of the other inputs"
        )
    if rows.least > 2:  # torch says 2 of what may be 1 as well
        raise BuildError(
            f"{path}: input {one.name!r} takes {rows.least} rows at least, and one must do; {recipe(one.name)}"
        )


def check_sizes(path: Path, one: "Tensor") -> None:
    """Raises BuildError where a free size is reckoned from another, which requests could not know."""
    odd = [d.symbol for d in one.dims[1:] if d.size is None and not d.symbol.isidentifier()]
    if odd:
        raise BuildError(
            f"{path}: a size of input {one.name!r} is reckoned from another ({odd[0]}); fix it, and the other: "
            f"--shape {one.name}=N,N"
        )


def check_range(path: Path, name: str, size: int, dim: "Dimension") -> None:
    """Raises BuildError where the program was not exported for this size."""
    if dim.size is None and (size < dim.least or (dim.most is not None and size > dim.most)):
        most = "any" if dim.most is None else dim.most
        raise BuildError(
            f"--shape {name}: {path} was exported for sizes from {dim.least} to {most} there, not {size}"
        )


def check_outputs(path: Path, stated: "StatedProgram") -> None:
    """Raises BuildError where an output has no name of its own, or a type that is not served."""
    names = [one.name for one in stated.outputs]
    if not names or len(set(names)) < len(names):
        raise BuildError(
            f"{path} returns no tensors under names of their own; return a dict of them"
        )
    for one in stated.outputs:
        if one.datatype not in DATATYPES:
            raise BuildError(
                f"{path}: output {one.name!r} is {one.datatype}, which is not served; let the program cast it"
            )
