"""The steps that workers are at, whose jobs they still owe, and the batches that ended since the policy was asked."""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from server.policy.arms import retune
from server.policy.decision import Arm, ArmProfile, Finished
from server.runtime.dispatch.jobs import Batch, Job, JobAnswer

MOST_ENDED = 64
"""Finished batches kept for a policy that is not asked for a while."""


@dataclass(slots=True, eq=False)
class Step:
    """What a worker does next: run these jobs together on this arm. `rows`: as tickets count them, by their work where
    sizes are free. `begun_s` is when it began to ask, `after` what it ran before; `entered`: it has its turn on the
    core, for which it may have to wait while something is measured."""

    profile: ArmProfile
    jobs: tuple[Job, ...]
    rows: int
    begun_s: float
    after: Arm | None = None
    entered: bool = False

    @property
    def retried(self) -> bool:
        """Whether one of the jobs was let down by another arm before."""
        return any(job.retries for job in self.jobs)

    def hold(self) -> None:
        """From now on the jobs' inputs may be read, whoever answers them, until `let_go`."""
        for job in self.jobs:
            if job.loan is not None:
                job.loan.take()

    def let_go(self) -> None:
        """Its worker reads the jobs' inputs no more."""
        for job in self.jobs:
            if job.loan is not None:
                job.loan.let_go()

    @property
    def bound_s(self) -> float:
        """What the most urgent of the jobs may take in all (s)."""
        return min([job.deadline_s - job.arrival_s for job in self.jobs])


@dataclass(frozen=True, slots=True)
class CanaryRun:
    """What an idle worker does: run one row of known-good input on this arm, which is out of use, and tell."""

    profile: ArmProfile


class Running:
    """Each job of a step is owed by the step's worker until it is answered or taken away, whichever comes first.

    All methods may be called from any thread; the lock is held for moments and no other is taken under it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._owed: dict[Step, tuple[Job, ...]] = {}
        self._given_up: set[Step] = set()
        self._ended: deque[Finished] = deque(maxlen=MOST_ENDED)

    def __len__(self) -> int:
        return len(self._owed) - len(self._given_up)

    def begin(self, step: Step) -> Step:
        """`step` goes to a worker, which lets go of it when it is done."""
        step.hold()
        with self._lock:
            self._owed[step] = step.jobs
        return step

    def settle(self, step: Step, answers: Sequence[JobAnswer]) -> Sequence[JobAnswer]:
        """Those of a step's answers that are still owed; from now on it owes none."""
        with self._lock:
            owed = self._owed.get(step, ())
            if owed:
                self._owed[step] = ()
        return answers if owed is step.jobs else [a for a in answers if a.job in owed]

    def end(self, step: Step, batch: Batch | None, now_s: float) -> None:
        """A step is over. It counts as a batch where all its jobs ran in one and it was not given up."""
        with self._lock:
            known = self._owed.pop(step, None) is not None
            if step in self._given_up:
                self._given_up.discard(step)
            elif known and batch is not None and batch.units == step.rows:
                self._ended.append(Finished(step.profile.arm, step.rows, now_s - step.begun_s))

    def take(self, step: Step) -> tuple[Job, ...]:
        """All jobs that `step` still owes; from now on it owes none."""
        with self._lock:
            self._given_up.discard(step)
            return self._owed.pop(step, ())

    def give_up(self, step: Step, servable: Callable[[Job], bool]) -> list[Job]:
        """The jobs that `step` still owes and others can serve; it goes on owing the rest, and counts no more."""
        with self._lock:
            owed = self._owed.get(step)
            if owed is None:
                return []
            taken = [job for job in owed if servable(job)]
            self._owed[step] = tuple([job for job in owed if job not in taken])
            self._given_up.add(step)
            return taken

    def abandon(self) -> list[Job]:
        """The jobs still owed by steps that were given up, or still wait for their turn; from now on they owe none."""
        with self._lock:
            left = self._given_up | {step for step in self._owed if not step.entered}
            self._given_up = set()
            return [job for step in left for job in self._owed.pop(step, ())]

    def now(self, at_s: float) -> tuple[retune.RunningBatch, ...]:
        """What workers are at as of `at_s`, and for how long."""
        with self._lock:
            steps = [step for step in self._owed if step not in self._given_up]
        return tuple(
            [retune.RunningBatch(s.profile.arm, s.rows, max(at_s - s.begun_s, 1e-9)) for s in steps]
        )

    def busy_s(self, at_s: float) -> float:
        """How long (s) what workers are at as of `at_s` is expected to go on, added up."""
        if not self._owed:
            return 0.0
        with self._lock:
            steps = [step for step in self._owed if step not in self._given_up]
        return sum([step.profile.left_s(step.rows, at_s - step.begun_s) for step in steps])

    def take_ended(self) -> tuple[Finished, ...]:
        """What ended since the last call."""
        ended = self._ended
        return tuple([ended.popleft() for _ in range(len(ended))]) if ended else ()
