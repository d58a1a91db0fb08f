"""One per family: owns the queue, asks the policy, hands batches to workers and answers to the transport.

A monitor: `submit` and `cancel` come from the transport's thread, `next_step` from the workers'; one short lock guards
the queue, and no answer is delivered and no batch run while it is held. It decides nothing: the policy does.
"""

import itertools
import threading
import time
from collections.abc import Callable, Sequence

from server.errors import NotReady, RequestError
from server.metrics import FamilyMetrics
from server.policy import admission, forecast, retune
from server.policy.decision import (
    ArmProfile,
    Drop,
    Idle,
    Outlook,
    Policy,
    PolicyFactory,
    Run,
    Ticket,
    WaitUntil,
)
from server.policy.standing import Standing
from server.policy.tickets import Queue
from server.runtime import outcomes
from server.runtime.jobs import Answer, Deliver, Job
from server.runtime.journal import MOST_TICKETS, Journal, Record
from server.runtime.limits import Limits, Load
from server.runtime.running import Running, Step

__all__ = ["Dispatcher", "Limits", "Load", "Step"]


class Dispatcher:
    """The queue of one family and everything that may touch it."""

    def __init__(
        self,
        name: str,
        factory: PolicyFactory,
        limits: Limits,
        metrics: FamilyMetrics,
        journal: Journal | None = None,
    ) -> None:
        self.name = name
        self.limits = limits
        self.journal = journal or Journal()
        self.policy = ""
        """Name of the policy in force, for those who ask."""
        self._factory = factory
        self._metrics = metrics
        self._deliver: Deliver = _nowhere
        self._watch: Callable[[Ticket], None] = _unwatched
        self._queue = Queue()
        self._jobs: dict[int, Job] = {}  # by ticket id
        self._ids = itertools.count()
        self._changed = threading.Condition(threading.Lock())
        self._building = threading.RLock()
        self._policy: Policy | None = None
        self._arms: tuple[ArmProfile, ...] = ()
        self._admit_ticket: admission.Admission = admission.admission((), 0)
        self._pace_s = 0.0  # per row, with all workers at their best
        self._arrivals = forecast.Arrivals()
        self._arrived = 0
        self._running = Running()
        self._standing = Standing(limits.weights)
        self._closing = False

    def answer_to(self, deliver: Deliver) -> None:
        """Where answers go; set once, before the first job."""
        self._deliver = deliver

    def show(self, watch: Callable[[Ticket], None]) -> None:
        """Let `watch` see every ticket, refused ones too; set once. It must be quick: the lock is held."""
        self._watch = watch

    @property
    def arms(self) -> tuple[ArmProfile, ...]:
        """What the policy may choose from now."""
        return self._arms

    @property
    def depth(self) -> int:
        """Tickets waiting."""
        return len(self._jobs)

    def load(self) -> Load:
        """How busy the family is now."""
        with self._changed:
            rate_rps = forecast.rate_rps(self._arrivals, time.monotonic())
            tickets, rows = len(self._queue), self._queue.rows
            return Load(len(self._running), tickets, rows, rate_rps, self._arrived)

    def running(self) -> tuple[retune.Running, ...]:
        """What workers are at now."""
        return self._running.now(time.monotonic())

    def use(self, policy: str, factory: PolicyFactory) -> None:
        """Let the policy of this name decide, from the next decision on. Raises ValueError as `apply` does."""
        with self._building:
            self.policy, self._factory = policy, factory
            if self._arms:
                self.apply(self._arms)

    def apply(self, arms: Sequence[ArmProfile]) -> None:
        """Let the policy choose from these arms at these costs, from the next decision on.

        Raises ValueError where the policy cannot work with them (its variant is not among them).
        """
        with self._building:  # one after the other, and not under the lock that requests wait for
            policy, limits = self._factory(arms), self.limits
            admit = admission.admission(arms, limits.capacity_rows, limits.workers)
            pace_s = admission.row_s(arms) / limits.workers
            with self._changed:
                self._policy, self._arms = policy, tuple(arms)
                self._admit_ticket, self._pace_s = admit, pace_s
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
            self._changed.notify(self.limits.workers)
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
        self._running.end(answers[0], now_s)
        served = [outcomes.served(a, a.batch, now_s) for a in answers if a.batch is not None]
        for one in served:
            self._standing.ended(one.slo_class, in_time=one.in_time)
        self._metrics.answered(served)
        self._count_unrun([answer for answer in answers if answer.error is not None])

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
        self._arrived += job.rows
        due_s = job.deadline_s - self.limits.reply_margin_s
        ticket = Ticket(
            next(self._ids), job.arrival_s, due_s, job.rows, job.min_accuracy, job.variant, job.slo_class
        )  # fmt: skip
        self._watch(ticket)
        verdict = self._admit_ticket(ticket, self._queue.rows, now_s, self._queue.deadlines)
        if isinstance(verdict, admission.Refuse):
            return outcomes.refusal(self.name, verdict)
        job.ticket = ticket
        self._queue.push(ticket)
        self._jobs[ticket.id] = job
        return None

    def _decide(self, begun_s: float) -> tuple[Step | None, list[Answer], float | None]:
        """Ask the policy once and carry its decision out on the queue. Called under the lock."""
        if not self._jobs or self._policy is None:
            return None, [], None
        now_s = time.monotonic()
        outlook = Outlook(
            forecast.rate_rps(self._arrivals, now_s),
            self.limits.workers,
            self._arrived,
            self._running.take_ended(),
            self._standing.values(now_s),
            forecast.clump_rows(self._arrivals),
        )
        decision = self._policy(self._queue, outlook, now_s)
        took_s = time.monotonic() - now_s
        if self.journal.wants(decision, now_s):
            seen = tuple(self._queue[:MOST_TICKETS])
            self.journal.keep(
                Record(
                    now_s,
                    took_s,
                    self._arms,
                    seen,
                    len(self._queue),
                    outlook,
                    decision,
                    self.policy,
                )
            )
        dropped = self._take_drops(decision.dropped, now_s) if decision.dropped else []
        match decision:
            case Run() as run:
                self._metrics.decided(run.reason, took_s)
                return self._take_run(run, begun_s), dropped, None
            case WaitUntil(at_s):
                self._metrics.decided("wait", took_s)
                return None, dropped, max(0.0, at_s - time.monotonic())
            case Idle():
                return None, dropped, None

    def _take_run(self, run: Run, begun_s: float) -> Step:
        self._queue.pop(run.tickets)
        jobs = tuple([self._jobs.pop(ticket.id) for ticket in run.tickets])
        return self._running.begin(run.tickets[0].id, Step(run.arm, jobs, run.rows, begun_s))

    def _take_drops(self, drops: Sequence[Drop], now_s: float) -> list[Answer]:
        self._queue.pop([drop.ticket for drop in drops])
        retry_s = self._queue.rows * self._pace_s
        jobs = [self._jobs.pop(drop.ticket.id) for drop in drops]
        return [
            outcomes.dropped(self.name, drop, job, now_s, retry_s)
            for drop, job in zip(drops, jobs, strict=True)
        ]

    def _answer_unrun(self, answers: Sequence[Answer]) -> None:
        if answers:
            self._deliver(answers)
            self._count_unrun(answers)

    def _count_unrun(self, answers: Sequence[Answer]) -> None:
        for answer in answers:
            self._standing.ended(answer.job.slo_class, in_time=False)
            self._metrics.unrun(answer.job.slo_class, outcomes.outcome(answer.error))


def _unwatched(_ticket: Ticket) -> None:
    pass


def _nowhere(_answers: Sequence[Answer]) -> None:
    raise RuntimeError("answer_to() was not called")
