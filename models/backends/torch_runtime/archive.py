"""Opening a `.pt2` file: only operators and tensors, screened before torch reads them; nothing is unpickled."""

import logging
import os
import threading
import zipfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from models.backends.base import BackendError, words
from models.backends.torch_runtime.screening import check_members, check_texts

_ENVIRONMENT = threading.Lock()
_LOG = logging.getLogger("torch.export")


def load_program(path: Path) -> Any:
    """The torch.export.ExportedProgram in the file.

    Tensors and operators only: an archive with pickled objects, compiled code or texts that would run is refused, for
    reading it would run what it says. Raises BackendError, or what torch raises for a damaged file.
    """
    _screen(path)
    with _tensors_only(), _reason_kept() as reasons:
        try:
            exported: Any = torch.export.load(path)
        except Exception as error:  # torch logs why, and raises that it did
            raise BackendError(
                f"torch cannot read it: {words(reasons[0] if reasons else error)}; save it anew with torch.export.save"
            ) from error
    _check_divisions(exported)
    return exported


def _screen(path: Path) -> None:
    """Both as torch sees the archive, and as Python does, whose way torch takes for old programs."""
    with zipfile.ZipFile(path) as archive:
        check_members([name.partition("/")[2] or name for name in archive.namelist()])
    torch_itself: Any = torch
    reader = torch_itself._C.PyTorchFileReader(str(path))  # noqa: SLF001 - another reader may see another archive
    names: list[str] = reader.get_all_records()
    check_members(names)
    for name in names:
        if name.endswith(".json"):
            check_texts(reader.get_record(name))


def _check_divisions(exported: Any) -> None:
    """Where the smallest whole number is divided by -1 and cut, the processor ends the process: torch does not look."""
    signature = exported.graph_signature
    constants = {*signature.inputs_to_parameters, *signature.inputs_to_buffers}
    constants |= {*signature.inputs_to_lifted_tensor_constants}
    for node in exported.graph.nodes:
        if node.kwargs.get("rounding_mode") != "trunc" or len(node.args) < 2:
            continue
        by, result = node.args[1], node.meta.get("val")
        fixed = by != -1 if isinstance(by, int | float) else getattr(by, "name", "") in constants
        if not fixed and getattr(result, "dtype", None) in {torch.int32, torch.int64}:
            raise BackendError(
                f"{node.name} divides whole numbers by what may be -1, at which the process ends: "
                "clamp the divisor, round by floor, or divide floats"
            )


@contextmanager
def _tensors_only() -> Generator[None]:
    """torch.export.load falls back to unpickling anything; this variable forbids it, process-wide by its nature."""
    with _ENVIRONMENT:
        before = os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD")
        os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"]
            else:
                os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = before


@contextmanager
def _reason_kept() -> Generator[list[BaseException]]:
    """What torch would log as a traceback while it reads, kept instead."""
    reasons: list[BaseException] = []

    def keep(record: logging.LogRecord) -> bool:
        if record.exc_info and record.exc_info[1] is not None:
            reasons.append(record.exc_info[1])
        return False

    _LOG.addFilter(keep)
    try:
        yield reasons
    finally:
        _LOG.removeFilter(keep)
