"""Who comes in haste."""

import pytest

from server.policy.decision import Haste, Outlook
from server.policy.dispatch.pricing import Planner
from server.policy.dispatch.risks import barred, risks
from server.policy.dispatch.tuning import DEFAULT
from server.policy.queueing.hurry import Hurry, haste, observe
from server.policy.queueing.standing import Standing
from tests.support.builders import three_arms


def test_the_rate_and_the_bound_are_those_of_what_came():
    seen = Hurry()
    for i in range(4000):
        seen = observe(seen, 1.0, 0.01, i / 100.0, 0.05)

    told = haste(seen, 40.0, 0.05)

    assert told.rate_rps == pytest.approx(100.0, rel=0.02)
    assert told.bound_s == pytest.approx(0.01)
    assert haste(seen, 60.0, 0.05).rate_rps < 0.01


def test_where_nobody_came_nothing_is_told():
    assert haste(Hurry(), 1.0, 0.05) == Haste()


def test_only_those_that_allow_far_less_than_the_bound_are_in_haste():
    standing = Standing({}, slo_s=0.05)

    standing.asked(1, 0.04, "default", 1.0)
    assert standing.haste(1.0) == Haste()

    standing.asked(1, 0.01, "default", 1.0)
    assert standing.haste(1.0).bound_s == 0.01


def test_a_batch_within_their_room_bars_nobody_and_more_workers_bar_fewer():
    planner = Planner(three_arms(), DEFAULT)
    one, four = (
        barred(Outlook(100.0, workers, haste=Haste(50.0, 0.02)), planner) for workers in (1, 4)
    )
    lengths_s = planner.tables[0][2][1:4]

    assert one.lost_by_each(lengths_s * 0.1).max() == 0.0
    assert one.lost_by_each(lengths_s)[-1] > four.lost_by_each(lengths_s)[-1] * 4.0


def test_who_is_barred_by_the_shortest_batch_too_is_no_reason_for_short_ones():
    planner = Planner(three_arms(), DEFAULT)
    hopeless = barred(Outlook(100.0, haste=Haste(1000.0, 0.0001)), planner)

    assert hopeless.lost_by_each(planner.tables[0][2][1:]).max() == 0.0


def test_where_some_are_shed_who_is_in_haste_counts_only_where_some_are_worth_more():
    planner = Planner(three_arms(), DEFAULT)
    alike = Outlook(100.0, haste=Haste(50.0, 0.02))
    unlike = Outlook(100.0, values={"a": 2.0, "b": 0.5}, haste=Haste(50.0, 0.02))

    assert risks(alike, 0.003, 0.05, planner) == risks(unlike, 0.003, 0.05, planner, shed=True)
    assert risks(alike, 0.003, 0.05, planner, shed=True) == ()
