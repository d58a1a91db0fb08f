"""The steps that workers are at, and the batches that ended since the policy was last asked."""

from collections import deque
from dataclasses import dataclass

from server.policy import retune
from server.policy.decision import ArmProfile, Finished
from server.runtime.jobs import Answer, Job

MOST_ENDED = 64
"""Finished batches kept for a policy that is not asked for a while."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a worker does next: run these jobs together on this arm. `begun_s` is when it began to ask."""

    arm: ArmProfile
    jobs: tuple[Job, ...]
    rows: int
    begun_s: float


class Running:
    """`begin` and `take_ended` under the dispatcher's lock, `end` from any worker without it.

    A worker only takes its own step out and appends one end, so that nothing is lost between two looks.
    """

    def __init__(self) -> None:
        self._steps: dict[int, Step] = {}  # by the first job's ticket id
        self._ended: deque[Finished] = deque(maxlen=MOST_ENDED)

    def __len__(self) -> int:
        return len(self._steps)

    def begin(self, first_id: int, step: Step) -> Step:
        """`step`, whose first ticket has this id, goes to a worker."""
        self._steps[first_id] = step
        return step

    def end(self, first: Answer, now_s: float) -> None:
        """A step is over; `first` is its first job's answer. It counts as a batch where all its jobs ran in one."""
        ticket = first.job.ticket
        step = self._steps.pop(ticket.id, None) if ticket is not None else None
        if step is not None and first.batch is not None and first.batch.rows == step.rows:
            self._ended.append(Finished(step.arm.arm, step.rows, now_s - step.begun_s))

    def now(self, at_s: float) -> tuple[retune.Running, ...]:
        """What workers are at as of `at_s`, and for how long; may be asked from any thread."""
        steps = list(self._steps.values())
        return tuple(
            [retune.Running(s.arm.arm, s.rows, max(at_s - s.begun_s, 1e-9)) for s in steps]
        )

    def take_ended(self) -> tuple[Finished, ...]:
        """What ended since the last call."""
        ended = self._ended
        return tuple([ended.popleft() for _ in range(len(ended))]) if ended else ()
