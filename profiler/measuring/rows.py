"""Rows to measure and to try arms with: the publisher's, where there are any, else made from the signature.

Made rows begin as zeros and small numbers and widen: a number that is no id the model knows says nothing of the arm.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.artifacts.samples import SAMPLES, Published, read_samples, resized
from models.backends.base import BackendError, Tensors, words
from models.catalog import UNITS, Family, TensorSpec
from models.padding import is_mask
from profiler.measuring.room import MOST_HELD

_log = logging.getLogger(__name__)

RANGES = (256, 8, 2, 1)
"""Made whole numbers are below these: what is used is the widest that the model takes."""

POOL = 8
"""Different rows; larger batches repeat them."""

_SEED = 20240229
"""Every arm and every start sees the same rows."""


class SampleError(BackendError):
    """No row is known that the model takes. It is the sample's fault, not the arm's or the file's."""


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
        """What is used now, as profiles keep it: `published` and a digest, or `below N`, and the sizes where free."""
        rows = (
            f"below {self._range}"
            if self.published is None
            else f"published {self.published.digest}"
        )
        return rows + self._sizes

    def covers(self, kind: str) -> bool:
        """Whether an arm that was tried with rows of this kind need not be tried again with those there are now."""
        made_too = self.published is None and kind.startswith("below")
        return not kind or kind == self.kind or (made_too and kind.endswith(self._sizes))

    def narrow(self, kind: str) -> None:
        """Use nothing wider than `kind`, with which an arm was measured."""
        known = [r for r in RANGES if f"below {r}{self._sizes}" == kind]
        self._range = min([self._range, *known])

    @property
    def _sizes(self) -> str:
        """What a unit of work is, where sizes are free."""
        sizes = [f"{size.name}={size.typical}" for size in self._family.sizes]
        return f" at {' '.join(sizes)}" if sizes else ""

    def work(self, units: int) -> Tensors:
        """Rows of one size that make so many units of work, the same ones every time; where no size is free, so many
        rows."""
        if not self._family.sizes:
            return self.first(units)
        count = max(1, min(self._family.max_batch, round(units / UNITS)))
        return self.sized(count, units / count)

    def sized(self, rows: int, units: float) -> Tensors:
        """So many rows of about so many units each, where sizes are free: cut, or repeated along what is free."""
        family = self._family.with_units(units)
        pool = self.first(rows)
        return {spec.name: resized(pool[spec.name], spec.shape[1:]) for spec in family.inputs}

    def first(self, rows: int) -> Tensors:
        """So many rows, repeated where there are not so many; the same ones every time. Of the typical sizes, where
        they are free and nobody published rows."""
        pool = self._pool(self._range)
        n = len(next(iter(pool.values())))
        return {
            name: np.ascontiguousarray(np.resize(array, (rows, *array.shape[1:])))
            if rows > n
            else array[:rows]
            for name, array in pool.items()
        }

    def fit(self, run: Callable[[Tensors], Tensors | None]) -> None:
        """Narrow the rows until `run`, which takes one row, takes each. Raises SampleError where it takes none.

        Rows of the publisher's that hold NaN and are answered with NaN are left out, while others are left: whatever
        runs them, answers are alike.
        """
        reason = ""
        for limit in (r for r in RANGES if r <= self._range):
            reason = self._refused(run, limit) or ""
            if not reason:
                self._range = limit
                return
            if self.published is not None:
                break
        raise SampleError(self._words(reason))

    def _refused(self, run: Callable[[Tensors], Tensors | None], limit: int) -> str | None:
        usable: list[bool] = []
        for index, row in enumerate(single(self._pool(limit))):
            try:
                outputs = run(row)
            except (BackendError, MemoryError) as error:
                return f"row {index}: {error or type(error).__name__}"
            usable.append(not (_holds_nan(row) and _holds_nan(outputs or {})))
        if self.published is not None and any(usable) and not all(usable):
            self.published = self._without(self.published, np.array(usable))
        return None

    def _without(self, published: Published, kept: NDArray[np.bool_]) -> Published:
        """Those of its rows; what tells it from others is the file, and stays."""
        text = "%s: %d rows of %s that hold NaN are left out: the model answers them with NaN"
        _log.warning(text, self._family.name, int((~kept).sum()), SAMPLES)
        rows = {name: array[kept] for name, array in published.inputs.items()}
        return Published(rows, int(kept.sum()), published.digest)

    def _pool(self, limit: int) -> Tensors:
        if self.published is not None:
            return self.published.inputs
        pool = self._pools.get(limit)
        if pool is None:
            rng = np.random.default_rng(_SEED)
            inputs = self._family.typical.inputs
            pool = {spec.name: made(rng, spec, self.n, limit) for spec in inputs}
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
        published = read_samples(path, family, most)
    except Exception as error:  # noqa: BLE001 - parsers of headers and archives raise anything
        text = "%s: %s is left out: %s; rows are made from the signature instead"
        _log.warning(text, family.name, path, words(error))
        return SampleRows(family, most=most)
    if lost := sum(map(_holds_nan, single(published.inputs))):
        text = "%s: %s holds NaN in %d of %d rows; those that the model answers with NaN tell nothing of it"
        _log.warning(text, family.name, path, lost, published.rows)
    return SampleRows(family, published, most)


def _holds_nan(tensors: Tensors) -> bool:
    return any(a.dtype.kind == "f" and bool(np.isnan(a).any()) for a in tensors.values())


def made(rng: np.random.Generator, spec: TensorSpec, rows: int, limit: int) -> NDArray[np.generic]:
    """Random rows: [0, 1) for floats, whole numbers below `limit`; all zeros where that is 1."""
    dtype, shape = spec.dtype, (rows, *spec.shape[1:])
    if dtype.kind == "f":
        if limit <= 1:
            return np.zeros(shape, dtype)
        return rng.random(shape, dtype=np.float32).astype(dtype, copy=False)
    bits = dtype.kind == "b" or is_mask(spec.name)
    top = min(limit, 2 if bits else 128 if dtype == np.int8 else 256)
    return rng.integers(0, top, shape, dtype=np.uint16).astype(dtype)


def single(rows: Tensors) -> Iterator[Tensors]:
    """Each row of a batch as a batch of one."""
    for index in range(len(next(iter(rows.values())))):
        yield {name: array[index : index + 1] for name, array in rows.items()}


def joined(rows: Sequence[Tensors]) -> Tensors:
    """Batches of one, one after the other."""
    return {name: np.concatenate([row[name] for row in rows]) for name in rows[0]}
