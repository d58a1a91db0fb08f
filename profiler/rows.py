"""Rows to measure and to try arms with: the publisher's, where there are any, else made from the signature.

Made rows begin as zeros and small numbers and widen: a number that is no id the model knows says nothing of the arm.
"""

import hashlib
import logging
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from models.backends.base import BackendError, Tensors, words
from models.catalog import DATATYPES, Family, TensorSpec
from profiler.room import MOST_HELD

_log = logging.getLogger(__name__)

SAMPLES = "samples.npz"
"""Beside a family's manifest: an array for each input, a row for each sample."""

RANGES = (256, 8, 2, 1)
"""Made whole numbers are below these: what is used is the widest that the model takes."""

POOL = 8
"""Different rows; larger batches repeat them."""

MOST_PUBLISHED = 32
"""The publisher's rows that are used, at most."""

_SEED = 20240229
"""Every arm and every start sees the same rows."""


class SampleError(BackendError):
    """No row is known that the model takes. It is the sample's fault, not the arm's or the file's."""


@dataclass(frozen=True, slots=True)
class Published:
    """The publisher's rows, and what tells them from others."""

    inputs: Tensors
    rows: int
    digest: str


class SampleRows:
    """One family's. Arms that cannot take made rows narrow them. `most`: so many are held at a time."""

    def __init__(
        self, family: Family, published: Published | None = None, most: int = MOST_HELD
    ) -> None:
        self._family = family
        self.published = published
        self.most = most
        self._range = RANGES[0]
        self._pools: dict[int, Tensors] = {}

    @property
    def n(self) -> int:
        """How many different rows there are."""
        return min(POOL, self.most) if self.published is None else self.published.rows

    @property
    def kind(self) -> str:
        """What is used now, as profiles keep it: `published` and a digest, or `below N`."""
        if self.published is not None:
            return f"published {self.published.digest}"
        return f"below {self._range}"

    def covers(self, kind: str) -> bool:
        """Whether an arm that was tried with rows of this kind need not be tried again with those there are now."""
        return (
            not kind or kind == self.kind or (self.published is None and kind.startswith("below"))
        )

    def narrow(self, kind: str) -> None:
        """Use nothing wider than `kind`, with which an arm was measured."""
        known = [r for r in RANGES if f"below {r}" == kind]
        self._range = min([self._range, *known])

    def first(self, rows: int) -> Tensors:
        """So many rows, repeated where there are not so many; the same ones every time."""
        pool = self._pool(self._range)
        n = len(next(iter(pool.values())))
        return {
            name: np.ascontiguousarray(np.resize(array, (rows, *array.shape[1:])))
            if rows > n
            else array[:rows]
            for name, array in pool.items()
        }

    def fit(self, run: Callable[[Tensors], object]) -> None:
        """Narrow the rows until `run`, which takes one row, takes each. Raises SampleError where it takes none."""
        reason = ""
        for limit in (r for r in RANGES if r <= self._range):
            reason = self._refused(run, limit) or ""
            if not reason:
                self._range = limit
                return
            if self.published is not None:
                break
        raise SampleError(self._words(reason))

    def _refused(self, run: Callable[[Tensors], object], limit: int) -> str | None:
        for index, row in enumerate(single(self._pool(limit))):
            try:
                run(row)
            except (BackendError, MemoryError) as error:
                return f"row {index}: {error or type(error).__name__}"
        return None

    def _pool(self, limit: int) -> Tensors:
        if self.published is not None:
            return self.published.inputs
        pool = self._pools.get(limit)
        if pool is None:
            rng = np.random.default_rng(_SEED)
            pool = {spec.name: made(rng, spec, self.n, limit) for spec in self._family.inputs}
            self._pools = {limit: pool}
        return pool

    def _words(self, reason: str) -> str:
        if self.published is not None:
            return (
                f"the publisher's {SAMPLES} does not run, {reason}; correct that row or take it out"
            )
        return (
            f"no row could be made that the model takes, zeros included ({reason}); "
            f"put rows that it takes into {SAMPLES} beside the family's manifest, an array for each input"
        )


def sample_rows(folder: Path, family: Family, most: int = MOST_HELD) -> SampleRows:
    """The rows for the family in `folder`, no more than `most`; a file that cannot be used is told and left out."""
    path = folder / SAMPLES
    if not path.exists():
        return SampleRows(family, most=most)
    try:
        return SampleRows(family, _read(path, family, most), most)
    except Exception as error:  # noqa: BLE001 - parsers of headers and archives raise anything
        _log.warning("%s: %s is left out: %s; rows are made from the signature instead",
                     family.name, path, words(error))  # fmt: skip
        return SampleRows(family, most=most)


def made(rng: np.random.Generator, spec: TensorSpec, rows: int, limit: int) -> NDArray[np.generic]:
    """Random rows: [0, 1) for floats, whole numbers below `limit`; all zeros where that is 1."""
    dtype, shape = np.dtype(DATATYPES[spec.datatype]), (rows, *spec.shape[1:])
    if dtype.kind == "f":
        if limit <= 1:
            return np.zeros(shape, dtype)
        return rng.random(shape, dtype=np.float32).astype(dtype, copy=False)
    top = min(limit, 2 if dtype.kind == "b" else 128 if dtype == np.int8 else 256)
    return rng.integers(0, top, shape, dtype=np.uint16).astype(dtype)


def single(rows: Tensors) -> Iterator[Tensors]:
    """Each row of a batch as a batch of one."""
    for index in range(len(next(iter(rows.values())))):
        yield {name: array[index : index + 1] for name, array in rows.items()}


def joined(rows: Sequence[Tensors]) -> Tensors:
    """Batches of one, one after the other."""
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}


def _read(path: Path, family: Family, most: int) -> Published:
    """Raises ValueError where the arrays are not as the signature says. Others, labels say, are not looked at."""
    if not path.is_file():
        raise ValueError("it is no file")
    with zipfile.ZipFile(path) as archive:
        kept = {spec.name: _array(archive, spec, most) for spec in family.inputs}
    counts = {len(array) for array in kept.values()}
    if len(counts) != 1 or 0 in counts:
        raise ValueError("its arrays have no rows, or not as many as each other")
    digest = hashlib.sha256(b"".join(kept[spec.name].tobytes() for spec in family.inputs))
    return Published(kept, counts.pop(), digest.hexdigest()[:8])


def _array(archive: zipfile.ZipFile, spec: TensorSpec, most: int) -> NDArray[np.generic]:
    """The rows of one input, no more than are used; looked at before they are read: an archive may unpack to anything.

    Raises ValueError where they are not as the signature says.
    """
    if f"{spec.name}.npy" not in archive.namelist():
        raise ValueError(f"it has no array for input {spec.name!r}")
    with archive.open(f"{spec.name}.npy") as member:
        shape, by_column, dtype = _header(member)
        if dtype != np.dtype(DATATYPES[spec.datatype]) or shape[1:] != spec.shape[1:] or not shape:
            raise ValueError(f"array {spec.name!r} is {dtype} {list(shape)}, the family says "
                             f"{spec.datatype} {list(spec.shape)}")  # fmt: skip
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
