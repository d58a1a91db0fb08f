"""ONNX external data: weights in files beside the graph. Which they are, and whether a runtime may be let at them.

A graph names such files itself, and each runtime has its own idea of which names are harmless. So the names are
judged here, before any runtime opens the graph: plain relative paths to files inside the graph's own folder.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path, PurePosixPath

from models.artifacts.digests import Mark, mark_of, sha256_of
from models.artifacts.onnx_wire import MalformedGraph, Reference, references_in, with_locations
from models.artifacts.tables import ArtifactError

_SUFFIX = ".onnx"
_FOREIGN = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|.*[\\\x00]", re.DOTALL)
"""URLs, drives, and what is a separator or an end elsewhere."""


def references(path: Path) -> list[Reference]:
    """The tensors of the artefact at `path` that are in other files; none where it is no ONNX graph. Raises OSError."""
    return list(_references_at(path, mark_of(path))) if path.suffix == _SUFFIX else []


@lru_cache(maxsize=256)
def _references_at(path: Path, _mark: Mark) -> Sequence[Reference]:
    """Those of the file as it is now: to walk a graph of some MB takes tens of milliseconds, and many ask."""
    try:
        return tuple(references_in(path))
    except MalformedGraph:  # no runtime opens it either, and says so
        return ()


def rewritten(path: Path, names: Mapping[str, str]) -> bytes:
    """The graph at `path` with its references' locations by other names."""
    return with_locations(path, names)


def located(path: Path, location: str) -> Path:
    """Where the graph at `path` has the file that it calls `location`. Raises ArtifactError where it may not be."""
    where = f"{path} keeps weights in {location!r}, which"
    if not location or _FOREIGN.match(location) or PurePosixPath(location).is_absolute():
        raise ArtifactError(
            f"{where} is no plain relative path; keep them in a file beside it and export it again"
        )
    if ".." in PurePosixPath(location).parts:
        raise ArtifactError(
            f"{where} leads out of its folder; keep them in a file beside it and export it again"
        )
    found = path.parent / location
    try:
        real = found.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise ArtifactError(f"{where} is not there; put the file back") from error
    if not real.is_relative_to(path.parent.resolve()):
        raise ArtifactError(
            f"{where} is a link out of its folder, to {real}; put the file itself there"
        )
    if not real.is_file():
        raise ArtifactError(f"{where} is no file; put the file there")
    return found


def check_references(path: Path, found: Sequence[Reference]) -> None:
    """Raises ArtifactError where a reference leads out of the graph's folder, to no file, or beyond the file's end."""
    sizes = {
        location: located(path, location).stat().st_size
        for location in dict.fromkeys(r.location for r in found)
    }
    for reference in found:
        _check_extent(path, reference, sizes[reference.location])


def data_files(path: Path) -> dict[str, Path]:
    """The files that hold weights of the graph at `path`, by their path below its folder. Raises ArtifactError."""
    found = references(path)
    check_references(path, found)
    return {str(PurePosixPath(r.location)): located(path, r.location) for r in found}


def content_of(path: Path) -> str:
    """What tells the artefact at `path` from any other, as `Variant.content` has it.

    Raises ArtifactError, or OSError.
    """
    outside = data_files(path)
    sums = [sha256_of(path), *sorted({sha256_of(file) for file in outside.values()})]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest() if outside else sums[0]


def _check_extent(path: Path, reference: Reference, size: int) -> None:
    where = f"{path}: tensor {reference.tensor!r} in {reference.location!r}"
    keys = [key for key, _ in reference.entries]
    if len(set(keys)) != len(keys):
        raise ArtifactError(
            f"{where} says {keys} of where it is, one of them twice; export it again"
        )
    offset, length = (_whole(where, reference, key) for key in ("offset", "length"))
    needed = reference.needed_bytes
    if needed is not None and length is not None and length != needed:
        raise ArtifactError(
            f"{where} is said to have {length} bytes, its type and shape make {needed}; export it again"
        )
    end = (offset or 0) + (length if length is not None else needed or 0)
    if end > size:
        raise ArtifactError(
            f"{where} ends at byte {end}, the file has {size}; put the whole file back or export it again"
        )


def _whole(where: str, reference: Reference, key: str) -> int | None:
    text = reference.entry(key)
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,19}", text):
        raise ArtifactError(f"{where} has the {key} {text!r}, no whole number; export it again")
    return int(text)
