"""Decisions where switching arms costs a worker time: none where it costs nothing, fewer where it does."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from server.policy.decision import Arm, ArmProfile, Outlook, Run
from server.policy.dispatch.choose import adaptive
from server.policy.dispatch.explain import alternatives
from server.policy.dispatch.pricing import Planner
from server.policy.dispatch.tuning import DEFAULT
from tests.support.builders import a_ticket, three_arms, tickets

SMALL, MIDDLE, LARGE = (arm.arm for arm in three_arms())


def dear(switch_s: float) -> list[ArmProfile]:
    return [replace(arm, switch_s=switch_s) for arm in three_arms()]


def chosen(
    arms: Sequence[ArmProfile], last: Arm | None, rows: int, rate_rps: float, slo_s: float = 0.1
) -> Arm:
    """What runs next on a worker that ran `last`."""
    step = adaptive(arms)(tickets(rows, slo_s), Outlook(rate_rps, last=last), 0.0)
    assert isinstance(step, Run)
    return step.profile.arm


@pytest.mark.parametrize("rows", [1, 4, 12, 30])
@pytest.mark.parametrize("rate_rps", [20.0, 150.0, 400.0])
def test_where_a_switch_costs_nothing_nobody_asks_what_ran_last(rows: int, rate_rps: float):
    policy = adaptive(three_arms())
    steps = [
        policy(tickets(rows), Outlook(rate_rps, last=last), 0.0)
        for last in (None, SMALL, MIDDLE, LARGE)
    ]

    assert steps == [steps[0]] * 4


def test_an_arm_that_is_hardly_better_is_not_worth_a_switch():
    def kept(switch_s: float) -> int:
        """In how many of these situations a worker stays with what it ran."""
        return sum(
            chosen(dear(switch_s), last, rows, rate_rps) == last
            for last in (SMALL, MIDDLE, LARGE)
            for rows in (1, 3, 5, 8, 12)
            for rate_rps in (60.0, 120.0, 180.0, 240.0)
        )

    assert kept(0.0) < kept(0.002) < kept(0.006)


def test_what_is_much_better_is_worth_it():
    assert chosen(dear(0.004), SMALL, 1, 5.0) == LARGE
    assert chosen(dear(0.004), LARGE, 30, 400.0) == SMALL


def test_a_batch_that_a_switch_would_make_late_stays_on_its_arm():
    assert chosen(dear(0.0), SMALL, 1, 5.0, slo_s=0.015) == LARGE
    assert chosen(dear(0.004), SMALL, 1, 5.0, slo_s=0.015) != LARGE


def test_the_step_says_what_the_batch_takes_with_its_switch():
    step = adaptive(dear(0.004))(tickets(1), Outlook(5.0, last=SMALL), 0.0)

    assert isinstance(step, Run)
    assert step.profile.mean_s[1] == pytest.approx(0.012 + 0.004)


def test_a_worker_that_ran_nothing_yet_pays_nothing():
    step = adaptive(dear(0.004))(tickets(1), Outlook(5.0), 0.0)

    assert isinstance(step, Run)
    assert step.profile == dear(0.004)[2]


def test_the_price_of_time_is_the_long_runs_whatever_ran_last():
    planner = Planner(dear(0.004), DEFAULT)
    mask = planner.mask(0.0, None)

    assert planner.after(SMALL).costs(mask, 0.1) == planner.costs(mask, 0.1)
    assert planner.after(SMALL) is planner.after(SMALL)
    assert Planner(three_arms(), DEFAULT).after(SMALL).arms == three_arms()


def test_where_demands_differ_a_switch_is_paid_for_too():
    waiting = [a_ticket(0, slo_s=0.0155, min_accuracy=0.72), a_ticket(1, slo_s=0.05)]

    def variant(switch_s: float) -> str:
        step = adaptive(dear(switch_s))(waiting, Outlook(5.0, last=MIDDLE), 0.0)
        assert isinstance(step, Run)
        return step.profile.arm.variant

    assert variant(0.0) == "large"
    assert variant(0.004) == "middle"


def test_who_asks_why_sees_what_the_decision_saw():
    arms, waiting, outlook = dear(0.004), tickets(5), Outlook(150.0, last=LARGE)

    best = alternatives(arms, waiting, outlook, 0.0)[0]
    step = adaptive(arms)(waiting, outlook, 0.0)

    assert isinstance(step, Run)
    assert (best.variant, best.rows) == (step.profile.arm.variant, step.rows)
