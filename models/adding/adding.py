"""A graph becomes a family; what nobody told is measured, and how each thing is known is said."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.adding.archives import SCRIPT, kind_of
from models.adding.configs.texts import with_texts
from models.adding.configured import configured, fixed, stated_inputs
from models.adding.found import FoundModel, models_in
from models.adding.opening import open_model
from models.adding.reading import Said, Shapes
from models.adding.rows.given import GivenRows, kept_rows
from models.adding.sizing import AskedSize
from models.adding.subject import Looked, Subject
from models.adding.trial import NotByRow, Trial
from models.artifacts import create_family
from models.backends import open_backend
from models.backends.base import BackendError
from models.build.errors import BuildError
from models.build.narrowing.calibration import Calibration
from models.build.narrowing.comparing import reach, wilson
from models.build.recipe import sole_builder
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

SLO_ROWS, SLO_LEAST_S = 4.0, 0.010
"""Where nobody says: the bound is so many times what one row takes, and so long (s) at least."""
LARGEST_ROWS = 2.5
"""Where sizes are free: and so many times what the largest row takes. Twice that is promised to nobody."""
ITSELF = "agreement with itself: no truth was given"

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user said: None, empty or "" where nothing. `samples`: where rows are, `labels`: a file of their
    classes, `normalise`: how pixels become values."""

    repository: Path
    name: str = ""
    slo_s: float | None = None
    accuracy: float | None = None
    source: str = ""
    samples: Path | None = None
    shapes: Shapes = field(default_factory=dict[str, tuple[int | str, ...]])
    datatypes: Mapping[str, str] = field(default_factory=dict[str, str])
    sizes: Mapping[str, AskedSize] = field(default_factory=dict[str, AskedSize])
    labels: Path | None = None
    normalise: str = ""


@dataclass(frozen=True, slots=True)
class Added:
    """The family as published, and the rows it was judged on, for further precisions; None where none were given."""

    family: Family
    calibration: Calibration | None


def add(found: FoundModel, asked: Asked, work: Path, report: Report) -> Added:
    """Make a family of `found` in the repository. `work`: an empty folder. `report` is told what was done and why.

    Raises BuildError, ArtifactError (FamilyExists where there is one of that name) or OSError; then nothing changed.
    """
    if found.refusal:
        raise BuildError(found.refusal)
    asked = _with_config(found, asked, work, report)
    subject, looked = _looked_at(found, asked, work)
    model, calibration, sizes = subject.model, subject.calibration, looked.sizes
    rows_said = () if calibration is None else calibration.remarks
    for remark in (*found.remarks, *model.remarks, *rows_said, *looked.remarks):
        report(remark)
    if sizes:
        shown = ", ".join(f"{s.name} {s.typical} (up to {s.most})" for s in sizes)
        report(f"rows of any size are served; usual is {shown}: --size NAME=USUAL:MOST says others")
    accuracy = _accuracy(asked, subject.trial, looked, calibration)
    slo_s = asked.slo_s or _bound_s(looked.row_s, subject.largest_s(sizes), report)
    name, precision = asked.name or found.name, model.precision
    variant = Variant(f"{name}-{precision}", precision, subject.served.name, "", accuracy)
    family = Family(
        name=name,
        inputs=looked.inputs,
        outputs=looked.outputs,
        variants=(variant,),
        slo=Slo(slo_s),
        max_batch=subject.trial.most_rows,
        labels=_fitting(
            model.labels or (() if calibration is None else calibration.names), looked.outputs
        ),
        description=f"added from {found.graph}",
        sizes=sizes,
        one_row=model.one_row,
    )
    if found.config is not None:
        most = model.most_rows if subject.served.suffix == ".pt2" else None
        family = configured(found.config, family, most, report)
    family, extras, texts = with_texts(family, found.graph)
    if texts:
        report(texts)
    _check_opens(family, subject.served)
    files = {variant.name: subject.served}
    samples = None if calibration is None else kept_rows(calibration, work)
    return Added(create_family(asked.repository, family, files, samples, extras), calibration)


def _with_config(found: FoundModel, asked: Asked, work: Path, report: Report) -> Asked:
    """What is asked for, and what the model's config says where it may say so. Raises BuildError."""
    if found.config is None or kind_of(found.graph) == SCRIPT:
        return asked
    model = open_model(found.graph, Said(), work).signature
    shapes, sizes = fixed(found.config, model, (asked.shapes, asked.sizes), report)
    return replace(asked, shapes=shapes, sizes=sizes)


def _looked_at(found: FoundModel, asked: Asked, work: Path) -> tuple[Subject, Looked]:
    """The model and what it is; as one that takes one row a request, where it takes no more. Raises BuildError."""
    try:
        subject = _subject(found, asked, work, one_row=False)
        return subject, subject.looked(asked.sizes)
    except NotByRow as several:
        subject = _subject(found, asked, work, one_row=True)
        looked = subject.looked(asked.sizes)
        remark = f"each request is one row, run by itself: {several}"
        return subject, replace(looked, remarks=(remark, *looked.remarks))


def _subject(found: FoundModel, asked: Asked, work: Path, *, one_row: bool) -> Subject:
    stated = {} if found.config is None else stated_inputs(found.config)
    said = Said(asked.shapes, asked.datatypes, asked.samples, stated)
    opened = open_model(found.graph, said, work, one_row=one_row)
    if asked.samples is None:
        return Subject(opened, None)
    names = opened.signature.labels or (found.config.names if found.config else ())
    sizes = {name: size.typical for name, size in asked.sizes.items()}
    given = GivenRows(asked.samples, asked.labels, asked.normalise, names, sizes)
    return Subject(opened, given)


def add_all(path: Path, repository: Path, report: Report) -> None:
    """Make a family of every model at `path`, as nobody asked for anything else.

    Raises BuildError, ArtifactError or OSError at the first that cannot be made one.
    """
    for found in models_in(path):
        with sole_builder(repository) as work:
            add(found, Asked(repository), work, report)


def _check_opens(family: Family, served: Path) -> None:
    """Raises BuildError where a server would not take the file for this family."""
    (variant,) = family.variants
    try:
        open_backend(served.parent, family, variant, threads=1).close()
    except BackendError as error:
        raise BuildError(str(error)) from error


def _bound_s(row_s: float, largest_s: float, report: Report) -> float:
    """The latency bound (s) where nobody says one: none whose row is taken at all must be hopeless."""
    bound_s = max(SLO_LEAST_S, SLO_ROWS * row_s, LARGEST_ROWS * largest_s)
    largest = f", or {LARGEST_ROWS:g} times the {1e3 * largest_s:.3g} ms of the largest"
    report(
        f"latency bound {1e3 * bound_s:.3g} ms: {SLO_ROWS:g} times the {1e3 * row_s:.3g} ms that one row takes on one "
        f"thread{largest * (largest_s > row_s)}, at least {1e3 * SLO_LEAST_S:g} ms; --slo-ms says another"
    )
    return bound_s


def _accuracy(
    asked: Asked, trial: Trial, looked: Looked, calibration: Calibration | None
) -> Accuracy:
    """As measured where there are labels, else as given, else that of the reference. Raises BuildError.

    What was measured and what was given must not contradict each other, and what is no better than always saying the
    commonest label is no class at all: an embedding, or labels in another order.
    """
    labels = None if calibration is None else calibration.labels
    if calibration is None or labels is None:
        if asked.accuracy is not None:
            return Accuracy(asked.accuracy, asked.source)
        return Accuracy(1.0, ITSELF)
    n, (name, value) = len(labels), _measured_best(trial, looked, calibration, labels)
    commonest = float(np.unique(labels, return_counts=True)[1].max()) / n
    if value <= commonest:
        raise BuildError(
            f"output {name!r} has the label of {value:.1%} of {n} held-out rows, no more than always saying "
            f"the commonest ({commonest:.1%}): it holds no classes, or they are in another order than "
            f"the labels of {asked.samples}; correct the labels or leave them out"
        )
    low, high = wilson(value, n)
    if asked.accuracy is not None and not low <= asked.accuracy <= high:
        raise BuildError(
            f"--accuracy {asked.accuracy:g} contradicts the labels of {asked.samples}: output {name!r} is right on "
            f"{value:.1%} of {n} held-out rows ({low:.1%} to {high:.1%}); leave --accuracy out, or correct the labels"
        )
    source = f"measured: output {name!r} on {n} held-out rows"
    return Accuracy(value, source, n, reach(value, n))


def _measured_best(
    trial: Trial, looked: Looked, calibration: Calibration, labels: NDArray[np.int64]
) -> tuple[str, float]:
    """(the output that says the held-out rows' labels best, the share that it says right). Raises BuildError."""
    tells = [o.name for o in looked.outputs if _may_tell_classes(o)]
    if not tells:
        raise BuildError(
            "labels were given, but no output has a score for each class or a class number a row; leave "
            "them out"
        )
    right, step = dict.fromkeys(tells, 0), trial.most_rows
    for begin in range(0, len(labels), step):
        rows = {k: a[begin : begin + step] for k, a in calibration.held_out.items()}
        answers = trial.run(rows)
        for name in tells:
            found = answers[name]
            classes = found.argmax(axis=1) if found.dtype.kind == "f" else found.reshape(-1)
            right[name] += int((classes == labels[begin : begin + step]).sum())
    best = max(tells, key=lambda name: right[name])
    return best, right[best] / len(labels)


def _may_tell_classes(output: TensorSpec) -> bool:
    """Whether it has a score for each class, or one whole number a row."""
    if output.is_float:
        return len(output.shape) == 2 and output.shape[1] > 1
    return output.shape in ((-1,), (-1, 1))


def _fitting(labels: tuple[str, ...], outputs: Sequence[TensorSpec]) -> tuple[str, ...]:
    """The labels where an output has a score for each."""
    return labels if any(o.shape[1:] == (len(labels),) for o in outputs) else ()
