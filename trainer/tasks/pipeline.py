"""`gearshift train-tasks` from data to package: base, heads, export, rates, publication."""

import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from torch import nn
from tqdm import tqdm

from models.stems import Package
from trainer.data import load
from trainer.publish.deliver import check_writable
from trainer.tasks.asked import Asked, Splits, Work, checked, splits_of
from trainer.tasks.base import prepared_base, trained_base
from trainer.tasks.cuts import as_layers, asked_points
from trainer.tasks.finetune import Heads, Lesson, Tuning, fine_tuned
from trainer.tasks.footage import Footage
from trainer.tasks.measure import Measured, Watched, rated, said
from trainer.tasks.package import Trained, check_parity, exported, published
from trainer.tasks.shown import Shown, shown_of

_PARITY_FRAMES = 256


def run(asked: Asked, repository: Path | None, *, quiet: bool) -> dict[str, Any]:
    """Train, measure and, given a `repository`, publish; the outcome as JSON takes it. Raises TrainError."""
    work = checked(asked, load(asked.data))
    if repository is not None:
        check_writable(repository)
    splits = splits_of(work)
    shown = shown_of(work, splits)
    trained = _trained(work, splits, shown.lesson, quiet=quiet)
    with tempfile.TemporaryDirectory(prefix="gearshift-tasks-") as folder:
        package, files = exported(work, trained, splits.measuring.images, Path(folder))
        draft = published(Path(folder), package, files)
        watched = _watched(shown, draft, Path(folder) / draft.base.name, quiet=quiet)
        package, rows = _rated(work, trained, draft, watched)
        if repository is not None:
            package = published(repository, package, files)
    return _outcome(work, trained, package, rows, repository)


def _trained(work: Work, splits: Splits, lesson: Footage, *, quiet: bool) -> Trained:
    prepared = prepared_base(work, splits)
    points = asked_points(work.asked.heads.points, as_layers(prepared.learner.module))
    base, error = trained_base(prepared, quiet=quiet)
    heads = _heads(work, base, points, Lesson(lesson.frames, lesson.kinds), quiet=quiet)
    return Trained(base, error, points, heads)


def _heads(
    work: Work, base: nn.Sequential, points: tuple[int, ...], lesson: Lesson, *, quiet: bool
) -> Heads:
    """Told by the share of the work that is done: deep heads take a fraction of the time of shallow ones."""
    asked = work.asked.heads
    tuning = Tuning(asked.head_budget, lr=asked.head_lr, seed=work.asked.seed)
    heads: Heads = {}
    total = len(work.tasks) * len(points)
    with tqdm(total=100, desc=f"{total} heads", unit="%", disable=quiet, dynamic_ncols=True) as bar:
        for heads, share in fine_tuned(base, points, work.tasks, lesson, tuning):  # noqa: B007 - the last is wanted
            bar.update(round(100 * share, 1) - bar.n)
    return heads


def _watched(
    shown: Shown, package: Package, folder: Path, *, quiet: bool
) -> tuple[Watched, Watched]:
    """What the heads of `package`, which lies in `folder`, say: to choose thresholds by, and to measure on."""
    choosing, measuring = shown.choosing, shown.measuring
    total = len(choosing.frames) + len(measuring.frames)
    with tqdm(total=total, desc="measured", unit="frame", disable=quiet, dynamic_ncols=True) as bar:
        first, second = (said(folder, package, s, bar.update) for s in (choosing, measuring))
    return Watched(choosing, first), Watched(measuring, second)


def _rated(
    work: Work, trained: Trained, package: Package, watched: tuple[Watched, Watched]
) -> tuple[Package, list[Measured]]:
    """`package` with thresholds, rates and correlations, once torch and what was exported are found to agree."""
    check_parity(trained, watched[0].footage.frames[:_PARITY_FRAMES], watched[0].said)
    origin = _origin(work, trained)
    found = [
        rated(replace(task, origin=origin), one, *watched)
        for task, one in zip(package.tasks, work.tasks, strict=True)
    ]
    tasks = tuple(task for task, _ in found)
    return replace(package, tasks=tasks), [row for _, rows in found for row in rows]


def _origin(work: Work, trained: Trained) -> str:
    """A task's provenance, the same for all of them, as JSON."""
    return json.dumps(
        {
            "data": work.dataset.name,
            "data_source": work.dataset.source,
            "asked": asdict(work.asked),
            "base_test_error": round(trained.base_error, 6),
            "measured": "thresholds on held-out frames, rates on a stream of other held-out pictures; not repaired",
            "torch": version("torch"),
            "published": datetime.now(UTC).isoformat(timespec="seconds"),
        }
    )


def _outcome(
    work: Work,
    trained: Trained,
    package: Package,
    rows: Sequence[Measured],
    repository: Path | None,
) -> dict[str, Any]:
    return {
        "package": package.base.name,
        "published": str(repository / package.base.name) if repository else "",
        "base_test_error": trained.base_error,
        "points": list(trained.points),
        "tasks": [
            {
                "name": task.name,
                "meaning": task.meaning,
                "event_frequency": task.event_frequency,
                "correlation": task.correlation,
                "branches": {str(r.frozen): _branch(r) for r in rows if r.task == task.name},
            }
            for task in package.tasks
        ],
        "settings": asdict(work.asked),
    }


def _branch(row: Measured) -> dict[str, float]:
    return {
        "true_positive": row.true_positive,
        "false_positive": row.false_positive,
        "threshold": row.threshold,
        "event_f1": row.f1,
    }
