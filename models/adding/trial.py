"""A model tried before anybody relies on it: what its outputs look like, whether rows are apart, how long one takes."""

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.adding.reading import MOST_BATCH, Arrays, Runner, Signature
from models.backends.base import words
from models.build.errors import BuildError
from models.catalog import TensorSpec
from models.datatypes import BY_DTYPE

ROWS_TRIED = 3
"""Run together, and each alone."""
TOLERANCE = 1e-3
"""Relative to the largest value of an output: rows further apart than that hang on each other."""
TIMED, TIMED_S = 25, 2.0
"""So many runs of one row are timed, or as many as fit in so long (s)."""

OutputSizes = Mapping[str, tuple[tuple[int, ...], tuple[str, ...]]]
"""Output -> its dimensions behind the rows, -1 where they are free, and the names of those."""


class NotByRow(BuildError):
    """Its outputs have no row for each row, or not the row's own: it can be given one row a run, and no more."""


class Trial:
    """A model run on rows to see what it does; `remarks`: what is odd about it, and what follows."""

    def __init__(self, signature: Signature, runner: Runner) -> None:
        self._model = signature
        self._runner = runner
        self.remarks: list[str] = []

    @property
    def most_rows(self) -> int:
        """So many run at once."""
        return 1 if self._model.one_row else min(MOST_BATCH, self._model.most_rows)

    def run(self, rows: Arrays) -> dict[str, NDArray[Any]]:
        """The outputs that are served. Raises BuildError."""
        try:
            return self._runner.run(rows)
        except Exception as error:  # runtimes' errors share no base
            count = len(next(iter(rows.values())))
            raise BuildError(
                f"{self._model.path} does not run on {count} rows{self._freed()}: {words(error)}"
            ) from error

    def tried(self, rows: Arrays, dims: OutputSizes) -> tuple[tuple[TensorSpec, ...], float]:
        """(the outputs' signature, the median time (s) of one row on one thread). `dims`: what is behind their rows.

        `rows` (ROWS_TRIED of them) are run together and one by one. Raises NotByRow where they cannot be batched, or
        BuildError.
        """
        alone = [self.run(row) for row in one_by_one(rows)]
        if self._model.one_row:
            dims = {name: self._stated(name, array) for name, array in alone[0].items()}
        else:
            self._try_together(rows, alone)
        outputs = tuple(
            TensorSpec(name, BY_DTYPE[array.dtype.name].name, (-1, *dims[name][0]), dims[name][1])
            for name, array in alone[0].items()
        )
        self._try_again(one_by_one(rows)[0], alone[0])
        return outputs, self.row_s(one_by_one(rows)[0])

    def _try_again(self, row: Arrays, before: Arrays) -> None:
        """Say so where the same row has other answers the next time."""
        again = self.run(row)
        if odd := [
            n for n, a in before.items() if a.shape != again[n].shape or not _alike(a, again[n])
        ]:
            self.remarks.append(
                f"output {odd[0]!r} of the same row is another each time: it draws random numbers, or remembers rows"
            )

    def _try_together(self, rows: Arrays, alone: Sequence[Arrays]) -> None:
        try:
            together = self.run(rows)
        except BuildError as error:
            raise NotByRow(str(error)) from error
        for name, answer in together.items():
            self._check_rows(name, answer, [one[name] for one in alone])

    def _stated(self, name: str, array: NDArray[Any]) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """An output's dimensions behind the first as far as the model states them: others follow from the row."""
        if array.ndim == 0:
            raise BuildError(
                f"{self._model.path}: output {name!r} is a single value without an axis, which is not served"
            )
        shape = self._runner.stated(name)
        stated = shape if len(shape) == array.ndim else [None] * array.ndim
        dims = tuple(d if isinstance(d, int) and d > 0 else -1 for d in stated[1:])
        return dims, ("",) * dims.count(-1)

    def _check_rows(self, name: str, together: NDArray[Any], alone: Sequence[NDArray[Any]]) -> None:
        path = self._model.path
        shapes = {together.shape[1:], *(one.shape[1:] for one in alone)}
        if together.ndim == 0 or len(shapes) > 1 or {len(one) for one in alone} != {1}:
            raise NotByRow(
                f"{path}: output {name!r} has {list(together.shape)} values for {len(alone)} rows, "
                f"{list(alone[0].shape)} for the first alone"
            )
        if len(together) == len(alone) and _alike(together, np.concatenate(list(alone))):
            return
        if self._model.freed or len(together) != len(alone):
            raise NotByRow(
                f"{path}: output {name!r} of a row is another where it runs with others{self._freed()}"
            )
        self.remarks.append(
            f"output {name!r} of a row is another where it runs with others: rows are served one by one"
        )

    def _freed(self) -> str:
        """What to do where it was exported for one row at a time; empty where it was not."""
        return "; export it with a dynamic first axis, not for one row" * self._model.freed

    def row_s(self, row: Arrays) -> float:
        """The median time (s) of this row on one thread."""
        self.run(row)
        taken: list[float] = []
        while len(taken) < TIMED and sum(taken) < TIMED_S:
            begun_s = time.perf_counter()
            self.run(row)
            taken.append(time.perf_counter() - begun_s)
        return median(taken)


def one_by_one(rows: Arrays) -> list[Arrays]:
    """Each row as a batch of its own."""
    count = len(next(iter(rows.values())))
    return [{name: array[i : i + 1] for name, array in rows.items()} for i in range(count)]


def _alike(a: NDArray[Any], b: NDArray[Any]) -> bool:
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    most = float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b)))
    return bool(np.allclose(a, b, rtol=0.0, atol=TOLERANCE * most, equal_nan=True))
