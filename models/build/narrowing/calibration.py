"""Rows of a family's own inputs, as from an .npz file: half to calibrate on, half held out to compare on."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from models.build.errors import BuildError
from models.catalog import Family

LABELS = "labels"
LEAST_ROWS = 40

_ARRAY = b"\x93NUMPY"
"""What a file of one array begins with."""

Inputs = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Calibration:
    """`fit` and `held_out` map input names to rows; `labels` are the held-out rows' class numbers, if known.

    `names`: of the classes, where the rows came with names; `remarks`: how the rows were made.
    """

    fit: Inputs
    held_out: Inputs
    labels: NDArray[np.int64] | None
    names: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """How many rows are held out."""
        return len(next(iter(self.held_out.values())))


def calibration_of(
    path: Path,
    arrays: Inputs,
    family: Family,
    names: tuple[str, ...] = (),
    remarks: tuple[str, ...] = (),
) -> Calibration:
    """Arrays read from `path`, checked against the family's inputs; every other row is held out. Raises BuildError."""
    labels = None if LABELS in {s.name for s in family.inputs} else arrays.pop(LABELS, None)
    wanted = {spec.name for spec in family.inputs}
    if arrays.keys() != wanted:
        raise BuildError(
            f"{path}: its arrays are {sorted(arrays)}, the family's inputs {sorted(wanted)}"
        )
    for spec in family.inputs:
        array = arrays[spec.name]
        if array.dtype != spec.dtype or not spec.fits(array.shape[1:]):
            raise BuildError(
                f"{path}: array {spec.name!r} is {array.dtype} {list(array.shape)}, the family wants "
                f"{spec.datatype} {list(spec.shape)}"
            )
    _check_rows(path, arrays | ({} if labels is None else {LABELS: labels}))
    _check_numbers(path, arrays)
    return Calibration(
        fit={name: np.ascontiguousarray(a[::2]) for name, a in arrays.items()},
        held_out={name: np.ascontiguousarray(a[1::2]) for name, a in arrays.items()},
        labels=None if labels is None else _class_numbers(path, labels)[1::2],
        names=names,
        remarks=remarks,
    )


def arrays_at(path: Path) -> Inputs:
    """The arrays of an .npz file by name. Raises BuildError."""
    try:
        with path.open("rb") as opened:
            if not zipfile.is_zipfile(opened):
                raise BuildError(_no_archive(path, opened))
            opened.seek(0)
            with np.load(opened, allow_pickle=False) as file:
                return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, TypeError, zipfile.BadZipFile) as error:
        raise BuildError(
            f"{path} cannot be read as .npz: {error}; write it with numpy.savez"
        ) from error


def _no_archive(path: Path, opened: BinaryIO) -> str:
    opened.seek(0)
    if opened.read(len(_ARRAY)) == _ARRAY:
        return (
            f"{path} is one array without a name (.npy); write it with numpy.savez, "
            "each array under the name of its input"
        )
    return (
        f"{path} cannot be read as .npz: it is no archive of arrays; write it with numpy.savez, "
        "each array under the name of its input"
    )


def _check_rows(path: Path, arrays: Inputs) -> None:
    counts = {name: len(a) if a.ndim else 0 for name, a in arrays.items()}
    if len(set(counts.values())) != 1:
        raise BuildError(f"{path}: its arrays have unlike numbers of rows: {counts}")
    if min(counts.values()) < LEAST_ROWS:
        raise BuildError(
            f"{path}: {min(counts.values())} rows are too few; give {LEAST_ROWS} or more"
        )


def _check_numbers(path: Path, arrays: Inputs) -> None:
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            continue
        lost = int(np.isnan(array.reshape(len(array), -1)).any(axis=1).sum())
        if lost:
            raise BuildError(
                f"{path}: array {name!r} holds NaN in {lost} of {len(array)} rows; leave those rows out"
            )


def _class_numbers(path: Path, labels: NDArray[Any]) -> NDArray[np.int64]:
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise BuildError(
            f"{path}: array {LABELS!r} is {labels.dtype} {list(labels.shape)}; give one class number a row"
        )
    return labels.astype(np.int64)
