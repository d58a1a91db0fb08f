"""Whether an arm's answers are the model's: beside the reference runtime, row by row, and a row beside its neighbours.

Done once, before an arm is measured: what is found is kept in its profile. The reference is ONNX Runtime on the CPU,
without which no `.onnx` file is served; where it is the arm itself, or there is none (`.pt2`), rows are still tried
beside each other.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from math import inf
from pathlib import Path
from time import perf_counter

import numpy as np

from models.backends import Way, is_usable, open_backend, reference_way
from models.backends.base import Backend, BackendError, Refused, Tensors, words
from models.backends.rows.hazards import Hazards, hazards_of
from models.catalog import Family, Variant
from models.padding import cropped, looked_at, padded
from models.tolerances import Difference, compared
from profiler.measuring.extremes import extreme_rows, is_edge
from profiler.measuring.rows import SampleRows, joined, single
from profiler.measuring.rulings import rules
from profiler.profiles import Vetted

_log = logging.getLogger(__name__)

SIZES = (2, 3, 4, 7, 8, 16)
"""Batches in which a row is tried beside others, and the family's largest."""
ROUNDS = 4
"""So often, each time with other rows beside each other."""
OTHER_UNITS = (1.3, 7.0)
"""Where sizes are free, rows of so many units of work are tried, too; alone."""
PADDED_UNITS = ((1e-9, 4.0), (0.3, 4.0), (1.0, 4.0), (2.7, 3.0), (4.0, 11.0))
PADDED_ROWS = 8
"""Where unlike rows may be padded, rows of so much work are, to so much; the first are as short as can be."""
OWED_SIZES = 2
OWED_ROWS = 6
"""So many of each whatever the time, the rest while it takes no longer than ENOUGH_S."""
ENOUGH_S = 0.1


@dataclass(frozen=True, slots=True)
class _Tried:
    """One row, and the outputs for it, or why it has none."""

    row: Tensors
    outputs: Tensors | None
    refused: str = ""


class Conformance:
    """One family's. Keeps the reference's answers of the last variant: its other arms are tried on the same rows."""

    def __init__(
        self,
        folder: Path,
        family: Family,
        rows: SampleRows,
        clock: Callable[[], float] = perf_counter,
    ) -> None:
        self.rows = rows
        self._folder = folder
        self._family = family
        self._clock = clock
        self._of: tuple[Variant, Way] | None = None
        self._tried: list[_Tried] = []
        self._hazards = Hazards()

    def vet(self, backend: Backend, variant: Variant, way: Way) -> Vetted:
        """What is found of this arm; takes some dozens of its runs. Any thread, one at a time.

        Raises Refused, SampleError where no row runs, or BackendError where nothing vouches for its answers.
        """
        vouching = reference_way(variant)
        if vouching is None:
            return Vetted(by=rules())
        here = is_usable(vouching.backend)
        if way == vouching or not here:
            if not here:
                text = "%s: nothing to compare the answers of %s on %s with: %s cannot be used here"
                _log.warning(text, self._family.name, variant.name, way.backend, vouching.backend)
            found = self._expected(variant, way, backend)
            return Vetted(self.rows.kind, self._together(backend, variant, found), by=rules())
        expected = self._expected(variant, vouching, None)
        found = [self._try(backend, one.row) for one in expected]
        worst = self._apart(variant, expected, found)
        together = self._together(backend, variant, found)
        return Vetted(self.rows.kind, together, worst.value, rules())

    def forget(self) -> None:
        """Let go of the answers that are kept: rows may be large."""
        self._of, self._tried = None, []

    def _expected(self, variant: Variant, way: Way, reference: Backend | None) -> list[_Tried]:
        """The answers of the variant run this way, which is opened where it is not given."""
        of = (variant, way)
        if self._of != of:
            path = self._folder / variant.artifact
            self._hazards = hazards_of(path, self._family) if path.suffix == ".onnx" else Hazards()
            if self._hazards.fatal:
                raise Refused(self._hazards.fatal)
            opened = reference or self._open(variant)
            try:
                self._tried, self._of = self._answers(opened), of
            finally:
                if opened is not reference:
                    opened.close()
        return self._tried

    def _open(self, variant: Variant) -> Backend:
        way = reference_way(variant)
        try:
            return open_backend(self._folder, self._family, variant, threads=1, way=way)
        except BackendError as error:
            raise BackendError(
                f"nothing vouches for its answers: the reference cannot run it ({error})"
            ) from error

    def _answers(self, reference: Backend) -> list[_Tried]:
        """Raises SampleError where no sample runs, BackendError where an answer has not the signature's shape."""
        self.rows.fit(reference.run)
        begun_s, tried = self._clock(), list[_Tried]()
        for row in self._rows_in_turn():
            if len(tried) >= OWED_ROWS and self._clock() - begun_s > ENOUGH_S:
                break
            if len(tried) >= self.rows.most:  # no more fit into memory
                break
            one = self._try(reference, row)
            if (wrong := self._misshapen(one.outputs, 1)) is not None:
                raise BackendError(
                    f"for one row alone {wrong}: what it gives depends on what is in the row; "
                    "families serve graphs whose outputs have one row for each row of the inputs"
                )
            tried.append(one)
        return tried

    def _rows_in_turn(self) -> Iterator[Tensors]:
        """The most telling first: not all are tried where one takes long. Only samples where others may never end."""
        typical = self._family.typical
        extreme = extreme_rows(typical)
        samples = list(single(self.rows.first(self.rows.n)))
        if self._hazards.endless:
            yield from samples
            return
        yield samples[0]
        yield from islice(extreme, 2)
        if typical is not self._family:
            yield from (self.rows.sized(1, units) for units in OTHER_UNITS)
        yield {s.name: np.zeros((1, *s.shape[1:]), s.dtype) for s in typical.inputs}
        yield from samples[1:3]
        yield from extreme
        yield from samples[3:]

    def _try(self, backend: Backend, row: Tensors) -> _Tried:
        try:
            return _Tried(row, backend.run(row))
        except (BackendError, MemoryError) as error:
            return _Tried(row, None, words(error))

    def _apart(
        self, variant: Variant, expected: Sequence[_Tried], found: Sequence[_Tried]
    ) -> Difference:
        """The largest difference. Raises Refused where that is more than what is agreement."""
        for e, f in zip(expected, found, strict=True):
            if e.outputs is None and f.outputs is not None:
                raise Refused(f"it answers a row that the reference refuses ({e.refused})", inf)
            if e.outputs is not None and f.outputs is None:
                raise Refused(f"it fails on a row that the reference answers: {f.refused}", inf)
        pairs = [
            (e.outputs, f.outputs)
            for e, f in zip(expected, found, strict=True)
            if e.outputs is not None
            and f.outputs is not None
            and not (is_edge(e.row) and _overflow_apart(e.outputs, f.outputs))
        ]
        worst = self._largest(pairs, variant.precision)
        if not worst.agrees:
            raise Refused(
                f"its answers are not the reference's: the largest difference is {worst.value:.3g} "
                f"({worst.allowed:g} is allowed), {worst.where}",
                worst.value,
            )
        return worst

    def _together(self, backend: Backend, variant: Variant, alone: Sequence[_Tried]) -> str:
        """Why rows must run one by one; nothing where each has the same answer beside others."""
        if self._hazards.hangs:
            return f"rows are run one by one: {self._hazards.hangs}"
        if reason := self._padding(backend, variant):
            return f"requests are run one by one: {reason}"
        answered = _of_one_size([one for one in alone if one.outputs is not None])
        begun_s, most = self._clock(), self._family.max_batch
        sizes = list(dict.fromkeys(size for size in (SIZES[0], most, *SIZES) if 1 < size <= most))
        for turn, size in enumerate(sizes * ROUNDS):
            if turn >= OWED_SIZES and self._clock() - begun_s > ENOUGH_S:
                return ""
            batch = [answered[(turn * size + i) % len(answered)] for i in range(size)]
            if reason := self._mixed(backend, variant, batch):
                return f"rows are run one by one: in a batch of {size} {reason}"
        return ""

    def _padding(self, backend: Backend, variant: Variant) -> str:
        """Why rows must not be padded to another size; nothing where that changes no answer, or is not done."""
        family = self._family
        for units, more in PADDED_UNITS if family.pads else ():
            rows, larger = looked_at(self.rows.sized(PADDED_ROWS, units)), self.rows.sized(1, more)
            sizes = [_sizes_of(family, some) for some in (rows, larger)]
            own, filled = (
                self._try(backend, rows),
                self._try(backend, padded(rows, family, sizes[1])),
            )
            if own.outputs is None or filled.outputs is None:
                return f"a padded row fails ({own.refused or filled.refused})"
            cut = {s.name: cropped(filled.outputs[s.name], s, sizes[0]) for s in family.outputs}
            worst = self._largest([(own.outputs, cut)], variant.precision)
            if not worst.agrees:
                return f"padding changes a row's answer, {worst.where}"
        return ""

    def _mixed(self, backend: Backend, variant: Variant, batch: Sequence[_Tried]) -> str:
        outputs = self._try(backend, joined([one.row for one in batch]))
        if outputs.outputs is None:
            return f"it fails ({outputs.refused})"
        if (wrong := self._misshapen(outputs.outputs, len(batch))) is not None:
            return wrong
        together = single(outputs.outputs)
        pairs = [
            (a.outputs, b)
            for a, b in zip(batch, together, strict=True)
            if a.outputs is not None and not (is_edge(a.row) and _overflow_apart(a.outputs, b))
        ]
        worst = self._largest(pairs, variant.precision)
        return "" if worst.agrees else f"a row's answer depends on its neighbours, {worst.where}"

    def _largest(self, pairs: Sequence[tuple[Tensors, Tensors]], precision: str) -> Difference:
        """The output that is furthest from what it may be."""
        found = [
            compared(
                s.name, [e[s.name] for e, _ in pairs], [f[s.name] for _, f in pairs], precision
            )
            for s in self._family.outputs
        ]
        return max(found, key=lambda d: (not d.agrees, d.value))

    def _misshapen(self, outputs: Tensors | None, rows: int) -> str | None:
        """Which output is not as the signature says, for so many rows."""
        if outputs is None:
            return None
        for spec in self._family.outputs:
            array, wanted = outputs[spec.name], (rows, *spec.shape[1:])
            if not self._family.answers(spec, array.shape, rows) or array.dtype != spec.dtype:
                return (
                    f"output {spec.name!r} is {array.dtype} {list(array.shape)} instead of "
                    f"{spec.datatype} {list(wanted)}"
                )
        return None


def _sizes_of(family: Family, row: Tensors) -> dict[str, int]:
    """The free sizes of a row."""
    return {
        name: size
        for spec in family.inputs
        for name, size in spec.sizes_of(row[spec.name].shape[1:]).items()
    }


def _of_one_size(tried: Sequence[_Tried]) -> Sequence[_Tried]:
    """Those whose rows are as large as the first's: others never share a batch with it."""
    shapes = [{name: array.shape for name, array in one.row.items()} for one in tried]
    return [one for one, shape in zip(tried, shapes, strict=True) if shape == shapes[0]]


def _overflow_apart(expected: Tensors, found: Tensors) -> bool:
    """Whether one has numbers where the other has overflowed."""
    return any(
        array.shape == found[name].shape
        and bool((np.isfinite(array) != np.isfinite(found[name])).any())
        for name, array in expected.items()
        if array.dtype.kind == "f" and found[name].dtype.kind == "f"
    )
