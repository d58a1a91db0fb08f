"""Rows that somebody gives with a model: an .npz file, a folder of pictures or a .jsonl file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from models.adding.rows.labels import LabelledRows, Labels, numbered, read_labels
from models.adding.rows.lines import read_lines
from models.adding.rows.pictures import read_pictures
from models.artifacts.samples import SAMPLES, write_samples
from models.build.errors import BuildError
from models.build.narrowing.calibration import (
    LABELS,
    Calibration,
    arrays_at,
    calibration_of,
)
from models.catalog import Family

ROWS_KEPT, ROWS_KEPT_BYTES = 64, 1 << 26
"""So many of the user's rows are kept as the family's own, and so many bytes."""
LINES = {".jsonl", ".ndjson"}


@dataclass(frozen=True, slots=True)
class GivenRows:
    """Where rows are, and what is said of them. `labels`: a file with one for each row; `normalise`: of pictures, ""
    for what is usual; `names`: the model's classes, in order, if known; `sizes`: asked for where sizes are free."""

    path: Path
    labels: Path | None = None
    normalise: str = ""
    names: tuple[str, ...] = ()
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])

    def read(self, family: Family) -> Calibration:
        """The rows, checked against the family's inputs. Raises BuildError."""
        rows = self._rows(family)
        arrays, labels, remarks = rows.inputs, rows.labels, rows.remarks
        if self.labels is not None:
            labels = rows.of_chosen(self._labels(rows))
        names: tuple[str, ...] = ()
        if labels is not None:
            arrays[LABELS], names, said = numbered(labels, self.names)
            remarks = (*remarks, *said)
        return calibration_of(self.path, arrays, family, names, remarks)

    def _labels(self, rows: LabelledRows) -> Labels:
        """The labels in the file, one for each row that there is. Raises BuildError."""
        if self.labels is None or rows.labels is not None or LABELS in rows.inputs:
            raise BuildError(
                f"{self.path} has labels of its own, and --labels gives others; leave one out"
            )
        labels = read_labels(self.labels)
        if len(labels) != rows.count:
            raise BuildError(
                f"{self.labels} has {len(labels)} labels, {self.path} {rows.count} rows; give one a row, in their order"
            )
        return labels

    def _rows(self, family: Family) -> LabelledRows:
        if self.path.is_dir():
            return read_pictures(self.path, family, self.normalise, self.sizes)
        if self.normalise:
            raise BuildError(f"--normalise is for pictures; {self.path} is no folder of them")
        if self.path.suffix.lower() in LINES:
            return read_lines(self.path, family)
        arrays = arrays_at(self.path)
        return LabelledRows(arrays, max((len(a) for a in arrays.values() if a.ndim), default=0))


def kept_rows(calibration: Calibration, folder: Path) -> Path:
    """A file in `folder` of some of the user's rows, for the family to be measured with. Raises OSError."""
    row_bytes = sum(a[:1].nbytes for a in calibration.fit.values())
    most = max(1, min(ROWS_KEPT, ROWS_KEPT_BYTES // max(1, row_bytes)))
    path = folder / SAMPLES
    write_samples(path, {name: a[:most] for name, a in calibration.fit.items()})
    return path
