"""Answers on their way back to clients, each counted by how its request ended. No lock is held meanwhile."""

from collections.abc import Callable, Sequence
from math import inf

from server.metrics import FamilyMetrics, Served
from server.policy.queueing.standing import Standing
from server.runtime.dispatch import outcomes
from server.runtime.dispatch.jobs import Deliver, Job, JobAnswer
from server.runtime.dispatch.traffic import is_promised, says_something

_SAYS_NOTHING = frozenset({"invalid", "not_ready"})
"""Ends that no decision could have changed: they say nothing of how a class fares."""


class Replies:
    """`deliver` takes answers to who asked, `withdraw` takes out jobs that wait in vain.

    `standing` learns how each class fares. Pieces of a job are joined here: outside there is one answer.
    """

    def __init__(
        self,
        standing: Standing,
        metrics: FamilyMetrics,
        deliver: Deliver,
        withdraw: Callable[[Sequence[Job]], object],
    ) -> None:
        self._deliver = deliver
        self._withdraw = withdraw
        self._standing = standing
        self._metrics = metrics

    def unrun(self, answers: Sequence[JobAnswer]) -> None:
        """Deliver and count answers of requests that did not run."""
        if answers and (whole := self._joined(answers)):
            self._deliver(whole)
            self._count_unrun(whole)

    def refused(self, answers: Sequence[JobAnswer]) -> None:
        """Deliver and count answers of requests that were not let in: so many rows may never have been possible."""
        if answers:
            self._deliver(answers)
            self._count_unrun(answers, refused=True)

    def step(self, answers: Sequence[JobAnswer]) -> Sequence[JobAnswer]:
        """Deliver a step's answers; returns what became of them, to be counted."""
        answers = self._joined(answers)
        if not answers:
            return answers
        withheld = {id(one.job): one for one in self._deliver(answers) or ()}
        return [withheld.get(id(a.job), a) for a in answers] if withheld else answers

    def count(self, answers: Sequence[JobAnswer], now_s: float) -> None:
        """A step's answers were delivered just now."""
        served: list[Served] = []
        ends: list[tuple[str, bool, bool]] = []
        asked, from_s = None, inf
        for answer in answers:
            job, batch = answer.job, answer.batch
            if batch is None:
                continue
            if (job.min_accuracy, job.variant) != asked:
                asked = job.min_accuracy, job.variant
                from_s = self._standing.promised_from_s(*asked)
            bound_s, took_s = job.deadline_s - job.arrival_s, now_s - job.arrival_s
            waited_s, in_time = batch.started_s - job.arrival_s, now_s <= job.deadline_s
            accuracy, compute_s = batch.profile.accuracy, batch.compute_s
            served.append(
                Served(
                    job.slo_class,
                    accuracy,
                    compute_s,
                    waited_s,
                    took_s,
                    bound_s,
                    in_time,
                    now_s,
                    batch.gathered_s - batch.started_s,
                )
            )
            if not job.missed:  # else that was told when it was missed
                ends.append((job.slo_class, bound_s >= from_s, in_time))
        self._standing.ended_together(ends)
        self._metrics.answered(served)
        if len(served) < len(answers):
            self._count_unrun([answer for answer in answers if answer.error is not None])

    def _joined(self, answers: Sequence[JobAnswer]) -> Sequence[JobAnswer]:
        if all(answer.job.part_of is None for answer in answers):
            return answers
        joined: list[JobAnswer] = []
        for answer in answers:
            if answer.job.part_of is None:
                joined.append(answer)
                continue
            one, useless = answer.job.part_of.add(answer)
            if one is not None:
                joined.append(one)
            if useless:
                self._withdraw(useless)
        return joined

    def _count_unrun(self, answers: Sequence[JobAnswer], *, refused: bool = False) -> None:
        for answer in answers:
            job, outcome = answer.job, outcomes.outcome(answer.error)
            hopeless = refused and outcome == "expired" and not says_something(self._standing, job)
            if outcome not in _SAYS_NOTHING and not hopeless and not job.missed:
                promised = not (refused and job.rows > 1) and is_promised(self._standing, job)
                self._standing.ended(job.slo_class, in_time=False, promised=promised)
            self._metrics.unrun(job.slo_class, outcome, job.deadline_s - job.arrival_s)
