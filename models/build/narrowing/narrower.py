"""An operator's own family in further precisions: made from its fp32 variants, compared on held-out rows, published."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import DecodeError, EncodeError
from numpy.typing import NDArray

from models.artifacts import foreign_variants, load_family, odd_precision, replace_variants
from models.artifacts.samples import SAMPLES, read_samples
from models.backends import Way, open_backend
from models.backends.base import BackendError
from models.build.errors import BuildError
from models.build.narrowing.calibration import Calibration, Inputs
from models.build.narrowing.comparing import Answers, Judgement, Outputs, judged, unusable
from models.build.narrowing.precisions import in_precision, line
from models.catalog import Family, Variant

_FEW_CHANNELS = (
    4  # a first convolution over so few suits no int8 kernel, and costs the most accuracy
)
_BATCH = 8

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Job:
    """What to make of the family in `root / name`; `work` is an empty folder for it.

    `report` is told what begins, `warn` what is left out and what is doubtful.
    """

    root: Path
    name: str
    precisions: Sequence[str]
    work: Path
    report: Report
    warn: Report

    @property
    def folder(self) -> Path:
        """The family's."""
        return self.root / self.name


def add_precisions(job: Job, calibration: Calibration) -> Family:
    """Publish the family with every fp32 ONNX variant in each precision asked for, replacing its own earlier copies.

    A candidate's copies are candidates, of the same origin. A precision that a variant cannot be had in, or whose name
    a variant has that Gearshift did not write, is left out and said. Raises BuildError where that leaves none,
    ArtifactError or OSError; then nothing was published.
    """
    foreign = foreign_variants(job.root, job.name)
    family = load_family(job.folder)
    bench = _Bench(job, family, calibration, foreign, _samples(job, family))
    for full in sources(bench.family):
        bench.copy(full)
    if not bench.variants:
        raise BuildError(f"nothing was published: {'; '.join(bench.left_out)}")
    for text in bench.left_out:
        job.warn(text)
    return replace_variants(job.root, job.name, bench.variants, bench.files, only_own=True)


@dataclass(slots=True)
class _Bench:
    """What is being made, and what has been."""

    job: Job
    family: Family
    calibration: Calibration
    foreign: set[str]
    samples: Inputs
    variants: list[Variant] = field(default_factory=list[Variant])
    files: dict[str, Path] = field(default_factory=dict[str, Path])
    left_out: list[str] = field(default_factory=list[str])

    def copy(self, full: Variant) -> None:
        """Make every precision of it that can be had."""
        try:
            expected = _answers(self.job.folder, self.family, full, self.calibration.held_out)
        except BuildError as error:
            self._leave_out(f"{full.name} is passed over: {error}")
            return
        sampled = self._sampled(full)
        for precision in self.job.precisions:
            name = f"{full.name.removesuffix('-fp32')}-{precision}"
            self.job.report(name)
            try:
                self._make(replace(full, name=name, precision=precision), full, expected, sampled)
            except BuildError as error:
                self._leave_out(f"{name} is left out: {error}")

    def _sampled(self, full: Variant) -> Outputs | None:
        """fp32's answers to the family's samples; None where there are none or it has none to them."""
        if not self.samples:
            return None
        try:
            return _answers(self.job.folder, self.family, full, self.samples)
        except BuildError as error:
            self.job.warn(f"{full.name} does not answer the rows of {SAMPLES}: {error}")
            return None

    def _make(
        self, variant: Variant, full: Variant, expected: Outputs, sampled: Outputs | None
    ) -> None:
        self._check_name(variant)
        path = self.job.work / f"{variant.name}.onnx"
        model = _read(self.job.folder / full.artifact)
        made = in_precision(model, variant.precision, self.calibration.fit, _kept_float(model))
        _save(made, path)
        placed = replace(variant, artifact=path.name, sha256="", data=())
        judgement = self._judged(placed, full, expected, sampled)
        for doubt in judgement.doubts:
            self.job.warn(f"{variant.name} is doubtful: {doubt}")
        if judgement.doubts and not full.candidate:
            self.job.warn(
                f"{variant.name} is published as a candidate: it has to earn its place before it answers anybody"
            )
        doubtful = full.candidate or bool(judgement.doubts)
        self.variants.append(replace(placed, accuracy=judgement.accuracy, candidate=doubtful))
        self.files[variant.name] = path

    def _judged(
        self, placed: Variant, full: Variant, expected: Outputs, sampled: Outputs | None
    ) -> Judgement:
        """Of the copy in the work folder. Raises BuildError where its answers are none."""
        classes = len(self.family.labels)
        found = _answers(self.job.work, self.family, placed, self.calibration.held_out)
        answers = Answers(expected, found, self.calibration.labels, classes)
        if why := unusable(answers):
            raise BuildError(why)
        samples = None
        if sampled is not None:
            found = _answers(self.job.work, self.family, placed, self.samples)
            samples = Answers(sampled, found, classes=classes)
        return judged(full.accuracy, answers, samples)

    def _check_name(self, variant: Variant) -> None:
        """Raises BuildError where somebody else has the name."""
        there = self.family.variant(variant.name)
        if variant.name in self.files or (there and there.precision != variant.precision):
            raise BuildError("another variant has that name; rename one of them")
        if there and there.name in self.foreign:
            raise BuildError(
                f"the variant of that name is yours: Gearshift did not write {there.artifact}; "
                "rename it to have both, or take its table out of family.toml"
            )

    def _leave_out(self, text: str) -> None:
        self.left_out.append(text)


def sources(family: Family) -> list[Variant]:
    """The variants to start from. Raises BuildError where there is none."""
    found = [v for v in family.variants if v.precision == "fp32" and v.artifact.endswith(".onnx")]
    if not found:
        there = "".join(f"; {odd}" for odd in map(odd_precision, family.variants) if odd)
        raise BuildError(
            f"family {family.name} has no fp32 variant in ONNX{there or '; publish one first'}"
        )
    return found


def _read(path: Path) -> onnx.ModelProto:
    try:
        return onnx.load(path)
    except (DecodeError, ValueError, onnx.checker.ValidationError) as error:
        raise BuildError(f"{path} cannot be read: {line(error)}") from error


def _kept_float(model: onnx.ModelProto) -> list[str]:
    """The first convolution, where it sees few channels."""
    shapes = {t.name: t.dims for t in model.graph.initializer}
    first = next((n for n in model.graph.node if n.op_type == "Conv"), None)
    if first is None or first.input[1] not in shapes:
        return []
    return [first.name] if shapes[first.input[1]][1] <= _FEW_CHANNELS and first.name else []


def _save(model: onnx.ModelProto, path: Path) -> None:
    """In one file, which takes 2 GiB: larger networks are not narrowed."""
    try:
        onnx.save(model, path)
    except (ValueError, EncodeError) as error:
        raise BuildError(f"it cannot be written: {line(error)}") from error


def _samples(job: Job, family: Family) -> Inputs:
    """The family's own rows, none where there are none; a file that cannot be used is said and left out."""
    path = job.folder / SAMPLES
    if not path.exists():
        return {}
    try:
        return read_samples(path, family).inputs
    except Exception as error:  # noqa: BLE001 - parsers of headers and archives raise anything
        job.warn(f"{path} is left out, copies are not compared on it: {line(error)}")
        return {}


def _answers(folder: Path, family: Family, variant: Variant, rows: Inputs) -> Outputs:
    """The variant's outputs for every row."""
    n = len(next(iter(rows.values())))
    batches = [{name: a[i : i + _BATCH] for name, a in rows.items()} for i in range(0, n, _BATCH)]
    try:
        backend = open_backend(folder, family, variant, threads=1, way=Way("onnxruntime"))
        try:
            parts = [backend.run(batch) for batch in batches]
        finally:
            backend.close()
        return {s.name: _joined([part[s.name] for part in parts]) for s in family.outputs}
    except BackendError as error:
        raise BuildError(line(error)) from error


def _joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    try:
        return np.concatenate(parts)
    except ValueError as error:
        raise BuildError(f"its answers to batches do not fit together: {line(error)}") from error
