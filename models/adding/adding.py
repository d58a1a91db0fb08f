"""A graph becomes a family; what nobody told is measured, and how each thing is known is said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray

from models.adding.found import FoundModel, models_in
from models.adding.graph import ReadGraph, Shapes, read_graph
from models.adding.trial import ROWS_TRIED, Arrays, Trial, Tried, made_up
from models.artifacts import create_family
from models.artifacts.external import references
from models.backends import open_backend
from models.backends.base import BackendError
from models.build.errors import BuildError
from models.build.narrowing.calibration import Calibration, read_calibration
from models.build.narrowing.comparing import reach, wilson
from models.build.recipe import sole_builder
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

SLO_ROWS, SLO_LEAST_S = 4.0, 0.010
"""Where nobody says: the bound is so many times what one row takes, and so long (s) at least."""
ITSELF = "agreement with itself: no truth was given"
MOST_BATCH = 32

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Asked:
    """What the user said: None, empty or "" where nothing. `samples`: an .npz file of rows."""

    repository: Path
    name: str = ""
    slo_s: float | None = None
    accuracy: float | None = None
    source: str = ""
    samples: Path | None = None
    shapes: Shapes | None = None


@dataclass(frozen=True, slots=True)
class Added:
    """The family as published, and the rows it was judged on, for further precisions; None where none were given."""

    family: Family
    calibration: Calibration | None


def add(found: FoundModel, asked: Asked, work: Path, report: Report) -> Added:
    """Make a family of `found` in the repository. `work`: an empty folder. `report` is told what was done and why.

    Raises BuildError, ArtifactError (FamilyExists where there is one of that name) or OSError; then nothing changed.
    """
    graph = read_graph(found.graph, asked.shapes or {})
    served = _served_file(graph, work)
    for remark in (*found.remarks, *graph.remarks):
        report(remark)
    trial = Trial(graph, str(served))
    inputs = tuple(TensorSpec(i.name, i.datatype, (-1, *i.dims)) for i in graph.inputs)
    name, precision = asked.name or found.name, graph.precision
    variant = f"{name}-{precision}"
    draft = Family(
        name, inputs, (), (), Slo(1.0), labels=graph.labels, description=f"added from {found.graph}"
    )
    calibration = None if asked.samples is None else read_calibration(asked.samples, draft)
    tried = trial.tried(_rows(graph, calibration))
    for remark in trial.remarks:
        report(remark)
    accuracy = _accuracy(asked, trial, tried, calibration)
    slo_s = asked.slo_s or max(SLO_LEAST_S, SLO_ROWS * tried.row_s)
    if asked.slo_s is None:
        report(
            f"latency bound {1e3 * slo_s:.3g} ms: {SLO_ROWS:g} times the {1e3 * tried.row_s:.3g} ms that one row takes "
            f"on one thread, at least {1e3 * SLO_LEAST_S:g} ms; --slo-ms says another"
        )
    family = Family(
        name=draft.name,
        inputs=inputs,
        outputs=tried.outputs,
        variants=(Variant(variant, precision, served.name, "", accuracy),),
        slo=Slo(slo_s),
        max_batch=MOST_BATCH,
        labels=_fitting(graph.labels, tried.outputs),
        description=draft.description,
    )
    _check_opens(family, served)
    return Added(create_family(asked.repository, family, {variant: served}), calibration)


def add_all(path: Path, repository: Path, report: Report) -> None:
    """Make a family of every model at `path`, as nobody asked for anything else.

    Raises BuildError, ArtifactError or OSError at the first that cannot be made one.
    """
    for found in models_in(path):
        with sole_builder(repository) as work:
            add(found, Asked(repository), work, report)


def _served_file(graph: ReadGraph, work: Path) -> Path:
    """The file that is served: the user's own, or one with what was changed."""
    if not graph.changed:
        return graph.path
    if references(graph.path):
        onnx.load_external_data_for_model(graph.model, str(graph.path.parent))
    path = work / "graph.onnx"
    try:
        onnx.save(graph.model, str(path))
    except ValueError as error:  # a message has 2 GiB at most
        raise BuildError(
            f"{graph.path} is too large to be changed ({error}); {'; '.join(graph.remarks)}: export it so"
        ) from error
    return path


def _check_opens(family: Family, served: Path) -> None:
    """Raises BuildError where a server would not take the file for this family."""
    (variant,) = family.variants
    try:
        open_backend(served.parent, family, variant, threads=1).close()
    except BackendError as error:
        raise BuildError(str(error)) from error


def _rows(graph: ReadGraph, calibration: Calibration | None) -> Arrays:
    if calibration is None:
        return made_up(graph.inputs, ROWS_TRIED)
    return {name: array[:ROWS_TRIED] for name, array in calibration.fit.items()}


def _accuracy(
    asked: Asked, trial: Trial, tried: Tried, calibration: Calibration | None
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
    n, (name, value) = len(labels), _measured_best(trial, tried, calibration, labels)
    commonest = float(np.unique(labels, return_counts=True)[1].max()) / n
    if value <= commonest:
        raise BuildError(
            f"output {name!r} has the label of {value:.1%} of {n} held-out rows, no more than always saying "
            f"the commonest ({commonest:.1%}): it holds no classes, or they are in another order than the "
            f"array 'labels' of {asked.samples}; correct the labels or leave them out"
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
    trial: Trial, tried: Tried, calibration: Calibration, labels: NDArray[np.int64]
) -> tuple[str, float]:
    """(the output that says the held-out rows' labels best, the share that it says right). Raises BuildError."""
    tells = [o.name for o in tried.outputs if _may_tell_classes(o)]
    if not tells:
        raise BuildError(
            "labels were given, but no output has a score for each class or a class number a row; leave the array "
            "'labels' out"
        )
    right = dict.fromkeys(tells, 0)
    for begin in range(0, len(labels), MOST_BATCH):
        rows = {k: a[begin : begin + MOST_BATCH] for k, a in calibration.held_out.items()}
        answers = trial.run(rows)
        for name in tells:
            found = answers[name]
            classes = found.argmax(axis=1) if found.dtype.kind == "f" else found.reshape(-1)
            right[name] += int((classes == labels[begin : begin + MOST_BATCH]).sum())
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
