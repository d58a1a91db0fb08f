"""A graph tried before anybody relies on it: what its outputs look like, whether rows are apart, how long one takes."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, cast

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from models.adding.graph import Input, ReadGraph
from models.backends.base import words
from models.build.errors import BuildError
from models.catalog import TensorSpec
from models.datatypes import BY_DTYPE, DATATYPES

ROWS_TRIED = 3
"""Run together, and each alone."""
TOLERANCE = 1e-3
"""Relative to the largest value of an output: rows further apart than that hang on each other."""
TIMED, TIMED_S = 25, 2.0
"""So many runs of one row are timed, or as many as fit in so long (s)."""

_ONLY_FATAL = 4
"""Of the runtime's own lines: what it objects to is raised, and told in a sentence."""

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Tried:
    """What trying showed: the outputs' signature, the median time (s) of one row on one thread."""

    outputs: tuple[TensorSpec, ...]
    row_s: float


class Trial:
    """A session of the graph as it will be served; `remarks`: what is odd about it, and what follows.

    Raises BuildError where the runtime does not take it.
    """

    def __init__(self, graph: ReadGraph, served: str) -> None:
        self._graph = graph
        self.remarks: list[str] = []
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = _ONLY_FATAL
        try:
            self._session = ort.InferenceSession(
                served, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors share no base
            raise BuildError(
                f"{graph.path} cannot be loaded by ONNX Runtime: {words(error)}"
            ) from error

    def run(self, rows: Arrays) -> dict[str, NDArray[Any]]:
        """The outputs that are served. Raises BuildError."""
        names = list(self._graph.outputs)
        try:
            answers = cast("list[NDArray[Any]]", self._session.run(names, dict(rows)))
            return dict(zip(names, answers, strict=True))
        except Exception as error:  # its errors share no base
            count = len(next(iter(rows.values())))
            raise BuildError(
                f"{self._graph.path} does not run on {count} rows{self._freed()}: {words(error)}"
            ) from error

    def tried(self, rows: Arrays) -> Tried:
        """Run `rows` (ROWS_TRIED of them) together and one by one. Raises BuildError where they cannot be batched."""
        together = self.run(rows)
        alone = [self.run(row) for row in one_by_one(rows)]
        for name, answer in together.items():
            self._check_rows(name, answer, [one[name] for one in alone])
        outputs = tuple(
            TensorSpec(name, BY_DTYPE[answer.dtype.name].name, (-1, *answer.shape[1:]))
            for name, answer in together.items()
        )
        return Tried(outputs, self._row_s(one_by_one(rows)[0]))

    def _check_rows(self, name: str, together: NDArray[Any], alone: Sequence[NDArray[Any]]) -> None:
        path = self._graph.path
        shapes = {together.shape[1:], *(one.shape[1:] for one in alone)}
        if together.ndim == 0 or len(shapes) > 1 or {len(one) for one in alone} != {1}:
            raise BuildError(
                f"{path}: output {name!r} has {list(together.shape)} values for {len(alone)} rows, "
                f"{list(alone[0].shape)} for the first alone; only outputs with a row for each row are served"
            )
        if len(together) == len(alone) and _alike(together, np.concatenate(list(alone))):
            return
        if self._graph.freed or len(together) != len(alone):
            raise BuildError(
                f"{path}: output {name!r} of a row is another where it runs with others{self._freed()}"
            )
        self.remarks.append(
            f"output {name!r} of a row is another where it runs with others: rows are served one by one"
        )

    def _freed(self) -> str:
        """What to do where it was exported for one row at a time; empty where it was not."""
        return "; export it with a dynamic first axis, not for one row" * self._graph.freed

    def _row_s(self, row: Arrays) -> float:
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


def made_up(inputs: Sequence[Input], rows: int) -> dict[str, NDArray[Any]]:
    """Rows to try a graph with where nobody gave any: noise; whole numbers are 0 and 1, which any vocabulary has."""
    rng = np.random.default_rng(0)
    found: dict[str, NDArray[Any]] = {}
    for one in inputs:
        dtype, shape = DATATYPES[one.datatype].dtype, (rows, *one.dims)
        values = rng.normal(size=shape) if dtype.kind == "f" else rng.integers(0, 2, size=shape)
        found[one.name] = values.astype(dtype)
    return found


def _alike(a: NDArray[Any], b: NDArray[Any]) -> bool:
    if a.dtype.kind != "f":
        return bool(np.array_equal(a, b))
    most = float(np.max(np.abs(b), initial=0.0, where=np.isfinite(b)))
    return bool(np.allclose(a, b, rtol=0.0, atol=TOLERANCE * most, equal_nan=True))
