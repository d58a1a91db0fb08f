"""Memory that a request is read from: given back once, and never while a worker may still read it."""

import pytest

from server.errors import ComputeFailed
from server.runtime.dispatch.dispatcher import Limits, Step
from server.runtime.dispatch.jobs import Job, JobAnswer, Loan
from tests.support.builders import a_profile, three_arms
from tests.support.desk import Desk, a_job, finish, taken


class Lender:
    """A desk whose answers end their client's wait, as the engine's do, and how often memory came back."""

    def __init__(self, *, workers: int = 1, desk: Desk | None = None) -> None:
        self.returned = 0
        self.desk = desk or Desk(Limits(workers), [a_profile("small", first_s=0.001, max_batch=8)])

    def job(self, rows: int = 1) -> Job:
        """One that waits."""
        job = a_job(rows=rows, loan=Loan(self._take_back))
        self.desk.submit(job)
        return job

    def hear(self) -> None:
        """Who was answered waits no more."""
        for answer in self.desk.answers:
            assert answer.job.loan is not None
            answer.job.loan.let_go()
        self.desk.answers.clear()

    def fail(self, step: Step) -> None:
        """Its jobs fail."""
        failed = [JobAnswer(job, error=ComputeFailed("no")) for job in step.jobs]
        self.desk.dispatcher.finish(step, failed)

    def _take_back(self) -> None:
        self.returned += 1


@pytest.mark.parametrize("rows", [1, 8, 20])
def test_memory_comes_back_once_when_its_rows_were_answered(rows: int):
    lender = Lender()
    lender.job(rows)

    while lender.desk.dispatcher.depth:
        step = taken(lender.desk)
        finish(lender.desk, step)
        lender.hear()
        assert not lender.returned
        step.let_go()

    assert lender.returned == 1


def test_a_piece_that_runs_keeps_the_memory_of_a_request_that_failed():
    lender = Lender(workers=2)
    lender.job(rows=16)
    first, second = taken(lender.desk), taken(lender.desk)

    lender.fail(first)
    lender.hear()
    first.let_go()
    before = lender.returned
    finish(lender.desk, second)
    second.let_go()

    assert (before, lender.returned, lender.desk.answers) == (0, 1, [])


def test_a_worker_that_was_given_up_keeps_the_memory_that_others_have_answered_from():
    lender = Lender(desk=Desk(arms=three_arms()))
    lender.job()
    lost = taken(lender.desk)
    lender.desk.dispatcher.requeue(lost)
    other = taken(lender.desk)
    finish(lender.desk, other)
    lender.hear()
    other.let_go()

    before = lender.returned
    lost.let_go()

    assert (before, lender.returned) == (0, 1)


def test_a_worker_that_was_given_up_keeps_the_memory_of_whoever_left_meanwhile():
    lender = Lender(desk=Desk(arms=three_arms()))
    job = lender.job()
    lost = taken(lender.desk)
    lender.desk.dispatcher.requeue(lost)

    assert lender.desk.dispatcher.cancel(job)
    assert job.loan is not None
    job.loan.let_go()  # as whoever cancels does

    before = lender.returned
    lost.let_go()
    assert (before, lender.returned) == (0, 1)


def test_memory_of_pieces_that_wait_when_the_server_ends_is_kept_by_the_one_that_runs():
    lender = Lender()
    lender.job(rows=24)
    step = taken(lender.desk)

    lender.desk.dispatcher.abandon()
    lender.hear()
    before = lender.returned
    finish(lender.desk, step)
    step.let_go()

    assert (before, lender.returned, lender.desk.answers) == (0, 1, [])
