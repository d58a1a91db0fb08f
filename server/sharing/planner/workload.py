"""What is to be planned: tasks fine-tuned from one network at several branch points, on a stream of frames. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Objective = Literal["mean", "maxmin"]
"""Of the tasks' event F1: the weighted mean (above each task's floor, where it has one), or the smallest."""


@dataclass(frozen=True, slots=True)
class Branch:
    """A task's network whose first `frozen` layers are the base network's own, and what it says of single frames."""

    frozen: int
    true_positive: float
    """P(positive | the frame is part of an event)."""
    false_positive: float
    """P(positive | it is not)."""


@dataclass(frozen=True, slots=True)
class Task:
    """What to look for. `event_frequency`: the share of windows of `event_length_s` that are events, in (0, 1)."""

    name: str
    branches: tuple[Branch, ...]
    """By `frozen`, ascending; none twice."""
    event_length_s: float
    event_frequency: float
    correlation: float
    """In [0, 1]: P(miss | the frame before was missed) = (1 - p) + p * correlation, for hit probability p."""
    weight: float = 1.0
    floor: float = 0.0
    """Event F1 that must not be gone below; only the objective `mean` knows it."""


@dataclass(frozen=True, slots=True)
class NetworkCosts:
    """Device seconds a frame (or any unit, the budget's). Measured ones replace sums over layers where known."""

    stem: Mapping[int, float]
    """Through the first k layers, by k; 0 is there and costs 0; never falls with k."""
    heads: Mapping[tuple[str, int], float]
    """The rest of a task's network, by (task, frozen)."""

    def segment(self, start: int, end: int) -> float:
        """Of the stem from `start` to `end`."""
        return self.stem[end] - self.stem[start]


@dataclass(frozen=True, slots=True)
class Rules:
    """What a plan may choose from, and within what."""

    budget: float
    """Cost a second."""
    rates_fps: tuple[float, ...]
    """Frames a second that a task may be run at, ascending."""
    stream_fps: float
    x_votes: tuple[int, ...] = (1,)
    """Consecutive positive frames before an event is reported, to choose from."""
    objective: Objective = "mean"
    published_form: bool = False
    """Frames an event as in the authors' released code, length * rate^2 / stream_fps: for comparisons with it only."""


@dataclass(frozen=True, slots=True)
class Workload:
    """All a planner is given."""

    tasks: tuple[Task, ...]
    costs: NetworkCosts
    rules: Rules
