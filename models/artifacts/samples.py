"""The publisher's own rows beside a family's manifest: looked at before they are read, an archive may be anything."""

import hashlib
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from models.catalog import Family, TensorSpec

SAMPLES = "samples.npz"
"""Beside a family's manifest: an array for each input, a row for each sample."""

MOST_PUBLISHED = 32
"""The publisher's rows that are used, at most."""


@dataclass(frozen=True, slots=True)
class Published:
    """The publisher's rows, and what tells them from others."""

    inputs: dict[str, NDArray[np.generic]]
    rows: int
    digest: str


def read_samples(path: Path, family: Family, most: int = MOST_PUBLISHED) -> Published:
    """So many rows, at most. Raises ValueError where the arrays are not as the signature says; others are not read."""
    if not path.is_file():
        raise ValueError("it is no file")
    with zipfile.ZipFile(path) as archive:
        kept = {spec.name: _array(archive, spec, most) for spec in family.inputs}
    counts = {len(array) for array in kept.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError("its arrays have no rows, or not as many as each other")
    digest = hashlib.sha256(b"".join(kept[spec.name].tobytes() for spec in family.inputs))
    return Published(kept, counts.pop(), digest.hexdigest()[:8])


def write_samples(path: Path, rows: Mapping[str, NDArray[np.generic]]) -> None:
    """Write what `read_samples` reads, whatever the inputs are called. Raises OSError."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in rows.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)


def _array(archive: zipfile.ZipFile, spec: TensorSpec, most: int) -> NDArray[np.generic]:
    """The rows of one input, no more than are used; looked at before they are read: an archive may unpack to anything.

    Raises ValueError where they are not as the signature says.
    """
    if f"{spec.name}.npy" not in archive.namelist():
        raise ValueError(f"it has no array for input {spec.name!r}")
    with archive.open(f"{spec.name}.npy") as member:
        shape, by_column, dtype = _header(member)
        if dtype != spec.dtype or not shape or not spec.fits(shape[1:]):
            wanted = f"{spec.datatype} {list(spec.shape)}"
            raise ValueError(
                f"array {spec.name!r} is {dtype} {list(shape)}, the family says {wanted}"
            )
        used = (min(shape[0], MOST_PUBLISHED, most), *shape[1:])
        if by_column and used != shape:
            raise ValueError(
                f"array {spec.name!r} is kept by columns; save it with np.ascontiguousarray"
            )
        size = math.prod(used) * dtype.itemsize
        content = member.read(size)
    if len(content) < size:
        raise ValueError(f"array {spec.name!r} ends early")
    found = np.frombuffer(content, dtype).reshape(used, order="F" if by_column else "C")
    return np.array(found, order="C")


def _header(member: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it is kept by columns, type. Raises ValueError."""
    version = np.lib.format.read_magic(member)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(member)
    return np.lib.format.read_array_header_2_0(member)


def resized(rows: NDArray[np.generic], dims: Sequence[int]) -> NDArray[np.generic]:
    """The rows with these dimensions behind the first: what is missing is what comes first again."""
    for axis, size in enumerate(dims, start=1):
        if rows.shape[axis] != size:
            rows = rows.take(np.arange(size) % rows.shape[axis], axis=axis)
    return np.ascontiguousarray(rows)
