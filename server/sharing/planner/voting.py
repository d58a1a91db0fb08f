"""X-voting on one task's verdicts on one stream: when an event begins and when it ends. Pure."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Begun:
    """The event was reported with this frame; it was `first_frame` that the positives began with."""

    task: str
    frame_id: int
    first_frame: int
    score: float
    """The mean of the positives so far."""


@dataclass(frozen=True, slots=True)
class Ended:
    """This frame was negative; the event's positives are `first_frame` to `last_frame`."""

    task: str
    frame_id: int
    first_frame: int
    last_frame: int
    score: float
    """The mean of its positives."""


@dataclass(frozen=True, slots=True)
class Vote:
    """The positives in a row so far, and whether they have been reported."""

    task: str
    positives: int = 0
    total_score: float = 0.0
    first_frame: int = 0
    last_frame: int = 0
    reported: bool = False


def vote(
    state: Vote, frame_id: int, score: float, votes: tuple[bool, int]
) -> tuple[Vote, Begun | Ended | None]:
    """After one more analysed frame. `votes`: whether it was positive, and how many in a row make an event (x_vote)."""
    positive, x_vote = votes
    if not positive:
        return Vote(state.task), _ended(state, frame_id) if state.reported else None
    now = replace(
        state,
        positives=state.positives + 1,
        total_score=state.total_score + score,
        first_frame=state.first_frame if state.positives else frame_id,
        last_frame=frame_id,
    )
    if state.reported or now.positives < x_vote:
        return now, None
    begun = Begun(state.task, frame_id, now.first_frame, now.total_score / now.positives)
    return replace(now, reported=True), begun


def _ended(state: Vote, frame_id: int) -> Ended:
    mean = state.total_score / state.positives
    return Ended(state.task, frame_id, state.first_frame, state.last_frame, mean)
