"""Worker threads: take a step, gather its rows, run them on a loaded backend, scatter the outputs.

They touch nothing but their step, their own batch buffers and the backend; what is loaded is the residency's affair.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from models.backends.base import Backend, objection
from models.catalog import Family
from profiler.measuring.rows import SampleRows
from server.errors import BadInput, ComputeFailed, RequestError
from server.policy.arms.incidents import Failed, Probed, Ran
from server.policy.decision import Arm
from server.runtime.dispatch.dispatcher import CanaryRun, Dispatcher, Step
from server.runtime.dispatch.jobs import Arrays, Batch, Job, JobAnswer
from server.runtime.workers.buffers import Buffers, checked
from server.runtime.workers.cpu_waits import CpuWaits
from server.runtime.workers.failures import Failures
from server.runtime.workers.samples import Samples
from server.runtime.workers.watch import Watch
from server.texts import shown

_MOST_SAID = 400
"""Characters of a runtime's words that a client sees."""


@dataclass(frozen=True, slots=True)
class WorkerContext:
    """What a family's workers work with: what they serve, what is loaded, and who learns from what they did.

    `observe` sees every finished batch and how long (s) its worker was busy with it; `samples` takes rows of some;
    `rows` are known to run.
    """

    family: Family
    dispatcher: Dispatcher
    loaded: Mapping[Arm, Backend]
    precisions: Mapping[str, str]
    samples: Samples
    observe: Callable[[Batch, float], None]
    rows: SampleRows


class Worker(threading.Thread):
    """Runs batches of one family until its dispatcher is closed and drained, or until it was replaced.

    `gate` is held while a batch runs, so that a measurement never shares the core with one. `replaced` is called from
    the watch when this worker does not come back from its backend; the gate is then the replacement's.
    """

    def __init__(
        self,
        context: WorkerContext,
        gate: threading.Lock,
        watch: Watch,
        failures: Failures,
        replaced: Callable[["Worker"], None],
    ) -> None:
        super().__init__(name=f"worker-{context.family.name}", daemon=True)
        self.gate = gate
        self.done = threading.Event()
        """Nobody need wait for it: it has ended, or was replaced."""
        self._context = context
        self._watch = watch
        self._failures = failures
        self._replaced = replaced
        self._lost = False
        self._last: Arm | None = None
        self._held_up_s = 0.0
        self._waited_s = 0.0
        self._waits: CpuWaits
        self._dispatcher = context.dispatcher
        self._buffers = Buffers(context.family)

    def run(self) -> None:
        """Work until there is no more. Every job of every step gets its answer, whatever the backend does."""
        self._waits = CpuWaits()
        try:
            while not self._lost and (task := self._dispatcher.next_step(self._last)) is not None:
                if isinstance(task, Step):
                    try:
                        self._serve(task)
                    finally:
                        task.let_go()
                else:
                    self._probe(task)
        finally:
            self._waits.close()
            self.done.set()

    def _serve(self, step: Step) -> None:
        self._enter()
        try:
            step.entered = True
            answers = self._answers(step)
        finally:
            self._leave()
        if answers is None:
            self._dispatcher.requeue(step)
            return
        batch = answers[0].batch
        if self._lost or batch is None or batch.units != step.rows:
            self._dispatcher.finish(
                step, answers
            )  # what was given up or run apart says nothing of speed
            return
        batch = self._judged(step, batch)
        self._dispatcher.finish(step, answers)
        if self._context.samples.wanted:
            self._context.samples.offer(answers)
        self._context.observe(batch, time.monotonic() - step.begun_s - self._held_up_s)

    def _judged(self, step: Step, batch: Batch) -> Batch:
        """Let the quarantine see how long a batch took; where it was the arm's fault, nobody is to learn from it."""
        arm, own_s = step.profile.arm, batch.ended_s - batch.started_s - self._waited_s
        quarantine, predicted_s = self._dispatcher.quarantine, step.profile.mean_s[step.rows]
        quarantine.tell(Ran(arm, predicted_s, own_s, step.retried, step.bound_s))
        return replace(batch, telling=False) if quarantine.is_out(arm) else batch

    def _answers(self, step: Step) -> list[JobAnswer] | None:
        """The answers of a step; None where the arm let it down, so that its jobs are to go elsewhere."""
        try:
            return self._run(step, step.jobs)
        except Exception as error:  # noqa: BLE001 - one bad batch must not end the worker: its jobs still need answers
            self._failures.tell(step.profile.arm, step.rows, error)
        if self._lost:
            return None
        arm, quarantine = step.profile.arm, self._dispatcher.quarantine
        if not self._canary_passes(step) and not self._lost:
            quarantine.tell(Failed(arm, canary_passed=False))
        if self._lost or quarantine.is_out(arm):
            return None
        answers = self._apart(step)
        if answers is not None:
            well = all(answer.error is None for answer in answers)
            quarantine.tell(Failed(arm, canary_passed=True, alone=well))
        return answers

    def _apart(self, step: Step) -> list[JobAnswer] | None:
        """A neighbour's fault is not theirs: each job alone. None where one of them does not come back."""
        answers: list[JobAnswer] = []
        for job in step.jobs:
            try:
                answers += self._run(step, (job,))
            except Exception as error:  # noqa: BLE001 - as above: the next job may be well
                self._failures.tell(step.profile.arm, job.rows, error)
                answers.append(JobAnswer(job, error=self._reason(step, job, error)))
            if self._lost:
                return None
        return answers

    def _reason(self, step: Step, job: Job, error: Exception | None) -> RequestError:
        """Why a job fails by itself on an arm that runs known-good input: for what is in a row, where one fails alone.

        That row is looked for by halves, which takes no more runs of rows than the job has.
        """
        first, end = 0, job.rows
        while end - first > 1 and objection(error) and not self._lost:
            middle = (first + end) // 2
            failed = self._failure(step, job, first, middle)
            first, end, error = (first, middle, failed) if failed else (middle, end, error)
        if not self._lost and 0 < first == end - 1:  # its half failed as a whole, or was not run
            error = self._failure(step, job, first, end)
        if self._lost or not (said := objection(error)):
            variant = step.profile.arm.variant
            return ComputeFailed(f"variant {variant} failed; the server's log has the cause")
        several = job.rows > 1 or job.part_of is not None
        which = f"row {job.first + first} of this request" if several else "this request"
        family = self._context.family.name
        return BadInput(f"model '{family}' failed on {which}: {shown(said, _MOST_SAID)}")

    def _failure(self, step: Step, job: Job, first: int, end: int) -> Exception | None:
        """What comes of some of a job's rows alone; None where they run."""
        try:
            rows = end - first
            inputs = {n: a[first:end] for n, a in job.inputs.items()}
            self._call(step, (rows, rows * job.row_units), inputs)
        except Exception as error:  # noqa: BLE001 - as above
            return error
        return None

    def _run(self, step: Step, jobs: tuple[Job, ...]) -> list[JobAnswer]:
        """The jobs' answers; rows of unlike sizes are run one after the other."""
        started_s, computed_s = time.monotonic(), 0.0
        ran: list[tuple[Sequence[Job], Arrays]] = []
        for some in self._buffers.runs(jobs, step.profile):
            rows, units = sum(job.rows for job in some), sum(job.units for job in some)
            inputs = self._buffers.gather(some, rows)
            gathered_s = time.monotonic()
            ran.append((some, self._call(step, (rows, units), inputs)))
            computed_s += time.monotonic() - gathered_s
        ended_s = time.monotonic()
        batch = Batch(
            step.profile,
            self._context.precisions[step.profile.arm.variant],
            sum(job.rows for job in jobs),
            started_s,
            ended_s - computed_s,
            ended_s,
            sum(job.units for job in jobs),
            after=step.after,
        )
        scatter = self._buffers.scatter
        return [answer for some, outputs in ran for answer in scatter(some, outputs, batch)]

    def _canary_passes(self, task: Step | CanaryRun) -> bool:
        """Whether known-good input runs on the arm."""
        try:
            inputs = self._context.rows.work(1)
            self._call(task, (1, 1), inputs)
        except Exception as error:  # noqa: BLE001 - whatever it is, the arm is to blame
            self._failures.tell(task.profile.arm, 1, error)
            return False
        return True

    def _probe(self, canary: CanaryRun) -> None:
        self._enter()
        try:
            if (
                canary.profile.arm not in self._context.loaded
            ):  # let go while this worker waited for its turn
                return
            started_s = time.monotonic()
            ok = self._canary_passes(canary)
            took_s = time.monotonic() - started_s
        finally:
            self._leave()
        if not self._lost:
            arm, own_s = canary.profile, took_s - self._waited_s
            self._dispatcher.quarantine.tell(Probed(arm.arm, ok, arm.mean_s[1], own_s))

    def _call(self, task: Step | CanaryRun, size: tuple[int, int], inputs: Arrays) -> Arrays:
        """One run of the backend. `size`: its rows, and how much work they are."""
        rows, units = size
        arm = self._last = task.profile.arm
        run = self._watch.begin(task, units, self._waits, lambda: self._replaced(self))
        try:
            return checked(
                self._context.loaded[arm].run(inputs), rows, self._context.family, arm.variant
            )
        finally:
            self._lost = not self._watch.end(run)
            self._waited_s += run.waited_s

    def _enter(self) -> None:
        """Take the gate."""
        asked_s = time.monotonic()
        self.gate.acquire()
        self._waited_s = 0.0
        self._held_up_s = (
            time.monotonic() - asked_s
        )  # by a measurement: no part of what a batch costs

    def _leave(self) -> None:
        """Give it back, unless it has become the replacement's meanwhile."""
        if not self._lost:
            self.gate.release()
