"""Files of numbers, read whole; whatever is wrong with one comes out as a TrainError that names it."""

import gzip
import tokenize
import zipfile
import zlib
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.artifacts.digests import sha256_of
from trainer.errors import TrainError

_UNREADABLE = (
    *(OSError, EOFError, zlib.error, zipfile.BadZipFile, tokenize.TokenError, SyntaxError),
    *(ValueError, KeyError, MemoryError, NotImplementedError, RuntimeError),
)
"""What numpy and zipfile raise on damaged, encrypted or foreign files."""


def why(error: BaseException) -> str:
    """The error's own words, without the path that an OSError repeats."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def content_of(path: Path) -> bytes:
    """The file's bytes, decompressed if it ends in .gz. Raises TrainError."""
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as error:
        raise TrainError(f"{path} cannot be read: {why(error)}; get the file again") from error


def names_in(path: Path) -> set[str]:
    """The arrays' names in an npz file. Raises TrainError."""
    with _npz(path) as arrays:
        return set(arrays.files)


def arrays_of(path: Path, keys: Sequence[str]) -> list[NDArray[Any]]:
    """The arrays under `keys` of an npz file. Raises TrainError, listing the names there are if one is missing."""
    with _npz(path) as arrays:
        if missing := sorted(set(keys) - set(arrays.files)):
            raise TrainError(
                f"{path} has no array {', '.join(missing)}; it has {', '.join(sorted(arrays.files)) or 'none'}: name "
                "one of these or give another file"
            )
        return [arrays[key] for key in keys]


@contextmanager
def _npz(path: Path) -> Generator[Any, None, None]:
    """The open npz file; what goes wrong while it is used comes out as TrainError."""
    try:
        with path.open("rb") as file:
            if not zipfile.is_zipfile(file):
                raise ValueError("it is truncated or no npz file at all")
            file.seek(0)
            with np.load(file, allow_pickle=False) as arrays:
                yield arrays
    except _UNREADABLE as error:
        raise TrainError(
            f"{path} cannot be read as npz: {why(error)}; get the file again"
        ) from error


def described(root: Path, files: Iterable[Path]) -> str:
    """`root` and every file's name and sha256, for a data set's `source`. Raises TrainError."""
    try:
        return f"{root} ({', '.join(f'{f.name} sha256 {sha256_of(f)}' for f in files)})"
    except OSError as error:
        raise TrainError(f"{root} cannot be read: {why(error)}; check the files in it") from error
