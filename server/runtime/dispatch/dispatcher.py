"""One per family: owns the queue, asks the policy, hands batches to workers and answers to the transport.

A monitor: `submit` and `cancel` come from the transport's thread, `next_step` from the workers'; one short lock guards
the queue, and no answer is delivered and no batch run while it is held. It decides nothing: the policy does.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

from server.errors import NotReady, Overloaded, RequestError
from server.metrics import FamilyMetrics
from server.policy.arms import retune
from server.policy.arms.probing import Slack
from server.policy.decision import Arm, ArmProfile, PolicyFactory
from server.policy.queueing.standing import Standing
from server.runtime.dispatch import outcomes, tables
from server.runtime.dispatch.deciding import Deciding
from server.runtime.dispatch.jobs import Job, JobAnswer, Listeners
from server.runtime.dispatch.journal import Journal
from server.runtime.dispatch.limits import Limits, Load
from server.runtime.dispatch.quarantine import Quarantine
from server.runtime.dispatch.replies import Replies
from server.runtime.dispatch.running import CanaryRun, Running, Step
from server.runtime.dispatch.traffic import Traffic, says_something
from server.runtime.dispatch.waiting import Waiting, may_go

_log = logging.getLogger(__name__)

__all__ = ["CanaryRun", "Dispatcher", "Limits", "Load", "Step"]


STOPPING = "the server is stopping; try another replica"


class Dispatcher:
    """The queue of one family and everything that may touch it."""

    def __init__(
        self,
        name: str,
        factory: PolicyFactory,
        limits: Limits,
        metrics: FamilyMetrics,
        listeners: Listeners,
    ) -> None:
        self.name = name
        self.limits = limits
        self.journal = Journal(limits.journal_every)
        self.quarantine = Quarantine(name, metrics, self._rearm, limits.slo_s)
        self.policy = ""
        """Name of the policy in force, for those who ask."""
        self._factory = factory
        self._metrics = metrics
        lock = threading.Lock()
        self._changed = threading.Condition(lock)
        self._quiet = threading.Condition(lock)
        """Told when nobody waits and nothing runs."""
        self._building = threading.RLock()
        self._rearming = 0
        self._waiting = Waiting(name, limits, self.quarantine)
        self._running = Running()
        self._traffic = Traffic(limits)
        self._replies = Replies(self._traffic.standing, metrics, listeners.deliver, self._forget)
        self._deciding = Deciding(
            self._waiting, self._running, self._traffic, self.journal, metrics
        )
        self._listeners = listeners
        self._closing = False
        self._closed_for = STOPPING

    @property
    def arms(self) -> tuple[ArmProfile, ...]:
        """What the policy may choose from now."""
        return self._waiting.tables.arms

    @property
    def standing(self) -> Standing:
        """How the SLO's promise is kept, by class."""
        return self._traffic.standing

    @property
    def depth(self) -> int:
        """Tickets waiting."""
        return len(self._waiting)

    def load(self) -> Load:
        """How busy the family is now."""
        with self._changed:
            rate_rps, queue = self._traffic.rate_rps(time.monotonic()), self._waiting.queue
            arrived = self._traffic.arrived
            return Load(len(self._running), len(queue), queue.rows, rate_rps, arrived)

    def running(self) -> tuple[retune.RunningBatch, ...]:
        """What workers are at now."""
        return self._running.now(time.monotonic())

    def slack(self, slo_s: float) -> Slack:
        """How much of an idle moment this is."""
        with self._changed:
            workers, idle = self.limits.workers, self.limits.workers - len(self._running)
            rate_rps, waiting = self._traffic.rate_rps(time.monotonic()), self._waiting.queue.rows
            return Slack(rate_rps, workers, max(0, idle), waiting, slo_s)

    def await_idle(self, patience_s: float) -> bool:
        """Return when nobody waits and nothing runs, or when `patience_s` are over; whether it is so."""
        with self._changed:
            return self._quiet.wait_for(lambda: not self._waiting and not self._running, patience_s)

    def resize(self, workers: int) -> None:
        """Let so many workers serve at a time from the next decision on; the others wait."""
        with self._building:
            with self._changed:
                self.limits = replace(self.limits, workers=workers)
                self._traffic.workers = workers
                self._waiting.limits = self.limits
            if self._waiting.arms:
                self._apply_again()

    def use(self, policy: str, factory: PolicyFactory) -> None:
        """Let the policy of this name decide, from the next decision on. Raises ValueError as `apply` does."""
        with self._building:
            self.policy, self._factory = policy, factory
            if self._waiting.arms:
                self.apply(self._waiting.arms)

    def apply(self, arms: Sequence[ArmProfile]) -> None:
        """Let the policy choose from these arms at these costs, but for those in quarantine, from the next decision on.

        Raises ValueError where the policy cannot work with them (its variant is not among them).
        """
        with self._building:  # one after the other, and not under the lock that requests wait for
            self.quarantine.know(profile.arm for profile in arms)
            usable = [p for p in arms if not self.quarantine.is_out(p.arm)]
            built = tables.build_without(self._factory, arms, usable, self.limits)
            with self._changed:
                stranded = self._waiting.use(arms, built, time.monotonic())
                self._metrics.arms_ready(len(built.arms))
                self._changed.notify_all()
                self._may_be_quiet()
        self._replies.unrun(stranded)

    def submit(self, jobs: Sequence[Job]) -> None:
        """Queue jobs; those that admission refuses are answered before this returns."""
        now_s = time.monotonic()
        gone: list[JobAnswer] = []
        with self._changed:
            refused = self._let_in(jobs, now_s, gone)
            self._wake()
        self._replies.refused(refused)
        self._replies.unrun(gone)

    def requeue(self, step: Step) -> None:
        """Its arm let `step` down: what it owes goes to other arms where they can still be in time, or is answered."""
        self._return(self._running.take(step))

    def give_up(self, step: Step) -> None:
        """Nobody waits for `step` any longer: what others can serve in time goes to them; it goes on owing the rest."""
        used, now_s = self._waiting.tables, time.monotonic()
        self._return(self._running.give_up(step, lambda job: may_go(job, used, now_s)))

    def cancel(self, job: Job) -> bool:
        """Forget a waiting job, unanswered: its client has gone. False where it runs already or was answered."""
        with self._changed:
            if not self._waiting.take_back(job):
                return False
            self._may_be_quiet()
        self._metrics.unrun(job.slo_class, "cancelled")
        return True

    def next_step(self, last: Arm | None = None) -> Step | CanaryRun | None:
        """Block until there is work for the calling worker, which ran `last` before; None when closed and drained."""
        begun_s = time.monotonic()
        while True:
            with self._changed:
                if self._closing and not self._waiting:
                    self._may_be_quiet()
                    return None
                canary = self.quarantine.canary(self._waiting.arms, waiting=bool(self._waiting))
                if canary is not None:
                    self._pass_on()
                    return canary
                step, dropped, wait_s = self._decide(begun_s, last)
                if step is None and not dropped:
                    self._may_be_quiet()
                    self._changed.wait(self.quarantine.until_trial_s(wait_s))
                    begun_s = time.monotonic()
                    continue
                if step is not None:
                    self._pass_on()
            self._replies.unrun(dropped)
            if step is not None:
                return step

    def finish(self, step: Step, answers: Sequence[JobAnswer]) -> None:
        """Take a step's answers back to their clients. Late ones are answered too, and counted as late."""
        answers = self._running.settle(step, answers)
        given = self._replies.step(answers)
        now_s = time.monotonic()
        self._running.end(step, answers[0].batch if answers else None, now_s)
        self._replies.count(given, now_s)

    def close(self, why: str = STOPPING) -> None:
        """Refuse new jobs, with this reason; workers end when the waiting ones are answered."""
        with self._changed:
            self._closing, self._closed_for = True, why
            self._changed.notify_all()

    def abandon(self, what: str = "the server stopped") -> None:
        """Answer every job that still waits, for a worker or for its worker's turn, or whose worker was given up: the
        drain's time is up."""
        text = f"{what} before this request was run"
        with self._changed:
            jobs = [*self._waiting.clear(), *self._running.abandon()]
            left = [JobAnswer(job, error=NotReady(text)) for job in jobs]
            self._changed.notify_all()
            self._may_be_quiet()
        self._replies.unrun(left)

    def _forget(self, pieces: Sequence[Job]) -> None:
        """Their job has been answered: those that still wait need not run."""
        with self._changed:
            for piece in pieces:
                self._waiting.remove(piece)
            self._may_be_quiet()

    def _may_be_quiet(self) -> None:
        """Somebody waits no more, or a worker has nothing to do. Called under the lock."""
        if self._waiting:
            return
        if self._closing:
            self._changed.notify_all()  # workers that slept on those who waited may end
        if not self._running:
            self._quiet.notify_all()

    def _rearm(self) -> None:
        """The quarantine has changed. Until the tables are made anew nothing is decided with the old ones."""
        with self._changed:
            self._rearming += 1
        try:
            with self._building:
                self._apply_again()
        finally:
            with self._changed:
                self._rearming -= 1
                self._changed.notify_all()
        self._listeners.changed()

    def _apply_again(self) -> None:
        """The same arms with what has changed. Where a factory of somebody's own fails, what is in force stays so."""
        try:
            self.apply(self._waiting.arms)
        except ValueError as error:
            _log.error("%s: %s; it goes on with the costs that it knew", self.name, error)

    def _wake(self) -> None:
        """Have idle workers ask, no more than there is work for. Called under the lock."""
        if waiting := len(self._waiting):
            self._changed.notify(min(waiting, self.limits.workers))

    def _pass_on(self) -> None:
        """A worker goes, and others wait still: the next one is to ask for them. Called under the lock."""
        if self._waiting:
            self._changed.notify()

    def _let_in(self, jobs: Sequence[Job], now_s: float, gone: list[JobAnswer]) -> list[JobAnswer]:
        """Let jobs wait; the answers of those that may not. `gone` is as in `_admit`."""
        if self._admit_alike(jobs, now_s):
            return []
        errors = [(job, self._admit(job, now_s, gone)) for job in jobs]
        return [JobAnswer(job, error=error) for job, error in errors if error is not None]

    def _admit_alike(self, jobs: Sequence[Job], now_s: float) -> bool:
        """Let several jobs wait at once where it is plain that all may; else nothing is done."""
        if self._closing or not self._waiting.arms or len(jobs) < 2:
            return False
        if not self._waiting.admit_alike(jobs, now_s, self._listeners.seen):
            return False
        self._traffic.came_together(jobs, now_s, self._waiting.tables.pace_s)
        return True

    def _admit(self, job: Job, now_s: float, gone: list[JobAnswer]) -> RequestError | None:
        """Why it may not wait; `gone` grows by the answers of those that give way to it."""
        if self._closing:
            return NotReady(self._closed_for)
        if not self._waiting.arms:
            return NotReady(f"model '{self.name}' is loading; try again shortly")
        ticket = self._waiting.ticket(job)
        self._listeners.seen(ticket)
        if self._waiting.late.rows:
            made = self._waiting.make_room(job)
            gone += [outcomes.gave_way(self.name, late, now_s) for late in made]
        error = self._waiting.admit(job, ticket, now_s)
        hopeless = error is not None and not isinstance(error, Overloaded)
        if job.missed:
            hopeless = not self._waiting.could_be_in_time(ticket, now_s)
            if not hopeless or says_something(self._traffic.standing, job):
                self._traffic.missed(job, refused=True)
        self._traffic.came(job, now_s, self._waiting.tables.pace_s, hopeless=hopeless)
        return error

    def _return(self, jobs: Sequence[Job]) -> None:
        now_s = time.monotonic()
        with self._changed:
            jobs = [job for job in jobs if job.part_of is None or job.part_of.pieces]
            errors = [(job, self._again(job, now_s)) for job in jobs]
            self._wake()
            self._may_be_quiet()
        refused = [JobAnswer(job, error=error) for job, error in errors if error is not None]
        self._metrics.retried(len(jobs) - len(refused))
        self._replies.unrun(refused)

    def _again(self, job: Job, now_s: float) -> RequestError | None:
        """Why a job that an arm let down may not wait again."""
        missed, error = job.missed, self._waiting.again(job, now_s)
        if job.missed and not missed:
            job.missed = False
            self._traffic.missed_once(job)
        return error

    def _decide(
        self, begun_s: float, last: Arm | None
    ) -> tuple[Step | None, list[JobAnswer], float | None]:
        """Called under the lock."""
        if self._rearming:
            return None, [], None
        return self._deciding.decide(self.policy, begun_s, last)
