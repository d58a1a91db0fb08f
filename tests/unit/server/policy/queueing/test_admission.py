"""Admission: what may wait, and what is told at once that it may not."""

import pytest

from server.policy.decision import Ticket
from server.policy.queueing.admission import MARGIN, Admit, Refuse, admission, row_s
from tests.support.builders import a_profile, a_ticket, three_arms


def test_a_ticket_with_time_and_room_is_admitted():
    admit = admission(three_arms(), 10)

    assert admit(a_ticket(), 9, 0.0) == Admit()


def test_a_full_queue_refuses_and_says_so():
    admit = admission(three_arms(), 10)

    verdict = admit(a_ticket(rows=2), 9, 0.0)

    assert isinstance(verdict, Refuse)
    assert verdict.reason == "full"
    assert "limit is 10" in verdict.message


def test_a_deadline_no_arm_can_meet_is_late_at_once():
    verdict = admission(three_arms(), 10)(a_ticket(slo_s=0.002), 0, 0.0)

    assert isinstance(verdict, Refuse)
    assert verdict.reason == "late"
    assert "its deadline is 2.0 ms away" in verdict.message


def test_a_deadline_that_has_passed_is_told_as_such():
    verdict = admission(three_arms(), 10)(a_ticket(slo_s=0.002), 0, 0.005)

    assert isinstance(verdict, Refuse)
    assert "its deadline passed 3.0 ms ago, the fastest acceptable arm needs" in verdict.message


def test_lateness_is_judged_by_the_arms_the_ticket_accepts():
    verdict = admission(three_arms(), 10)(a_ticket(slo_s=0.005, min_accuracy=0.75), 0, 0.0)

    assert isinstance(verdict, Refuse)
    assert verdict.reason == "late"


@pytest.mark.parametrize(
    ("ticket", "reason", "words"),
    [
        (a_ticket(min_accuracy=0.81), "unservable", "best available, 0.8"),
        (a_ticket(variant="huge"), "unservable", "'huge' is not available"),
        (a_ticket(variant="small", min_accuracy=0.75), "unservable", "best available, 0.7"),
        (a_ticket(rows=17), "too_large", "exceed the largest batch 16"),
    ],
)
def test_what_no_arm_can_serve_is_refused_with_the_reason(ticket: Ticket, reason: str, words: str):
    verdict = admission(three_arms(), 100)(ticket, 0, 0.0)

    assert isinstance(verdict, Refuse)
    assert verdict.reason == reason
    assert words in verdict.message


def test_without_arms_everything_is_unservable():
    verdict = admission((), 10)(a_ticket(), 0, 0.0)

    assert isinstance(verdict, Refuse)
    assert verdict.reason == "unservable"


def test_rows_are_judged_by_the_arms_that_hold_them():
    arms = [a_profile("tiny", max_batch=1), a_profile("wide", first_s=0.02, max_batch=4)]

    assert isinstance(admission(arms, 10)(a_ticket(slo_s=0.01), 0, 0.0), Admit)
    assert isinstance(admission(arms, 10)(a_ticket(slo_s=0.01, rows=2), 0, 0.0), Refuse)


def test_more_ahead_than_all_workers_can_answer_is_overloaded_with_a_hint():
    admit = admission([a_profile(first_s=0.002)], 1000, workers=2)  # a row takes 1 ms
    ahead = [0.05] * 200

    verdict = admit(a_ticket(slo_s=0.05), 200, 0.0, ahead)

    assert isinstance(verdict, Refuse)
    assert verdict.reason == "overloaded"
    assert "200 requests with earlier deadlines wait" in verdict.message
    assert verdict.retry_s == pytest.approx(0.2)


def test_what_might_still_be_done_in_time_is_not_overloaded():
    admit = admission([a_profile(first_s=0.002)], 1000, workers=2)
    most = int(MARGIN * 0.05 / 0.001)

    assert admit(a_ticket(slo_s=0.05), most, 0.0, [0.05] * most) == Admit()


@pytest.mark.parametrize("deadline_s", [0.051, -0.001])
def test_tickets_that_are_due_later_or_already_late_are_not_ahead(deadline_s: float):
    admit = admission([a_profile(first_s=0.002)], 1000, workers=2)

    assert admit(a_ticket(slo_s=0.05), 500, 0.0, [deadline_s] * 500) == Admit()


def test_without_workers_or_deadlines_nothing_is_overloaded():
    arms = [a_profile(first_s=0.002)]

    assert admission(arms, 1000)(a_ticket(slo_s=0.05), 500, 0.0, [0.05] * 500) == Admit()
    assert admission(arms, 1000, workers=2)(a_ticket(slo_s=0.05), 500, 0.0) == Admit()


def test_the_pace_is_that_of_the_best_batch_on_the_cheapest_arm():
    assert row_s(three_arms()) == pytest.approx((0.003 + 15 * 0.002) / 16)


def test_a_full_queue_hints_when_what_waits_is_done():
    verdict = admission([a_profile(first_s=0.002)], 10, workers=2)(a_ticket(), 10, 0.0)

    assert isinstance(verdict, Refuse)
    assert verdict.retry_s == pytest.approx(0.01)
