"""One per family: owns the queue, asks the policy, hands batches to workers and answers to the transport.

A monitor: `submit` and `cancel` come from the transport's thread, `next_step` from the workers'; one short lock guards
the queue, and no answer is delivered and no batch run while it is held. It decides nothing: the policy does.
"""

import itertools
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from server.errors import BadInput, DeadlineMissed, NotReady, Overloaded, RequestError
from server.metrics import FamilyMetrics, Served
from server.policy import admission, forecast
from server.policy.decision import (
    ArmProfile,
    Decision,
    Drop,
    Idle,
    Outlook,
    Policy,
    PolicyFactory,
    Run,
    Ticket,
    WaitUntil,
)
from server.policy.tickets import Queue
from server.runtime.jobs import Answer, Batch, Deliver, Job


@dataclass(frozen=True, slots=True)
class Step:
    """What a worker does next: run these jobs together on this arm. `begun_s` is when it began to ask."""

    arm: ArmProfile
    jobs: tuple[Job, ...]
    rows: int
    begun_s: float


@dataclass(frozen=True, slots=True)
class Limits:
    """Workers sharing the queue, rows that may wait, and the time (s) kept back for the answer's way to the client."""

    workers: int = 1
    capacity_rows: int = 1024
    reply_margin_s: float = 0.0


class Dispatcher:
    """The queue of one family and everything that may touch it."""

    def __init__(
        self, name: str, factory: PolicyFactory, limits: Limits, metrics: FamilyMetrics
    ) -> None:
        self.name = name
        self._factory = factory
        self._limits = limits
        self._metrics = metrics
        self._deliver: Deliver = _nowhere
        self._queue = Queue()
        self._jobs: dict[int, Job] = {}  # by ticket id
        self._ids = itertools.count()
        self._changed = threading.Condition(threading.Lock())
        self._policy: Policy | None = None
        self._arms: tuple[ArmProfile, ...] = ()
        self._admit_ticket: admission.Admission = admission.admission((), 0)
        self._arrivals = forecast.Arrivals()
        self._closing = False

    def answer_to(self, deliver: Deliver) -> None:
        """Where answers go; set once, before the first job."""
        self._deliver = deliver

    @property
    def arms(self) -> tuple[ArmProfile, ...]:
        """What the policy may choose from now."""
        return self._arms

    @property
    def depth(self) -> int:
        """Tickets waiting."""
        return len(self._jobs)

    def apply(self, arms: Sequence[ArmProfile]) -> None:
        """Let the policy choose from these arms at these costs, from the next decision on.

        Raises ValueError where the policy cannot work with them (its variant is not among them).
        """
        policy = self._factory(arms)
        admit = admission.admission(arms, self._limits.capacity_rows)
        with self._changed:
            self._policy, self._admit_ticket, self._arms = policy, admit, tuple(arms)
            self._changed.notify_all()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs; those that admission refuses are answered before this returns."""
        now_s = time.monotonic()
        refused: list[Answer] = []
        with self._changed:
            for job in jobs:
                error = self._admit(job, now_s)
                if error is not None:
                    refused.append(Answer(job, error=error))
            self._changed.notify(self._limits.workers)
        self._answer_unrun(refused)

    def cancel(self, job: Job) -> bool:
        """Forget a waiting job, unanswered: its client has gone. False where it runs already or was answered."""
        with self._changed:
            ticket = job.ticket
            if ticket is None or self._jobs.pop(ticket.id, None) is None:
                return False
            self._queue.remove(ticket)
        self._metrics.unrun(job.slo_class, "cancelled")
        return True

    def next_step(self) -> Step | None:
        """Block until the policy has work for the calling worker; None when closed and drained."""
        begun_s = time.monotonic()
        while True:
            with self._changed:
                if self._closing and not self._jobs:
                    return None
                step, dropped, wait_s = self._decide(begun_s)
                if step is None and not dropped:
                    self._changed.wait(wait_s)
                    begun_s = time.monotonic()
                    continue
            self._answer_unrun(dropped)
            if step is not None:
                return step

    def finish(self, answers: Sequence[Answer]) -> None:
        """Take a batch's answers back to their clients. Late ones are answered too, and counted as late."""
        self._deliver(answers)
        now_s = time.monotonic()
        self._metrics.answered([_served(a, a.batch, now_s) for a in answers if a.batch is not None])
        for answer in answers:
            if answer.error is not None:
                self._metrics.unrun(answer.job.slo_class, _outcome(answer.error))

    def close(self) -> None:
        """Refuse new jobs; workers end when the waiting ones are answered."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Answer every job that still waits: the drain's time is up."""
        with self._changed:
            left = [Answer(job, error=NotReady("the server stopped before this request was run"))
                    for job in self._jobs.values()]  # fmt: skip
            self._jobs.clear()
            self._queue = Queue()
            self._changed.notify_all()
        self._answer_unrun(left)

    def _admit(self, job: Job, now_s: float) -> RequestError | None:
        if self._closing:
            return NotReady("the server is stopping; try another replica")
        if self._policy is None:
            return NotReady(f"model '{self.name}' is loading; try again shortly")
        self._arrivals = forecast.observe(self._arrivals, job.rows, now_s)
        due_s = job.deadline_s - self._limits.reply_margin_s
        ticket = Ticket(
            next(self._ids), job.arrival_s, due_s, job.rows, job.min_accuracy, job.variant, job.slo_class
        )  # fmt: skip
        verdict = self._admit_ticket(ticket, self._queue.rows, now_s)
        if isinstance(verdict, admission.Refuse):
            return _REFUSALS[verdict.reason](f"model '{self.name}': {verdict.message}")
        job.ticket = ticket
        self._queue.push(ticket)
        self._jobs[ticket.id] = job
        return None

    def _decide(self, begun_s: float) -> tuple[Step | None, list[Answer], float | None]:
        """Ask the policy once and carry its decision out on the queue. Called under the lock."""
        if not self._jobs or self._policy is None:
            return None, [], None
        now_s = time.monotonic()
        outlook = Outlook(forecast.rate_rps(self._arrivals, now_s), self._limits.workers)
        decision: Decision = self._policy(self._queue, outlook, now_s)
        dropped = [self._take_drop(drop, now_s) for drop in decision.dropped]
        decided_s = time.monotonic()
        match decision:
            case Run() as run:
                self._metrics.decided(run.reason, decided_s - now_s)
                return self._take_run(run, begun_s), dropped, None
            case WaitUntil(at_s):
                self._metrics.decided("wait", decided_s - now_s)
                return None, dropped, max(0.0, at_s - decided_s)
            case Idle():
                return None, dropped, None

    def _take_run(self, run: Run, begun_s: float) -> Step:
        self._queue.pop(run.tickets)
        jobs = tuple(self._jobs.pop(ticket.id) for ticket in run.tickets)
        return Step(run.arm, jobs, run.rows, begun_s)

    def _take_drop(self, drop: Drop, now_s: float) -> Answer:
        self._queue.remove(drop.ticket)
        job = self._jobs.pop(drop.ticket.id)
        waited_ms = (now_s - job.arrival_s) * 1e3
        allowed_ms = (job.deadline_s - job.arrival_s) * 1e3
        if drop.reason == "late":
            text = f"model '{self.name}' cannot answer in time: waited {waited_ms:.1f} of {allowed_ms:.1f} ms"
            return Answer(job, error=DeadlineMissed(text))
        text = (
            f"model '{self.name}' is overloaded: not every waiting request can be answered within its SLO "
            f"(this one waited {waited_ms:.1f} of {allowed_ms:.1f} ms); retry later or allow more time"
        )
        return Answer(job, error=Overloaded(text))

    def _answer_unrun(self, answers: Sequence[Answer]) -> None:
        if answers:
            self._deliver(answers)
        for answer in answers:
            self._metrics.unrun(answer.job.slo_class, _outcome(answer.error))


def _nowhere(_answers: Sequence[Answer]) -> None:
    raise RuntimeError("answer_to() was not called")


_OUTCOMES: dict[type[RequestError], str] = {
    Overloaded: "shed",
    DeadlineMissed: "expired",
    NotReady: "not_ready",
}


def _served(answer: Answer, batch: Batch, now_s: float) -> Served:
    job = answer.job
    return Served(
        job.slo_class,
        batch.arm.arm.variant,
        job.rows,
        batch.arm.accuracy,
        batch.started_s - job.arrival_s,
        batch.compute_s,
        now_s - job.arrival_s,
        now_s <= job.deadline_s,
    )


def _outcome(error: RequestError | None) -> str:
    return _OUTCOMES.get(type(error), "failed") if error is not None else "ok"


_REFUSALS: dict[str, type[RequestError]] = {
    "full": Overloaded,
    "late": DeadlineMissed,
    "too_large": BadInput,  # more rows than this hardware was measured with
    "unservable": NotReady,  # what no arm of the family could ever serve was refused as bad input before
}
