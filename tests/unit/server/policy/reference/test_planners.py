"""INFaaS, Model-Switching, Proteus and RAMSIS: what they plan for which load, and how plans are served."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from server.policy.decision import (
    ArmProfile,
    Idle,
    Outlook,
    Policy,
    PolicyFactory,
    Run,
    WaitUntil,
)
from server.policy.reference.infaas import infaas
from server.policy.reference.model_switching import in_time, model_switching
from server.policy.reference.planned import BatchRule, serve_planned
from server.policy.reference.planning import PERIOD_S, ExpectedLoad, LoadMeter, Offline
from server.policy.reference.poisson import arriving, growing
from server.policy.reference.proteus import proteus, shared_out
from server.policy.reference.ramsis import PolicyTable, ramsis
from server.simulator.arrivals import poisson
from server.simulator.engine import simulate, tickets_at
from server.simulator.setup import Setup
from tests.support.builders import a_profile, a_ticket, three_arms

SLO_S = 0.1
PLANNERS = [infaas, model_switching, proteus, ramsis]
BY_PERIOD = [infaas, model_switching, partial(proteus, patient=False)]


class _Shop:
    """A policy asked once every 10 ms while requests come at a rate; eight tickets, just come, wait each time."""

    def __init__(self, policy: Policy, workers: int = 1) -> None:
        self.policy, self.workers = policy, workers
        self.now_s, self.arrived = 0.0, 0.0

    def after(self, span_s: float, rate_rps: float, waiting: int = 8) -> Run:
        """The last batch of `span_s` at `rate_rps`."""
        ran: list[Run] = []
        until_s = self.now_s + span_s
        while self.now_s < until_s:
            queue = [a_ticket(i, self.now_s, SLO_S) for i in range(waiting)]
            outlook = Outlook(rate_rps, self.workers, int(self.arrived))
            decision = self.policy(queue, outlook, self.now_s)
            ran += [decision] if isinstance(decision, Run) else []
            self.now_s += 0.01
            self.arrived += 0.01 * rate_rps
        return ran[-1]


def _variant(factory: PolicyFactory, rate_rps: float, workers: int = 1) -> str:
    shop = _Shop(factory(three_arms()), workers)
    return shop.after(3.0 * PERIOD_S, rate_rps).profile.arm.variant


@pytest.mark.parametrize("planner", [*BY_PERIOD, ramsis])
def test_little_load_gets_the_most_accurate_arm(planner: Callable[[], PolicyFactory]):
    assert _variant(planner(), 5.0) == "large"


@pytest.mark.parametrize("planner", [*BY_PERIOD, ramsis])
def test_more_load_than_any_arm_carries_gets_the_fastest(planner: Callable[[], PolicyFactory]):
    assert _variant(planner(), 2000.0) == "small"


@pytest.mark.parametrize("planner", BY_PERIOD)
def test_a_load_between_two_capacities_gets_the_arm_that_carries_it(
    planner: Callable[[], PolicyFactory],
):
    assert _variant(planner(), 180.0) == "middle"


@pytest.mark.parametrize("planner", BY_PERIOD)
def test_four_workers_carry_four_times_as_much(planner: Callable[[], PolicyFactory]):
    assert _variant(planner(), 700.0, workers=4) in {"middle", "large"}


@pytest.mark.parametrize("planner", BY_PERIOD)
def test_a_plan_holds_until_its_period_ends(planner: Callable[[], PolicyFactory]):
    shop = _Shop(planner()(three_arms()))
    shop.after(4.0 * PERIOD_S, 5.0)

    surged = shop.after(0.3 * PERIOD_S, 2000.0).profile.arm.variant
    planned = shop.after(2.0 * PERIOD_S, 2000.0).profile.arm.variant

    assert (surged, planned) == ("large", "small")


@pytest.mark.parametrize("planner", BY_PERIOD)
def test_a_plan_outlives_rebuilt_tables(planner: Callable[[], PolicyFactory]):
    factory = planner()
    shop = _Shop(factory(three_arms()))
    shop.after(4.0 * PERIOD_S, 2000.0)

    shop.policy = factory(three_arms())
    rebuilt = shop.after(0.05, 0.0)

    assert rebuilt.profile.arm.variant == "small"


def test_infaas_takes_a_slower_variant_only_when_a_second_period_allows_it():
    shop = _Shop(infaas()(three_arms()))
    shop.after(4.0 * PERIOD_S, 400.0)

    seen = [shop.after(0.5 * PERIOD_S, 5.0).profile.arm.variant for _ in range(6)]

    assert seen[:3] == ["small"] * 3
    assert seen[-1] == "large"


def test_at_little_load_nearly_all_are_in_time():
    choice = BatchRule(a_profile(first_s=0.003), 4)

    assert in_time(choice, ExpectedLoad(5.0, 1, SLO_S)) > 0.999


def test_under_overload_the_share_in_time_is_capacity_over_load():
    choice = BatchRule(a_profile(first_s=0.010, more_s=0.0), 4)

    assert in_time(choice, ExpectedLoad(800.0, 1, SLO_S)) == pytest.approx(0.5, abs=0.01)


def test_the_share_in_time_falls_as_the_load_rises():
    choice = BatchRule(a_profile(first_s=0.010), 4)

    seen = [
        in_time(choice, ExpectedLoad(rate, 1, SLO_S)) for rate in (20.0, 60.0, 90.0, 110.0, 200.0)
    ]

    assert seen == sorted(seen, reverse=True)
    assert max(seen) <= 1.0


def test_proteus_mixes_arms_so_that_the_workers_just_carry_the_demand():
    plan = shared_out(three_arms(), ExpectedLoad(600.0, 4, SLO_S))

    assert len(plan) > 1
    assert sum(part.share for part in plan) == pytest.approx(1.0)


def test_proteus_keeps_the_rows_of_each_arm_to_its_share():
    factory, load = proteus(), ExpectedLoad(600.0, 4, SLO_S)
    decide = factory(three_arms())
    rows = Counter[str]()
    for i in range(99):
        queue = [a_ticket(j, 0.0009 * i, SLO_S) for j in range(16)]
        ran = decide(queue, Outlook(load.rate_rps, load.workers), 0.0009 * i)
        assert isinstance(ran, Run)
        rows[ran.profile.arm.variant] += ran.rows

    for part in shared_out(three_arms(), load):
        served = rows[part.arm.variant] / rows.total()
        assert served == pytest.approx(part.share, abs=0.03)


def test_proteus_waits_for_company_as_long_as_two_would_still_be_in_time():
    decision = proteus()(three_arms())([a_ticket()], Outlook(), 0.0)

    assert decision == WaitUntil(SLO_S - three_arms()[2].upper_s[2])


def test_proteus_runs_when_waiting_longer_would_make_a_fuller_batch_late():
    decision = proteus()(three_arms())([a_ticket()], Outlook(), SLO_S - 0.015)

    assert isinstance(decision, Run)


def test_proteus_need_not_wait():
    assert isinstance(proteus(patient=False)(three_arms())([a_ticket()], Outlook(), 0.0), Run)


def test_ramsis_runs_larger_batches_the_more_wait():
    table = PolicyTable(three_arms(), ExpectedLoad(150.0, 1, SLO_S))

    rows = [found[1] for n in (1, 2, 4, 8, 16) if (found := table.at(n, 0.09))]

    assert rows[0] == 1
    assert rows == sorted(rows)
    assert rows[-1] > 4


def test_ramsis_runs_a_faster_arm_when_more_is_to_come():
    seen = [
        PolicyTable(three_arms(), ExpectedLoad(rate, 1, SLO_S)).at(4, 0.09)
        for rate in (10.0, 1000.0)
    ]

    assert [found[0].variant for found in seen if found] == ["large", "small"]


def test_ramsis_knows_no_action_for_one_ticket_that_is_late_already():
    assert PolicyTable(three_arms(), ExpectedLoad(10.0, 1, SLO_S)).at(1, 0.0) is None


def test_ramsis_does_better_than_plans_for_a_period_where_arrivals_are_as_it_assumes():
    tickets = tickets_at(poisson(170.0, 6.0, 1).tolist(), 0.05)

    awgs = {p: simulate(three_arms(), p(), tickets, Setup(0.05)).awg() for p in PLANNERS}

    assert max(awgs, key=lambda p: awgs[p]) is ramsis


@pytest.mark.parametrize("planner", PLANNERS)
def test_a_pin_and_a_demand_are_kept_to(planner: Callable[[], PolicyFactory]):
    pinned, demanding = a_ticket(variant="middle"), a_ticket(min_accuracy=0.78)

    seen = [planner()(three_arms())([t], Outlook(2000.0), 0.05) for t in (pinned, demanding)]

    assert [s.profile.arm.variant for s in seen if isinstance(s, Run)] == ["middle", "large"]


@pytest.mark.parametrize("planner", PLANNERS)
def test_a_planner_without_arms_is_refused(planner: Callable[[], PolicyFactory]):
    with pytest.raises(ValueError, match="at least one"):
        planner()([])


def test_what_no_arm_answers_in_time_is_dropped_and_the_next_is_served():
    late, fine = a_ticket(0, slo_s=0.001), a_ticket(1, slo_s=0.1)

    decision = _always("large", 4)([late, fine], Outlook(), 0.0)

    assert isinstance(decision, Run)
    assert [(d.ticket, d.reason) for d in decision.dropped] == [(late, "late")]
    assert decision.tickets == (fine,)


def test_when_all_are_late_nothing_runs():
    decision = _always("large", 4)([a_ticket(slo_s=0.001)], Outlook(), 0.0)

    assert isinstance(decision, Idle)


def test_a_batch_shrinks_until_its_head_is_in_time():
    queue = [a_ticket(0, slo_s=0.025), *(a_ticket(i) for i in range(1, 4))]

    decision = _always("large", 4)(queue, Outlook(), 0.0)

    assert isinstance(decision, Run)
    assert (decision.profile.arm.variant, decision.rows, decision.dropped) == ("large", 2, ())


def test_a_head_that_the_planned_arm_makes_late_gets_the_quickest():
    decision = _always("large", 4)([a_ticket(slo_s=0.010)], Outlook(), 0.0)

    assert isinstance(decision, Run)
    assert decision.profile.arm.variant == "small"


def test_a_firm_choice_gives_up_those_whom_its_batch_makes_late():
    soon = a_ticket(0, slo_s=0.025)
    queue = [soon, *(a_ticket(i) for i in range(1, 5))]

    decision = _always("large", 4, firm=True)(queue, Outlook(), 0.0)

    assert isinstance(decision, Run)
    assert [(d.ticket, d.reason) for d in decision.dropped] == [(soon, "shed")]
    assert decision.rows == 4


def test_three_planned_batches_behind_the_head_is_given_up_without_being_told():
    soon = a_ticket(0, slo_s=0.025)
    queue = [soon, *(a_ticket(i) for i in range(1, 12))]

    decision = _always("large", 4)(queue, Outlook(), 0.0)

    assert [d.ticket for d in decision.dropped] == [soon]


def test_nobody_is_given_up_for_a_batch_on_an_arm_it_does_not_accept():
    other = a_ticket(1, slo_s=0.026, variant="small")
    queue = [a_ticket(0, slo_s=0.025), other, *(a_ticket(i) for i in range(2, 8))]

    decision = _always("large", 4, firm=True)(queue, Outlook(), 0.0)

    assert other not in [d.ticket for d in decision.dropped]
    assert isinstance(decision, Run)
    assert other not in decision.tickets


def test_rows_of_large_requests_count():
    queue = [a_ticket(i, rows=3) for i in range(3)]

    decision = _always("middle", 8)(queue, Outlook(), 0.0)

    assert isinstance(decision, Run)
    assert decision.rows == 6


def test_the_load_is_what_arrived_in_the_last_whole_period():
    meter, head = LoadMeter(), a_ticket(slo_s=SLO_S)
    meter.load(head, Outlook(7.0), 0.0)

    loads = [meter.load(head, Outlook(7.0, 2, 5 * i), 0.1 * i) for i in range(1, 60)]

    assert loads[-1].rate_rps == pytest.approx(50.0)
    assert loads[-1] is loads[-2]
    assert (loads[-1].workers, loads[-1].slo_s) == (2, SLO_S)


def test_the_first_load_is_the_forecast_and_a_clock_that_steps_back_begins_anew():
    meter, head = LoadMeter(), a_ticket()
    first = meter.load(head, Outlook(7.0, 1, 100), 50.0)

    again = meter.load(head, Outlook(9.0, 1, 0), 0.0)

    assert (first.rate_rps, again.rate_rps) == (7.0, 9.0)


def test_tables_hold_for_nearby_rates_and_latencies():
    made: list[ExpectedLoad] = []
    tables = Offline(_recording(made))
    slower = [_scaled(arm, 1.05) for arm in three_arms()]

    tables.at(three_arms(), ExpectedLoad(100.0, 1, SLO_S))
    tables.at(three_arms(), ExpectedLoad(101.0, 1, SLO_S))
    tables.at(slower, ExpectedLoad(101.0, 1, SLO_S))

    assert len(made) == 1
    assert made[0].rate_rps >= 101.0


def test_tables_are_made_anew_when_an_arm_has_slowed_down():
    made: list[ExpectedLoad] = []
    tables = Offline(_recording(made))

    for factor in (1.0, 1.3):
        tables.at([_scaled(arm, factor) for arm in three_arms()], ExpectedLoad(100.0, 1, SLO_S))

    assert len(made) == 2


def test_numbers_of_arrivals_are_probabilities_with_the_given_mean():
    shares = arriving(np.array([0.0, 0.5, 4.0]), 30)

    assert shares.sum(axis=1) == pytest.approx(np.ones(3))
    assert shares @ np.arange(31) == pytest.approx(np.array([0.0, 0.5, 4.0]), abs=1e-6)


def test_what_exceeds_the_longest_queue_counts_as_the_longest():
    grown = growing(np.array([0.5, 0.3, 0.2]))

    assert grown == pytest.approx(np.array([[0.5, 0.3, 0.2], [0.0, 0.5, 0.5], [0.0, 0.0, 1.0]]))


def _always(variant: str, rows: int, firm: bool = False) -> Policy:
    """The same choice whatever waits, among the three arms."""
    arm = next(arm for arm in three_arms() if arm.arm.variant == variant)
    choice = BatchRule(arm, rows, firm)
    return serve_planned(three_arms(), lambda _near, _outlook, _now_s: choice)


def _recording(made: list[ExpectedLoad]) -> Callable[[Sequence[ArmProfile], ExpectedLoad], int]:
    """A table that is the count of those made."""

    def make(_: Sequence[ArmProfile], load: ExpectedLoad) -> int:
        made.append(load)
        return len(made)

    return make


def _scaled(arm: ArmProfile, factor: float) -> ArmProfile:
    return replace(arm, mean_s=tuple(factor * s for s in arm.mean_s))
