"""Heads as files, and the task package that they make: first without rates, to be measured; then as it is published."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import torch
from torch import nn

from models.stems import (
    ArtifactError,
    Head,
    Package,
    SharedTask,
    base_of,
    publish_package,
)
from trainer.errors import TrainError
from trainer.tasks.asked import Work
from trainer.tasks.cuts import stem_of
from trainer.tasks.export import export_head, export_stem, scored, tensor_name
from trainer.tasks.finetune import Heads
from trainer.tasks.footage import Frames
from trainer.tasks.measure import Said

Files = dict[str | tuple[str, int], Path]

TOLERANCE = 1e-4
"""Largest difference of two scores, which are within 0 to 1: sums in another order differ by 1e-6 or so."""


@dataclass(frozen=True, slots=True)
class Trained:
    """What training made: the base, its error on its own classes, where it was cut, every task's heads."""

    base: nn.Sequential
    base_error: float
    points: tuple[int, ...]
    heads: Heads


def exported(work: Work, trained: Trained, frames: Frames, folder: Path) -> tuple[Package, Files]:
    """The networks as files in `folder` and the package of them, rates still to be measured. `frames` give the shape.

    Raises TrainError where a network cannot be exported or written.
    """
    name, images = work.asked.base.name, torch.from_numpy(frames[:2]).float()
    files: Files = {name: folder / "base.onnx"}
    try:
        export_stem(trained.base, trained.points, images, files[name])
        with torch.no_grad():
            activations = {p: stem_of(trained.base, p)(images) for p in trained.points}
        for (task, point), head in trained.heads.items():
            files[task, point] = path = folder / f"{task}-{point}.onnx"
            export_head(head, activations[point], path)
        cuts = [(point, tensor_name(point)) for point in trained.points]
        base = base_of(name, onnx.load(files[name]), cuts)
    except OSError as error:
        raise TrainError(f"{error.filename or folder}: {error.strerror or error}") from error
    except ArtifactError as error:
        raise TrainError(f"the exported base cannot be cut: {error}") from error
    stems = {point.frozen: point.stem for point in base.points}
    heads = tuple(Head(p, stems[p], "", "", 0.5, 0.0, 0.0) for p in trained.points)
    return Package(base, work.asked.scenes.stream_fps, _unmeasured(work, heads)), files


def _unmeasured(work: Work, heads: tuple[Head, ...]) -> tuple[SharedTask, ...]:
    return tuple(
        SharedTask(
            name=task.name,
            meaning=task.meaning,
            event_length_s=work.asked.scenes.event_length_s,
            event_frequency=work.frequency(task),
            correlation=0.0,
            heads=heads,
        )
        for task in work.tasks
    )


def published(root: Path, package: Package, files: Files) -> Package:
    """`package` in the repository `root`, in place of one of the same name. Raises TrainError, then nothing is."""
    try:
        return publish_package(root, package, files)
    except ArtifactError as error:
        raise TrainError(f"{error}; nothing was published") from error
    except OSError as error:
        raise TrainError(
            f"{error.filename or root}: {error.strerror or error}; free space or name another repository; nothing was "
            "published"
        ) from error


def check_parity(trained: Trained, frames: Frames, said: Said) -> float:
    """The largest difference between what torch and the exported heads, `said`, answer for the first of `frames`.

    Raises TrainError beyond `TOLERANCE`, or where scores are no numbers.
    """
    images, largest = torch.from_numpy(frames).float(), 0.0
    with torch.no_grad():
        for point in trained.points:
            activation = stem_of(trained.base, point)(images)
            for (task, at), head in trained.heads.items():
                if at != point:
                    continue
                expected = scored(head)(activation).numpy()
                difference = float(np.abs(expected - said[task, point][: len(frames)]).max())
                if not difference <= TOLERANCE:
                    raise TrainError(
                        f"head of {task} behind {point} layers disagrees with torch: scores differ by up to "
                        f"{difference:.2g} (allowed: {TOLERANCE:.2g}); nothing was published"
                    )
                largest = max(largest, difference)
    return largest
