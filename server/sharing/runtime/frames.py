"""Frames in, answers out: what the transport and the share hand each other."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from server.sharing.planner.voting import Begun, Ended

StreamId = int

Pixels = NDArray[np.uint8 | np.float32]

Late = Literal["drop", "wait"]
"""A live stream drops frames that waited too long, or the oldest of too many; recorded material waits, losing none."""

Outcome = Literal["analysed", "skipped", "dropped", "failed"]
"""`analysed`: a task has a score. `skipped`: nothing was due. `failed`: something was due, and nothing has a score."""

DropReason = Literal["late", "queue_full", "closed"]
"""`closed`: the stream or the server was, while the frame waited."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture. `id` is the client's, and comes back; `pixels` (*the base's shape) are read, never written."""

    id: int
    pixels: Pixels
    arrived_s: float
    """On the share's clock, monotonic."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one task says of one frame. `score` is None where `error` says why there is none."""

    task: str
    frozen: int
    score: float | None
    positive: bool
    error: str = ""


@dataclass(frozen=True, slots=True)
class FrameDone:
    """The one answer to an offered frame."""

    frame_id: int
    outcome: Outcome
    results: tuple[Result, ...] = ()
    """Of the tasks that were due, by name."""
    events: tuple[Begun | Ended, ...] = ()
    """That began or ended with this frame."""
    reason: DropReason | None = None
    """Given where the frame was dropped."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where a stream's answers go. Both are called from the share's threads, must be quick and must not raise.

    `ready` says that a stream that refused a frame ("wait", full) has room again. Analysed frames come in their order;
    skipped and dropped ones may come before older ones that still wait.
    """

    done: Callable[[FrameDone], None]
    ready: Callable[[], None] = lambda: None
