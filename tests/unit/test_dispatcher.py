"""The dispatcher as a value in one thread: every job gets one answer, or a place in a step, and never both."""

import time
from collections.abc import Sequence

import pytest
from prometheus_client import CollectorRegistry

from server.errors import DeadlineMissed, NotReady, Overloaded
from server.metrics import FamilyMetrics, Metrics
from server.policy import registry
from server.policy.decision import ArmProfile
from server.runtime.dispatcher import Dispatcher, Limits
from server.runtime.jobs import Answer, Batch, Job
from tests.builders import a_profile


class Desk:
    """A dispatcher, the answers that it has given, and what it has counted."""

    def __init__(
        self, limits: Limits | None = None, arms: Sequence[ArmProfile] | None = None
    ) -> None:
        self.registry = CollectorRegistry()
        metrics: FamilyMetrics = Metrics(self.registry, []).family("m")
        self.answers: list[Answer] = []
        self.dispatcher = Dispatcher("m", registry.policy("adaptive"), limits or Limits(), metrics)
        self.dispatcher.answer_to(self.answers.extend)
        chosen = [a_profile(first_s=0.001, more_s=0.0001)] if arms is None else arms
        if chosen:
            self.dispatcher.apply(chosen)

    def submit(self, *jobs: Job) -> None:
        """Submit together."""
        self.dispatcher.submit(jobs)

    def outcomes(self) -> dict[str, float]:
        """Requests by outcome."""
        return {
            sample.labels["outcome"]: sample.value
            for metric in self.registry.collect()
            for sample in metric.samples
            if sample.name == "gearshift_requests_total"
        }


def a_job(slo_s: float = 60.0, rows: int = 1, variant: str | None = None) -> Job:
    """A job that arrives now."""
    now_s = time.monotonic()
    return Job({}, rows, now_s, now_s + slo_s, 0.0, variant, "default", origin=None)


def test_jobs_that_wait_go_into_one_step_in_the_order_of_their_deadlines():
    desk = Desk()
    later, sooner = a_job(slo_s=60.0), a_job(slo_s=50.0)

    desk.submit(later, sooner)
    step = desk.dispatcher.next_step()

    assert step is not None
    assert step.jobs == (sooner, later)
    assert step.rows == 2
    assert (desk.answers, desk.dispatcher.depth) == ([], 0)


def test_before_any_arm_is_ready_jobs_are_told_so():
    desk = Desk(arms=[])

    desk.submit(a_job())

    (answer,) = desk.answers
    assert isinstance(answer.error, NotReady)
    assert "model 'm' is loading" in str(answer.error)
    assert desk.outcomes() == {"not_ready": 1}


def test_what_exceeds_the_capacity_is_refused_at_once():
    desk = Desk(Limits(capacity_rows=3))

    desk.submit(*(a_job() for _ in range(5)))

    assert [type(answer.error) for answer in desk.answers] == [Overloaded, Overloaded]
    assert desk.dispatcher.depth == 3
    assert desk.outcomes() == {"shed": 2}


def test_what_cannot_be_in_time_is_refused_at_once():
    desk = Desk()

    desk.submit(a_job(slo_s=0.0005))

    assert [type(answer.error) for answer in desk.answers] == [DeadlineMissed]
    assert desk.outcomes() == {"expired": 1}


def test_the_reply_margin_is_kept_back_from_every_deadline():
    desk = Desk(Limits(reply_margin_s=10.0))

    desk.submit(a_job(slo_s=9.0), a_job(slo_s=20.0))

    assert [type(answer.error) for answer in desk.answers] == [DeadlineMissed]
    assert desk.dispatcher.depth == 1


def test_a_cancelled_job_is_neither_run_nor_answered():
    desk = Desk()
    kept, gone = a_job(), a_job()
    desk.submit(kept, gone)

    assert desk.dispatcher.cancel(gone)
    step = desk.dispatcher.next_step()

    assert step is not None
    assert step.jobs == (kept,)
    assert desk.answers == []
    assert desk.outcomes() == {"cancelled": 1}


def test_a_job_is_cancelled_once_and_only_while_it_waits():
    desk = Desk()
    job, stranger = a_job(), a_job()
    desk.submit(job)
    desk.dispatcher.next_step()

    assert not desk.dispatcher.cancel(job)
    assert not desk.dispatcher.cancel(stranger)


def test_finish_delivers_and_counts_each_answer_once():
    desk = Desk()
    desk.submit(a_job(), a_job(slo_s=30.0))
    step = desk.dispatcher.next_step()
    assert step is not None
    now_s = time.monotonic()
    batch = Batch(step.arm, "fp32", 2, now_s, now_s, now_s + 0.001)

    desk.dispatcher.finish([Answer(job, {}, batch) for job in step.jobs])

    assert [answer.job for answer in desk.answers] == list(step.jobs)
    assert desk.outcomes() == {"ok": 2}


def test_a_closed_dispatcher_refuses_new_jobs_drains_and_ends():
    desk = Desk()
    waiting = a_job()
    desk.submit(waiting)

    desk.dispatcher.close()
    desk.submit(a_job())
    step = desk.dispatcher.next_step()

    assert step is not None
    assert step.jobs == (waiting,)
    assert desk.dispatcher.next_step() is None
    assert [type(answer.error) for answer in desk.answers] == [NotReady]


def test_abandoning_answers_every_job_that_still_waits():
    desk = Desk()
    jobs = [a_job() for _ in range(3)]
    desk.submit(*jobs)

    desk.dispatcher.close()
    desk.dispatcher.abandon()

    assert {id(answer.job) for answer in desk.answers} == {id(job) for job in jobs}
    assert all(isinstance(answer.error, NotReady) for answer in desk.answers)
    assert desk.dispatcher.next_step() is None


def test_a_variant_that_is_not_there_yet_is_not_ready():
    desk = Desk()

    desk.submit(a_job(variant="other"))

    (answer,) = desk.answers
    assert isinstance(answer.error, NotReady)
    assert "variant 'other' is not available now" in str(answer.error)


def test_arms_that_the_policy_cannot_use_change_nothing():
    desk = Desk()
    before = desk.dispatcher.arms

    with pytest.raises(ValueError, match="at least one"):
        desk.dispatcher.apply([])

    assert desk.dispatcher.arms == before
