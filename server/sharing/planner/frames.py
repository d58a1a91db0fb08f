"""Which tasks of a plan are due on which frame of a stream, from the frame's index alone. Pure.

Rates are nested: the stem's first step picks from the stream's frames, each further step from the frames of the one
before, a task from those of the step it hangs on. So the stem never runs for a frame of which no task there has use.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor

from server.sharing.planner.plan import Choice, Plan

_FINEST = 10**6
"""Rates are taken as fractions of no larger denominator: what is written as 0.1 is a tenth, and long runs are exact."""


@dataclass(frozen=True, slots=True)
class Picked:
    """A task that takes `share` of the frames that come by where it hangs."""

    task: str
    frozen: int
    share: Fraction


@dataclass(frozen=True, slots=True)
class StemLevel:
    """A stem step: it takes `share` of the frames of the step before, and hands them to its tasks."""

    share: Fraction
    tasks: tuple[Picked, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """A plan on a stream of some rate."""

    alone: tuple[Picked, ...]
    """Tasks that freeze nothing: they hang on the stream itself."""
    levels: tuple[StemLevel, ...]
    """From the input on."""


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be done with one frame: (task, frozen), by `frozen` and name."""

    tasks: tuple[tuple[str, int], ...]

    @property
    def points(self) -> tuple[int, ...]:
        """Where tasks need the stem's activation, ascending; the stem runs to the last."""
        return tuple(sorted({frozen for _, frozen in self.tasks if frozen}))


def schedule_of(plan: Plan, fps: float) -> Schedule:
    """How `plan` runs on a stream of `fps` frames a second; what is to run faster than that runs on every frame."""
    levels: list[StemLevel] = []
    parent = fps
    for step in plan.stem:
        hang = [c for c in plan.choices if step.start < c.frozen <= step.end]
        rate = min(step.rate_fps, fps)
        levels.append(StemLevel(_share(rate, parent), _picked(hang, rate)))
        parent = rate
    return Schedule(_picked([c for c in plan.choices if not c.frozen], fps), tuple(levels))


def due(frame_index: int, schedule: Schedule) -> Due:
    """The tasks due on the stream's frame number `frame_index`, counted from 0."""
    tasks = _of(schedule.alone, frame_index)
    index = frame_index
    for level in schedule.levels:
        if not _takes(level.share, index):
            break
        index = floor(index * level.share)
        tasks += _of(level.tasks, index)
    return Due(tuple(sorted(tasks, key=lambda task: (task[1], task[0]))))


def _of(tasks: tuple[Picked, ...], index: int) -> list[tuple[str, int]]:
    return [(task.task, task.frozen) for task in tasks if _takes(task.share, index)]


def _takes(share: Fraction, index: int) -> bool:
    """Near-even picks: of the first n frames, floor(n * share) are taken."""
    return floor((index + 1) * share) > floor(index * share)


def _picked(choices: Sequence[Choice], parent_fps: float) -> tuple[Picked, ...]:
    return tuple(Picked(c.task, c.frozen, _share(c.rate_fps, parent_fps)) for c in choices)


def _share(rate_fps: float, of_fps: float) -> Fraction:
    rate, of = (Fraction(fps).limit_denominator(_FINEST) for fps in (rate_fps, of_fps))
    return min(Fraction(1), rate / of)
