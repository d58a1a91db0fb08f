"""The streams that tasks are shown: to learn from, to choose thresholds on, to measure on; made before training."""

from dataclasses import dataclass, replace

from trainer.data import Split
from trainer.errors import TrainError
from trainer.tasks.asked import Splits, Work
from trainer.tasks.footage import Footage, footage


@dataclass(frozen=True, slots=True)
class Shown:
    """The first two are single frames, each a scene of its own; no picture is in two of them."""

    lesson: Footage
    choosing: Footage
    measuring: Footage


def shown_of(work: Work, splits: Splits) -> Shown:
    """By the seed. Raises TrainError where one of them has no event of a task, or nothing else."""
    held, seed = work.asked.held, work.asked.seed
    shown = Shown(
        _scattered(work, splits.learning, work.asked.heads.frames, seed + 1),
        _scattered(work, splits.choosing, held.choosing_frames, seed + 2),
        footage(splits.measuring, work.scenery, held.measuring_windows, seed + 3),
    )
    _check(work, shown.lesson, "--frames")
    _check(work, shown.choosing, "--choosing-frames")
    _check(work, shown.measuring, "--measuring-windows")
    return shown


def _scattered(work: Work, split: Split, frames: int, seed: int) -> Footage:
    return footage(split, replace(work.scenery, window_frames=1), frames, seed)


def _check(work: Work, shown: Footage, flag: str) -> None:
    for task in work.tasks:
        events = int(shown.events(task).sum())
        if not 0 < events < len(shown.kinds):
            raise TrainError(
                f"task {task.name}: of {len(shown.kinds)} scenes {events} are events of it, and some must be and some "
                f"not; give a greater {flag}"
            )
