"""What rows that are due at once can still get: the table, and the steps it makes best."""

import numpy as np
import pytest

from server.policy.decision import Outlook, Run
from server.policy.dispatch.choose import adaptive
from server.policy.dispatch.clump_plan import BUCKETS, PlannedClump, clump_plan, in_step
from tests.support.builders import a_profile, tickets

SLO_S = 0.064
QUICK = a_profile("quick", 0.7, 0.001, max_batch=8, p95=1.0)
GOOD = a_profile("good", 0.8, 0.006, 0.002, max_batch=8, p95=1.0)


def got(rows: int, time_s: float, workers: int = 1, price: float = 1e-6) -> float:
    plan = clump_plan([QUICK, GOOD], SLO_S, 32)
    return plan.at(price).worth(rows, time_s, workers)


@pytest.mark.parametrize(
    ("rows", "time_s", "worth"),
    [
        (8, 0.0205, 8 * 0.8),  # one batch of eight takes 20 ms on the good arm
        (8, 0.0195, 8 * 0.7),
        (16, 0.0405, 16 * 0.8),  # two of them, one after the other
        (16, 0.0385, 16 * 0.7),
        (8, 0.004, 4 * 0.7),  # time for half of them
        (8, 0.0, 0.0),
        (0, 0.064, 0.0),
    ],
)
def test_a_clump_gets_the_best_arm_that_serves_all_of_it_in_time(
    rows: int, time_s: float, worth: float
) -> None:
    assert got(rows, time_s) == pytest.approx(worth, abs=2e-3)


def test_workers_share_a_clump() -> None:
    assert got(16, 0.0205, workers=2) == pytest.approx(16 * 0.8, abs=2e-3)


def test_time_that_is_worth_less_than_its_price_is_not_taken() -> None:
    dear = (
        0.8 / 0.012
    )  # the good arm takes 12 ms more for eight rows, and is worth 0.8 more for them

    assert got(8, 0.064, price=0.8 * dear) > got(8, 0.019, price=0.8 * dear)
    assert got(8, 0.064, price=1.3 * dear) == got(8, 0.019, price=1.3 * dear)


def test_every_bucket_offers_what_a_shorter_one_does() -> None:
    table = clump_plan([QUICK, GOOD], SLO_S, 32).accuracy

    assert table.shape == (33, BUCKETS + 1)
    assert (np.diff(table, axis=1) >= 0.0).all()


def test_a_step_is_worth_what_it_earns_and_leaves() -> None:
    planned = PlannedClump(clump_plan([QUICK, GOOD], SLO_S, 32).at(1e-6), 1e-6, 1, 1.0)

    worth = [planned.worth(*of, left_s=0.0225) for of in ((0.8, 0.006, 7), (8 * 0.8, 0.020, 0))]

    assert worth == pytest.approx([0.8 + 7 * 0.7, 8 * 0.8], abs=2e-3)


def test_rows_in_step_are_served_by_a_plan_where_promises_were_kept_with_room() -> None:
    """Eight at once every 64 ms, and 66 ms to answer: all together on the good arm, not one by one nor on the quick."""
    policy = adaptive([QUICK, GOOD])
    line = tickets(8, slo_s=0.066)

    step = policy(line, Outlook(8 / 0.064, clump_rows=8.0, burst_rows=3.0, boldness=1.0), 0.0)

    assert isinstance(step, Run)
    assert (step.profile.arm.variant, step.rows) == ("good", 8)


@pytest.mark.parametrize(
    ("burst_rows", "boldness", "weight"),
    [(3.0, 1.0, 1.0), (3.0, 0.5, 0.5), (5.0, 1.0, 0.5), (8.0, 1.0, 0.0), (3.0, 0.0, 0.0)],
)
def test_clumps_that_come_at_random_are_not_planned(
    burst_rows: float, boldness: float, weight: float
) -> None:
    outlook = Outlook(100.0, clump_rows=8.0, burst_rows=burst_rows, boldness=boldness)

    assert in_step(outlook) == pytest.approx(weight)
