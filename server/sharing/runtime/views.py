"""What a share tells of itself: to status, to metrics, to whoever asks for the plan."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from server.sharing.planner.plan import Choice, Plan, Scores
from server.sharing.runtime.frames import DropReason, Outcome

ReplanReason = Literal[
    "task_added",
    "task_removed",
    "task_upgraded",
    "stream_opened",
    "stream_closed",
    "costs_moved",
    "budget_set",
]


@dataclass(frozen=True, slots=True)
class LabelledWindow:
    """What an operator says of the frames from `first_frame` to `last_frame` (ids, both included) of a stream."""

    first_frame: int
    last_frame: int
    event: bool


@dataclass(frozen=True, slots=True)
class MeasuredScores:
    """Event scores over the last `windows` that were labelled."""

    scores: Scores
    windows: int


@dataclass(frozen=True, slots=True)
class TaskView:
    """One task: `choice` is what was planned and predicted, the rest what is."""

    choice: Choice
    achieved_fps: float
    """Of one stream, over the last seconds, slower ones counted as part of one; 0 where no stream is open."""
    measured: MeasuredScores | None
    """None until labels were fed back."""


@dataclass(frozen=True, slots=True)
class StreamCounts:
    """Streams and what became of their frames."""

    streams: int
    waiting: int
    """Frames."""
    outcomes: Mapping[Outcome, int]
    """Frames answered since the start."""
    dropped: Mapping[DropReason, int]
    """Likewise, by reason."""


@dataclass(frozen=True, slots=True)
class PlanView:
    """Everything at one moment."""

    base: str
    budget_s: float
    """Device seconds a second, for all streams together."""
    plan: Plan
    """Of one stream; its cost is in device seconds a second of that stream."""
    tasks: tuple[TaskView, ...]
    """In the plan's order."""
    traffic: StreamCounts
    reuse: float
    """Task-frames for each frame that went through the stem, over the last seconds; 0 where none did."""
    busy: float
    """Share of the last seconds in which the device was at work, in [0, 1]."""
    replans: Mapping[ReplanReason, int]
    """Since the start."""
