"""What a planner answers: per task a branch, a rate and votes; how far the stem runs at what rate. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scores:
    """Of events, each in [0, 1]; F1 is the harmonic mean of the others, 0 where one of them is."""

    recall: float
    precision: float
    f1: float


@dataclass(frozen=True, slots=True)
class Choice:
    """How one task runs."""

    task: str
    frozen: int
    rate_fps: float
    x_vote: int
    scores: Scores
    """As predicted."""
    reason: str = ""
    """Why this branch and rate, for people: what the next ones would bring and cost."""


@dataclass(frozen=True, slots=True)
class StemSegment:
    """The stem from layer `start` to `end` runs at `rate_fps`."""

    start: int
    end: int
    rate_fps: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything decided at once; `stem` and `cost` follow from the choices (`tree.py`)."""

    choices: tuple[Choice, ...]
    """In the tasks' order."""
    stem: tuple[StemSegment, ...]
    """From the input on, contiguous; rates fall strictly. Empty where nothing is shared."""
    cost: float
    """A second."""
    objective: float
    """The weighted mean or the smallest F1, as the rules say."""


class Infeasible(Exception):
    """No plan fits the budget, or none reaches every floor; `smallest` is the smallest budget that has one."""

    def __init__(self, message: str, smallest: float) -> None:
        super().__init__(message)
        self.smallest = smallest
