"""Opens what was found: ONNX graphs and programs of torch as they are, scripts of torch as the graphs they become."""

from collections.abc import Mapping
from pathlib import Path

from models.adding.archives import PROGRAM, SCRIPT, kind_of
from models.adding.graph import read_graph
from models.adding.reading import Opened, Said
from models.adding.session import open_graph
from models.adding.torch_files.program import open_program
from models.backends import require
from models.backends.base import BackendError
from models.build.errors import BuildError


def open_model(path: Path, said: Said, work: Path, *, one_row: bool = False) -> Opened:
    """The model at `path`, ready to be tried; as one that is given `one_row` a run. `work`: a folder to write to.

    Raises BuildError.
    """
    kind = kind_of(path)
    if kind in {PROGRAM, SCRIPT}:
        _need_torch(path)
    if kind == SCRIPT:
        from models.adding.torch_files.converting import as_graph  # noqa: PLC0415 - imports torch

        opened = open_graph(as_graph(path, said, work, one_row=one_row), work)
    elif kind == PROGRAM:
        opened = open_program(path, said.shapes, one_row=one_row)
    else:
        opened = open_graph(read_graph(path, said.shapes, one_row=one_row), work)
    _check_datatypes(opened, said.datatypes)
    return opened


def _check_datatypes(opened: Opened, said: Mapping[str, str]) -> None:
    for one in opened.signature.inputs:
        if said.get(one.name, one.datatype) != one.datatype:
            raise BuildError(
                f"--shape {one.name}: {opened.signature.path} takes {one.datatype} there, not {said[one.name]}"
            )


def _need_torch(path: Path) -> None:
    try:
        require("torch", extra="torch")
    except BackendError as error:
        raise BuildError(f"{path}: {error}") from error
