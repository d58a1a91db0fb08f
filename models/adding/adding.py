"""A graph becomes a family; what nobody told is measured, and how each thing is known is said."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from models.adding.found import FoundModel, models_in
from models.adding.graph import ReadGraph, Shapes, read_graph
from models.adding.trial import ROWS_TRIED, Arrays, Trial, Tried, made_up
from models.artifacts import create_family
from models.artifacts.external import references
from models.build.errors import BuildError
from models.build.narrowing.calibration import Calibration, read_calibration
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


def _rows(graph: ReadGraph, calibration: Calibration | None) -> Arrays:
    if calibration is None:
        return made_up(graph.inputs, ROWS_TRIED)
    return {name: array[:ROWS_TRIED] for name, array in calibration.fit.items()}


def _accuracy(
    asked: Asked, trial: Trial, tried: Tried, calibration: Calibration | None
) -> Accuracy:
    """As measured where there are labels, else as given, else that of the reference. Raises BuildError.

    What was measured and what was given must not contradict each other.
    """
    labels = None if calibration is None else calibration.labels
    if calibration is None or labels is None:
        if asked.accuracy is not None:
            return Accuracy(asked.accuracy, asked.source)
        return Accuracy(1.0, ITSELF)
    classes = _class_numbers(trial, tried, calibration)
    n = len(labels)
    value = float((classes == labels).mean())
    interval = 1.96 * sqrt(max(value * (1.0 - value), 0.25 / n) / n)
    if asked.accuracy is not None and abs(asked.accuracy - value) > interval:
        raise BuildError(
            f"--accuracy {asked.accuracy:g} contradicts the labels of {asked.samples}: of {n} held-out rows "
            f"{100 * value:.1f} % are answered right (± {100 * interval:.1f}); leave --accuracy out, or look at the "
            "labels' order"
        )
    return Accuracy(value, f"measured on {n} held-out rows", n, interval)


def _class_numbers(trial: Trial, tried: Tried, calibration: Calibration) -> NDArray[np.int64]:
    """The classes answered to the held-out rows. Raises BuildError where no output tells classes."""
    scores = [o for o in tried.outputs if o.is_float and len(o.shape) == 2 and o.shape[1] > 1]
    whole = [o for o in tried.outputs if not o.is_float and o.shape in ((-1,), (-1, 1))]
    if not scores and not whole:
        raise BuildError(
            "labels were given, but no output has a score for each class or a class number a row; leave the array "
            "'labels' out"
        )
    answers: list[NDArray[Any]] = []
    for begin in range(0, calibration.n, MOST_BATCH):
        rows = {k: a[begin : begin + MOST_BATCH] for k, a in calibration.held_out.items()}
        found = trial.run(rows)
        answers.append(
            found[whole[0].name].reshape(-1) if whole else found[scores[0].name].argmax(axis=1)
        )
    return np.concatenate(answers).astype(np.int64)


def _fitting(labels: tuple[str, ...], outputs: Sequence[TensorSpec]) -> tuple[str, ...]:
    """The labels where an output has a score for each."""
    return labels if any(o.shape[1:] == (len(labels),) for o in outputs) else ()
