"""An operator's own family in further precisions: made from its fp32 variants, compared on held-out rows, published."""

import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from models.artifacts import load_family, replace_variants
from models.backends import Way, open_backend
from models.backends.base import BackendError
from models.build import narrow
from models.build.calibration import Calibration
from models.build.errors import BuildError
from models.build.quantize import quantize_graph
from models.build.recipe import WORKING
from models.catalog import Accuracy, Family, Variant

PRECISIONS = (*narrow.PRECISIONS, "int8")

_Z = 1.96  # two-sided 95 %
_FEW_CHANNELS = (
    4  # a first convolution over so few suits no int8 kernel, and costs the most accuracy
)
_BATCH = 8

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What to make of the family in `root / name`."""

    root: Path
    name: str
    precisions: Sequence[str]


def add_precisions(job: Job, calibration: Calibration, report: Report) -> Family:
    """Publish the family with every fp32 ONNX variant in each precision asked for, replacing those of the same name.

    A candidate's copies are candidates, of the same origin. Raises BuildError, ArtifactError or OSError; then nothing
    was published.
    """
    folder = job.root / job.name
    family = load_family(folder)
    files: dict[str, Path] = {}
    with tempfile.TemporaryDirectory(prefix=WORKING, dir=job.root) as work:
        made: list[Variant] = []
        for full in sources(family):
            expected = _answers(folder, family, full, calibration)
            for precision in job.precisions:
                variant = replace(full, name=_named(full, precision), precision=precision)
                report(variant.name)
                path = Path(work) / f"{variant.name}.onnx"
                _save(_made(folder / full.artifact, precision, calibration), path, variant.name)
                found = _answers(
                    Path(work), family, replace(variant, artifact=path.name), calibration
                )
                known = compared(full.accuracy, expected, found, calibration)
                made.append(replace(variant, accuracy=known))
                files[variant.name] = path
        return replace_variants(job.root, job.name, made, files)


def sources(family: Family) -> list[Variant]:
    """The variants to start from. Raises BuildError where there is none."""
    found = [v for v in family.variants if v.precision == "fp32" and v.artifact.endswith(".onnx")]
    if not found:
        raise BuildError(f"family {family.name} has no fp32 variant in ONNX; publish one first")
    return found


def _named(full: Variant, precision: str) -> str:
    return f"{full.name.removesuffix('-fp32')}-{precision}"


def _made(path: Path, precision: str, calibration: Calibration) -> onnx.ModelProto:
    model = onnx.load(path)
    if precision != "int8":
        return narrow.narrow(model, precision)
    try:
        return quantize_graph(model, calibration.fit, _kept_float(model))
    except Exception as error:  # the quantiser raises whatever the operator it met led to
        raise BuildError(f"{path} cannot be quantised to int8: {_line(error)}") from error


def _kept_float(model: onnx.ModelProto) -> list[str]:
    """The first convolution, where it sees few channels."""
    shapes = {t.name: t.dims for t in model.graph.initializer}
    first = next((n for n in model.graph.node if n.op_type == "Conv"), None)
    if first is None or first.input[1] not in shapes:
        return []
    return [first.name] if shapes[first.input[1]][1] <= _FEW_CHANNELS and first.name else []


def _save(model: onnx.ModelProto, path: Path, name: str) -> None:
    try:
        onnx.save(model, path)
    except ValueError as error:
        raise BuildError(f"{name} cannot be written: {_line(error)}") from error


def _answers(folder: Path, family: Family, variant: Variant, rows: Calibration) -> NDArray[Any]:
    """The variant's first output for every held-out row."""
    output = family.outputs[0].name
    try:
        backend = open_backend(folder, family, variant, threads=1, way=Way("onnxruntime"))
        batches = [
            {name: a[i : i + _BATCH] for name, a in rows.held_out.items()}
            for i in range(0, rows.n, _BATCH)
        ]
        return np.concatenate([backend.run(batch)[output] for batch in batches])
    except BackendError as error:
        raise BuildError(_line(error)) from error


def compared(
    full: Accuracy, expected: NDArray[Any], found: NDArray[Any], rows: Calibration
) -> Accuracy:
    """The accuracy of the variant that gave `found` where fp32 gave `expected`, and how it is known.

    Never above fp32's. With labels: fp32's less the loss measured, with its 95 % interval. Without: an estimate, as if
    every answer that differs (scores, [n, classes]), or the relative error (other outputs), were lost.
    """
    if expected.ndim != 2 or expected.shape[1] < 2:
        scale = float(np.linalg.norm(expected)) or 1.0
        error = float(np.linalg.norm(found.astype(np.float64) - expected)) / scale
        source = f"estimate: fp32's ({full.source}) less its relative error of {error:.2g} on {rows.n} held-out rows"
        return Accuracy(full.value * max(0.0, 1 - error), source, rows.n)
    mine, theirs = found.argmax(axis=1), expected.argmax(axis=1)
    agreement = float((mine == theirs).mean())
    if rows.labels is None:
        source = f"estimate: fp32's ({full.source}) times its agreement, {agreement:.1%} of {rows.n} held-out rows"
        return Accuracy(full.value * agreement, source, rows.n)
    lost = (theirs == rows.labels).astype(float) - (mine == rows.labels)
    value = min(full.value, max(0.0, full.value - float(lost.mean())))
    right, full_right = (mine == rows.labels).mean(), (theirs == rows.labels).mean()
    source = (
        f"fp32's ({full.source}) less the loss on {rows.n} labelled held-out rows: "
        f"{right:.1%} right, fp32 {full_right:.1%}; same class {agreement:.1%}"
    )
    return Accuracy(
        value, source, rows.n, min(1.0, _Z * float(lost.std(ddof=1)) / math.sqrt(rows.n))
    )


def _line(error: Exception) -> str:
    """The error on one line."""
    return " ".join(str(error).split()) or type(error).__name__
