"""Answers on their way back to clients, each counted by how its request ended. No lock is held meanwhile."""

from collections.abc import Callable, Sequence

from server.metrics import FamilyMetrics
from server.policy.queueing.standing import Standing
from server.runtime.dispatch import outcomes
from server.runtime.dispatch.jobs import Deliver, Job, JobAnswer

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

    def step(self, answers: Sequence[JobAnswer]) -> Sequence[JobAnswer]:
        """Deliver a step's answers; returns what became of them, to be counted."""
        answers = self._joined(answers)
        if not answers:
            return answers
        withheld = {id(one.job): one for one in self._deliver(answers) or ()}
        return [withheld.get(id(a.job), a) for a in answers] if withheld else answers

    def count(self, answers: Sequence[JobAnswer], now_s: float) -> None:
        """A step's answers were delivered just now."""
        served = [outcomes.served(a, a.batch, now_s) for a in answers if a.batch is not None]
        for one in served:
            self._standing.ended(one.slo_class, one.slo_s, in_time=one.in_time)
        if served:
            self._metrics.answered(served)
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

    def _count_unrun(self, answers: Sequence[JobAnswer]) -> None:
        for answer in answers:
            job, outcome = answer.job, outcomes.outcome(answer.error)
            bound_s = job.deadline_s - job.arrival_s
            if outcome not in _SAYS_NOTHING:
                self._standing.ended(job.slo_class, bound_s, in_time=False)
            self._metrics.unrun(job.slo_class, outcome, bound_s)
