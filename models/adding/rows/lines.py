"""Rows from lines of JSON: an object with a value for each input, or the one input's value alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from models.adding.filling import FILLS
from models.adding.rows.labels import LabelledRows, Labels
from models.build.errors import BuildError
from models.catalog import Family, TensorSpec
from surroundings.documents import text_at

LABEL = "label"
"""The key of a row's class, unless an input is called so."""

Array = NDArray[Any]


def read_lines(path: Path, family: Family) -> LabelledRows:
    """The rows, with their labels if all have one. Raises BuildError naming the line."""
    try:
        lines = text_at(path).split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise BuildError(f"{path} cannot be read: {error}; give one JSON object a line") from error
    rows = [
        _row(f"{path}, line {i}", line, family) for i, line in enumerate(lines, 1) if line.strip()
    ]
    if not rows:
        raise BuildError(f"{path} holds no rows; give one JSON object a line")
    labels = [row.pop(LABEL) for row in rows if _has_label(row, family)]
    if labels and len(labels) != len(rows):
        raise BuildError(
            f"{path}: {len(labels)} of {len(rows)} rows have a {LABEL!r}; give all one, or none"
        )
    arrays = {
        spec.name: _stacked(path, spec, [row[spec.name] for row in rows]) for spec in family.inputs
    }
    return LabelledRows(arrays, len(rows), cast("Labels", labels) or None)


def _row(where: str, line: str, family: Family) -> dict[str, Any]:
    """The inputs' values as arrays, and the label as it is."""
    try:
        found: object = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BuildError(f"{where}: {error}; give one JSON object a line") from error
    names = [spec.name for spec in family.inputs]
    if not isinstance(found, dict):
        if len(names) > 1:
            raise BuildError(f"{where}: give an object with a value for each of {', '.join(names)}")
        found = {names[0]: found}
    values = cast("dict[str, Any]", found)
    odd = sorted(values.keys() ^ set(names))
    if LABEL in values and LABEL not in names:
        odd.remove(LABEL)
        if isinstance(values[LABEL], bool) or not isinstance(values[LABEL], int | str):
            raise BuildError(f"{where}: {LABEL!r} must be a class number or name")
    if odd:
        wrong = "not wanted" if odd[0] in values else "missing"
        raise BuildError(f"{where}: {odd[0]!r} is {wrong}; the inputs are {', '.join(names)}")
    return {**values, **{s.name: _array(where, s, values[s.name]) for s in family.inputs}}


def _array(where: str, spec: TensorSpec, value: object) -> Array:
    """One row of an input. Raises BuildError where it is none."""
    try:
        array = _converted(np.asarray(value), spec)
    except (ValueError, OverflowError, FloatingPointError) as error:
        raise BuildError(
            f"{where}: input {spec.name!r} is no array of {spec.datatype}: {error}"
        ) from error
    if array is None:
        raise BuildError(f"{where}: input {spec.name!r} holds what is no {spec.datatype}")
    if not spec.fits(array.shape):
        raise BuildError(
            f"{where}: input {spec.name!r} is {list(array.shape)}, the model takes {list(spec.shape[1:])}"
        )
    return array


def _converted(given: Array, spec: TensorSpec) -> Array | None:
    """The values in the input's type; None where they are no such numbers. Raises FloatingPointError."""
    if given.dtype.kind not in ("biuf" if spec.is_float else "biu"):
        return None
    with np.errstate(over="raise"):
        array = given.astype(spec.dtype)
    return array if spec.is_float or np.array_equal(array, given) else None


def _has_label(row: Mapping[str, Any], family: Family) -> bool:
    return LABEL in row and LABEL not in {spec.name for spec in family.inputs}


def _stacked(path: Path, spec: TensorSpec, rows: Sequence[Array]) -> Array:
    """The rows of one input. Tokens are filled up to the longest as transformers' are; others must be of one size."""
    longest = tuple(map(max, zip(*(row.shape for row in rows), strict=True)))
    if any(row.shape != longest for row in rows):
        if spec.name.lower() not in FILLS:
            sizes = sorted({row.shape for row in rows})
            shown = f"{list(sizes[0])} and {list(sizes[-1])}"
            raise BuildError(
                f"{path}: rows of input {spec.name!r} are of unlike sizes ({shown}); give rows of one size"
            )
        fill = FILLS[spec.name.lower()]
        rows = [
            np.pad(
                row,
                [(0, n - k) for n, k in zip(longest, row.shape, strict=True)],
                constant_values=fill,
            )
            for row in rows
        ]
    return np.stack(rows)
