"""The jobs that wait: who may, on what tables it is decided, and by which tickets the policy sees them.

Guarded by the dispatcher's lock.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from server.errors import NotReady, RequestError
from server.policy.decision import ArmProfile, Ticket
from server.policy.queueing import admission, splitting
from server.policy.queueing.late_queue import LateQueue
from server.policy.queueing.tickets import Queue
from server.runtime.dispatch import outcomes
from server.runtime.dispatch.jobs import Job, JobAnswer
from server.runtime.dispatch.limits import Limits
from server.runtime.dispatch.quarantine import Quarantine
from server.runtime.dispatch.tables import Tables
from server.runtime.dispatch.wholes import Whole

MOST_RETRIES = 2
"""Times a job goes back to the queue because an arm let it down."""


class Waiting:
    """A queue of tickets, the job behind each, and the tables in force. `arms`: all arms, also those out of use."""

    def __init__(self, family: str, limits: Limits, quarantine: Quarantine) -> None:
        self.queue = Queue()
        self.late = LateQueue()
        """Soft tickets whose time is up."""
        self.arms: tuple[ArmProfile, ...] = ()
        self.tables = Tables()
        self.family = family
        self.limits = limits
        self._quarantine = quarantine
        self._ids = itertools.count()
        self._jobs: dict[int, Job] = {}  # by ticket id

    def __len__(self) -> int:
        return len(self._jobs)

    def use(self, arms: Sequence[ArmProfile], tables: Tables, now_s: float) -> list[JobAnswer]:
        """Put new tables in force; the answers to those who wait for arms out of use or gone, no other being good."""
        gone = {profile.arm for profile in self.arms} - {profile.arm for profile in arms}
        self.arms, self.tables = tuple(arms), tables
        if len(tables.arms) == len(self.arms) and not gone:
            return []
        answers: list[JobAnswer] = []
        for job in list(self._jobs.values()):
            if job.ticket is None or tables.accept(job.ticket):
                continue
            error = self._out_of_use(job.ticket, now_s) or self._gone(job.ticket, now_s)
            if error is not None:
                self.remove(job)
                answers.append(JobAnswer(job, error=error))
        return answers

    def ticket(self, job: Job) -> Ticket:
        """A new ticket for `job`: due early enough for the answer's way to the client."""
        due_s = job.deadline_s - self.limits.reply_margin_s
        return Ticket(
            next(self._ids),
            job.arrival_s,
            due_s,
            job.units,
            job.min_accuracy,
            job.variant,
            job.slo_class,
            job.soft,
        )

    def admit(self, job: Job, ticket: Ticket, now_s: float) -> RequestError | None:
        """Let a new job wait, or say why not."""
        queue = self.queue
        verdict = self.tables.admit(ticket, queue.rows + self.late.rows, now_s, queue.deadlines)
        if isinstance(verdict, admission.Refuse) and (
            split := self._split(job, ticket, verdict, now_s)
        ):
            return self._admit_pieces(job, ticket, split, now_s)
        if isinstance(verdict, admission.Refuse) and self._may_be_late(ticket, verdict):
            self.keep(job, ticket)
            return None
        return self._settled(job, ticket, verdict, now_s)

    def admit_alike(
        self, jobs: Sequence[Job], now_s: float, seen: Callable[[Ticket], None]
    ) -> bool:
        """Let new jobs wait that ask for the same, where it is plain that each may; else nothing is done.

        The last of them, were it due first, finds all the others ahead of it: where it may wait, so may they all.
        """
        first, count = jobs[0], len(jobs)
        asks = first.units, first.min_accuracy, first.variant
        if self.late.rows or any(
            (job.units, job.min_accuracy, job.variant) != asks for job in jobs
        ):
            return False
        hardest = self.ticket(min(jobs, key=_due_s))
        ahead = self.queue.rows + (count - 1) * hardest.rows
        if not self._plainly_admits(hardest, ahead, now_s):
            return False
        tickets = [self.ticket(job) for job in jobs]
        for job, ticket in zip(jobs, tickets, strict=True):
            seen(ticket)
            job.ticket = ticket
            self._jobs[ticket.id] = job
        self.queue.extend(tickets)
        return True

    def _plainly_admits(self, ticket: Ticket, ahead: int, now_s: float) -> bool:
        """Whether it may wait though so many rows do, all with earlier deadlines."""
        within_s = admission.MARGIN * (ticket.deadline_s - now_s)
        verdict = self.tables.admit(ticket, ahead, now_s)
        return isinstance(verdict, admission.Admit) and ahead * self.tables.pace_s <= within_s

    @property
    def rows(self) -> int:
        """Rows waiting in all."""
        return self.queue.rows + self.late.rows

    def make_room(self, job: Job) -> list[Job]:
        """Those that give way to a new job where no more may wait: whose time is up anyway. They wait no more."""
        over = self.rows + job.units - self.limits.capacity_rows
        return (
            [self._jobs.pop(ticket.id) for ticket in self.late.give_way(over)] if over > 0 else []
        )

    def keep(self, job: Job, ticket: Ticket) -> None:
        """A soft job will be late: let it wait for a worker that nobody else wants."""
        job.ticket, job.missed = ticket, True
        self.late.push(ticket)
        self._jobs[ticket.id] = job

    def could_be_in_time(self, ticket: Ticket, now_s: float) -> bool:
        """Whether it could be answered in time were it alone."""
        return isinstance(self.tables.admit(ticket, 0, now_s), admission.Admit)

    def _may_be_late(self, ticket: Ticket, refused: admission.Refuse) -> bool:
        room = self.rows + ticket.rows <= self.limits.capacity_rows
        return ticket.soft and room and refused.reason in {"late", "overloaded"}

    def _split(
        self, job: Job, ticket: Ticket, refused: admission.Refuse, now_s: float
    ) -> splitting.Split | None:
        """In which pieces to answer what no arm answers in one batch; None where the refusal stands."""
        within_s = ticket.deadline_s - now_s
        late = refused.reason == "late"
        if not (late or refused.reason == "too_large") or job.rows == 1:
            return None
        arms, whole = self.tables.arms, replace(ticket, rows=job.rows)
        if job.row_units > 1:
            arms = splitting.in_rows_of(job.row_units, arms)
        split = splitting.split(whole, arms, self.limits.workers, within_s)
        return None if split is not None and late and split.need_s > within_s else split

    def _admit_pieces(
        self, job: Job, ticket: Ticket, split: splitting.Split, now_s: float
    ) -> RequestError | None:
        """Let all pieces of a new job wait, or none."""
        late = split.need_s > ticket.deadline_s - now_s
        if late and not ticket.soft:
            needs = f"its {len(split.rows)} batches need"
            return outcomes.refusal(self.family, admission.late(ticket, split.need_s, now_s, needs))
        waiting, most = self.rows, self.limits.capacity_rows
        if waiting + ticket.rows > most:
            pace_s = self.tables.pace_s
            return outcomes.refusal(self.family, admission.full(waiting, most, pace_s))
        if late:
            job.missed = True
            for one in Whole(job, split.rows).pieces:
                self.keep(one, self.ticket(one))
            return None
        piece = replace(ticket, rows=split.rows[0] * job.row_units)
        verdict = self.tables.admit(piece, waiting, now_s, self.queue.deadlines)
        if isinstance(verdict, admission.Refuse):
            return outcomes.refusal(self.family, verdict)
        for piece in Whole(job, split.rows).pieces:
            self._settled(piece, self.ticket(piece), verdict, now_s)
        return None

    def again(self, job: Job, now_s: float) -> RequestError | None:
        """Let a job wait that an arm let down, however many do, or say why not."""
        assert job.ticket is not None  # it was in a step
        if now_s > job.ticket.deadline_s and not job.soft:
            return outcomes.late(self.family, job, now_s)
        if job.retries >= MOST_RETRIES:
            return outcomes.let_down(self.family, job.retries)
        job.retries += 1
        verdict = self.tables.admit(job.ticket, 0, now_s)
        if job.missed or (
            isinstance(verdict, admission.Refuse) and self._may_be_late(job.ticket, verdict)
        ):
            self.keep(job, job.ticket)
            return None
        return self._settled(job, job.ticket, verdict, now_s)

    def remove(self, job: Job) -> bool:
        """Take one job out. False if it does not wait."""
        ticket = job.ticket
        if ticket is None or self._jobs.pop(ticket.id, None) is None:
            return False
        if not self.late.remove(ticket):
            self.queue.remove(ticket)
        return True

    def take_back(self, job: Job) -> bool:
        """Take out a job whose client has gone; False, and nothing is done, where it or a piece of it does not wait."""
        whole = job.whole
        if whole is None:
            return self.remove(job)
        pieces = whole.pieces
        if not pieces or not all(self._waits(piece) for piece in pieces):
            return False
        for piece in whole.end():
            self.remove(piece)
        return True

    def take(self, tickets: Iterable[Ticket]) -> list[Job]:
        """Take out a decision's tickets; their jobs in the same order. Raises KeyError as Queue.pop does."""
        gone = list(tickets)
        self.queue.pop(gone)
        return [self._jobs.pop(ticket.id) for ticket in gone]

    def take_late(self, tickets: Iterable[Ticket]) -> list[Job]:
        """Take out those of a batch of late ones; their jobs in the same order."""
        jobs: list[Job] = []
        for ticket in tickets:
            self.late.remove(ticket)
            jobs.append(self._jobs.pop(ticket.id))
        return jobs

    def clear(self) -> list[Job]:
        """Take out all."""
        jobs = list(self._jobs.values())
        self.queue, self.late, self._jobs = Queue(), LateQueue(), {}
        return jobs

    def _settled(
        self, job: Job, ticket: Ticket, verdict: admission.Verdict, now_s: float
    ) -> RequestError | None:
        if isinstance(verdict, admission.Refuse):
            none_runs_it = verdict.reason in ("unservable", "too_large")
            out = self._out_of_use(ticket, now_s) if none_runs_it else None
            return out or outcomes.refusal(self.family, verdict)
        job.ticket = ticket
        self.queue.push(ticket)
        self._jobs[ticket.id] = job
        return None

    def _waits(self, job: Job) -> bool:
        return job.ticket is not None and job.ticket.id in self._jobs

    def _gone(self, ticket: Ticket, now_s: float) -> RequestError | None:
        """None where an arm is left that would do, were the policy in force content with it."""
        if any(ticket.accepts(p) and ticket.rows <= p.max_batch for p in self.arms):
            return None
        verdict = self.tables.admit(ticket, 0, now_s)
        return (
            outcomes.refusal(self.family, verdict)
            if isinstance(verdict, admission.Refuse)
            else None
        )

    def _out_of_use(self, ticket: Ticket, now_s: float) -> NotReady | None:
        able = (p for p in self.arms if ticket.accepts(p) and ticket.rows <= p.max_batch)
        accepted = [profile.arm for profile in able]
        return outcomes.out_of_use(self.family, self._quarantine.state, accepted, now_s)


def _due_s(job: Job) -> float:
    return job.deadline_s


def may_go(job: Job, tables: Tables, now_s: float) -> bool:
    """Whether a job may be tried again, and some arm would still answer it in time."""
    if job.retries >= MOST_RETRIES or job.ticket is None:
        return False
    return isinstance(tables.admit(job.ticket, 0, now_s), admission.Admit)
