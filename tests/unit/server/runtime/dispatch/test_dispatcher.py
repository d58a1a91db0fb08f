"""The dispatcher as a value in one thread: every job gets one answer, or a place in a step, and never both."""

import threading
import time
from dataclasses import replace

import pytest

from server.errors import DeadlineMissed, NotReady, Overloaded
from server.policy.arms.incidents import Failed
from server.policy.decision import Arm, Outlook, Run, WaitUntil
from server.runtime.dispatch.dispatcher import Limits, Step
from server.runtime.dispatch.jobs import Batch, JobAnswer
from tests.support.builders import a_profile, three_arms
from tests.support.desk import Desk, a_job, asleep, finish, taken, watched


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


def test_who_waits_for_a_variant_that_is_let_go_is_told_so_at_once_and_the_others_wait_on():
    small, middle, large = three_arms()
    desk = Desk(arms=[small, middle, large])
    desk.submit(a_job(variant="middle"), a_job(variant="large"), a_job())

    desk.dispatcher.apply([small, large])
    desk.dispatcher.apply([small, large])

    (answer,) = desk.answers
    assert isinstance(answer.error, NotReady)
    assert "variant 'middle' is not available now" in str(answer.error)
    assert (desk.dispatcher.depth, desk.outcomes()) == (2, {"not_ready": 1})


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
    batch = Batch(step.profile, "fp32", 2, now_s, now_s, now_s + 0.001, 2)

    desk.dispatcher.finish(step, [JobAnswer(job, {}, batch) for job in step.jobs])

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


def test_a_shed_job_is_told_when_to_ask_again():
    desk = Desk(arms=[a_profile(first_s=1.0, more_s=0.01, max_batch=4)])
    desk.submit(*(a_job(slo_s=2.0) for _ in range(12)))

    step = desk.dispatcher.next_step()

    assert step is not None
    shed = [answer.error for answer in desk.answers]
    assert len(shed) + len(step.jobs) + desk.dispatcher.depth == 12
    assert {type(error) for error in shed} == {Overloaded}
    (hint,) = {error.retry_s for error in shed if error is not None}
    assert hint == pytest.approx((len(step.jobs) + desk.dispatcher.depth) * 1.03 / 4)


def test_what_cannot_be_answered_with_all_ahead_of_it_is_refused_at_arrival():
    desk = Desk(arms=[a_profile(first_s=0.1, more_s=0.1)])

    desk.submit(*(a_job(slo_s=1.02) for _ in range(40)))

    assert desk.dispatcher.depth == 21  # twice the ten that can be done, and the one that met them
    error = desk.answers[0].error
    assert isinstance(error, Overloaded)
    assert error.retry_s == pytest.approx(2.1)
    assert "what waits now takes about 2100 ms" in str(error)


def test_the_policy_is_told_what_arrived_and_what_ended_since_it_was_last_asked():
    seen: list[Outlook] = []
    desk = Desk(Limits(workers=2, capacity_rows=3), factory=lambda arms: watched(arms, seen))
    desk.submit(a_job(rows=2), a_job(rows=2))  # the second is refused: it counts as arrived
    first = desk.dispatcher.next_step()
    assert first is not None
    finish(desk, first)
    desk.submit(a_job())
    second = desk.dispatcher.next_step()
    desk.submit(a_job())
    third = desk.dispatcher.next_step()

    assert second is not None
    assert third is not None
    assert [outlook.arrived for outlook in seen] == [4, 5, 6]
    (ended,) = seen[1].finished
    assert (ended.arm, ended.rows) == (first.profile.arm, 2)
    assert 0.0 < ended.latency_s < 60.0
    assert (seen[0].finished, seen[2].finished) == ((), ())
    assert desk.dispatcher.load().running == 2


def test_a_step_whose_jobs_were_run_apart_tells_nothing_of_speed():
    ended: list[Outlook] = []
    desk = Desk(factory=lambda arms: watched(arms, ended))
    desk.submit(a_job(), a_job())
    step = desk.dispatcher.next_step()
    assert step is not None

    apart = Batch(step.profile, "fp32", 1, step.begun_s, step.begun_s, step.begun_s, 1)
    desk.dispatcher.finish(step, [JobAnswer(job, {}, apart) for job in step.jobs])
    desk.submit(a_job())
    desk.dispatcher.next_step()

    assert ended[-1].finished == ()
    assert desk.dispatcher.load().running == 1  # the later one


def test_a_decision_is_kept_with_what_it_was_made_from():
    desk = Desk()
    desk.submit(a_job(), a_job(rows=2))

    step = desk.dispatcher.next_step()

    (record,) = desk.dispatcher.journal.last(5)
    assert step is not None
    assert isinstance(record.decision, Run)
    assert record.tickets == record.decision.tickets
    assert (record.waiting, record.outlook.arrived, record.arms) == (2, 3, desk.dispatcher.arms)
    assert 0.0 < record.took_s < 1.0


def test_the_load_tells_tickets_rows_and_forecast():
    desk = Desk()

    desk.submit(a_job(), a_job(rows=2))
    load = desk.dispatcher.load()

    assert (load.running, load.tickets, load.rows, load.arrived) == (0, 2, 3, 3)
    assert load.rate_rps > 0.0


def test_no_more_steps_are_given_out_than_workers_may_serve():
    desk = Desk(Limits(workers=2))
    desk.dispatcher.resize(1)
    desk.submit(a_job())
    first = desk.dispatcher.next_step()
    desk.submit(a_job())

    taken: list[object] = []
    other = threading.Thread(target=lambda: taken.append(desk.dispatcher.next_step()))
    other.start()
    assert first is not None
    assert taken == []
    assert desk.dispatcher.slack(1.0).idle == 0
    desk.dispatcher.resize(2)
    other.join(60.0)

    assert len(taken) == 1
    assert desk.dispatcher.load().running == 2


def test_idle_is_when_nobody_waits_and_nothing_runs():
    desk = Desk()
    assert desk.dispatcher.await_idle(0.0)

    desk.submit(a_job())
    assert not desk.dispatcher.await_idle(0.0)
    step = desk.dispatcher.next_step()
    assert not desk.dispatcher.await_idle(0.0)
    assert step is not None
    finish(desk, step)

    assert desk.dispatcher.await_idle(0.0)


def test_a_drain_is_told_that_it_is_over_by_the_last_worker_to_end():
    desk = Desk()
    desk.submit(a_job())
    step = desk.dispatcher.next_step()
    assert step is not None
    desk.dispatcher.close()
    drain = asleep(lambda: desk.dispatcher.await_idle(60.0))

    finish(desk, step)
    assert desk.dispatcher.next_step() is None

    drain.join(10.0)
    assert not drain.is_alive()


@pytest.mark.parametrize("leave", ["cancelled", "abandoned", "stranded", "out of use"])
def test_a_drain_is_over_and_workers_end_when_the_last_who_waits_leaves(leave: str):
    arms = three_arms()
    desk = Desk(arms=arms, factory=lambda _: lambda *_: WaitUntil(time.monotonic() + 60.0))
    job = a_job(variant="large")
    desk.submit(job)
    worker = asleep(desk.dispatcher.next_step)
    desk.dispatcher.close()
    drain = asleep(lambda: desk.dispatcher.await_idle(60.0))

    match leave:
        case "cancelled":
            assert desk.dispatcher.cancel(job)
        case "abandoned":
            desk.dispatcher.abandon()
        case "stranded":
            desk.dispatcher.apply(arms[:2])
        case _:
            desk.dispatcher.quarantine.tell(Failed(arms[2].arm, canary_passed=False))

    for thread in (drain, worker):
        thread.join(10.0)
        assert not thread.is_alive()


def test_a_drain_is_over_when_the_pieces_of_a_job_that_failed_leave():
    desk = Desk(Limits(workers=1), arms=[a_profile(first_s=0.001, max_batch=8)])
    desk.submit(a_job(rows=24))
    step = desk.dispatcher.next_step()
    assert step is not None
    worker = asleep(desk.dispatcher.next_step)
    desk.dispatcher.close()
    drain = asleep(lambda: desk.dispatcher.await_idle(60.0))

    desk.dispatcher.finish(step, [JobAnswer(job, error=NotReady("no")) for job in step.jobs])
    assert desk.dispatcher.next_step() is None

    for thread in (drain, worker):
        thread.join(10.0)
        assert not thread.is_alive()


def test_the_policy_is_told_what_the_asking_worker_ran_last_and_the_step_remembers_it():
    told: list[Outlook] = []
    desk, last = Desk(factory=lambda arms: watched(arms, told)), Arm("other", "scripted")
    desk.submit(a_job())

    step = desk.dispatcher.next_step(last)

    assert [outlook.last for outlook in told] == [last]
    assert isinstance(step, Step)
    assert step.after == last


def test_what_nobody_could_serve_says_nothing_of_what_comes_or_of_how_a_class_fares():
    desk = Desk(Limits(slo_s=0.1, weights={"default": 1.0, "other": 1.0}))
    demanding = replace(a_job(0.1), min_accuracy=0.99)

    desk.submit(replace(a_job(0.0001), slo_class="other"), demanding, a_job(0.1, variant="gone"))
    standing = desk.dispatcher.standing
    assert len(desk.answers) == 3
    assert desk.dispatcher.load().rate_rps == 0.0
    assert standing.haste(time.monotonic()).rate_rps == 0.0

    desk.submit(a_job(0.1))
    finish(desk, taken(desk))
    assert desk.dispatcher.load().rate_rps > 0.0
    assert not standing.values(time.monotonic())  # one class is known
    assert standing.attainment("default") == 1.0
