"""Where tickets are alike the policy weighs few steps, and decides as if it had weighed them all."""

from hypothesis import given, settings
from hypothesis import strategies as st

from server.policy.decision import ArmProfile, Outlook, Run, Ticket
from server.policy.dispatch.alike import picking, step
from server.policy.dispatch.alike.scene import Scene
from server.policy.dispatch.pricing import Planner
from server.policy.dispatch.risks import risks
from server.policy.dispatch.tuning import DEFAULT
from server.policy.queueing.tickets import Queue
from tests.support.deciding import weighing
from tests.support.strategies import NOW_S, arms_drawn, outlooks

SAME = 1e-9
"""Worths (accuracies) that differ by no more than this are equal: sums are rounded."""


@st.composite
def lines(draw: st.DrawFn) -> list[Ticket]:
    """Tickets that are alike, in order of deadlines: few or many, at once or spread, some late."""
    count = draw(st.sampled_from([1, 2, 3, 8, 32, 33, 64, 130, 300]))
    spread_s = draw(st.sampled_from([0.0, 0.01, 0.05, 0.12]))
    bounds_s = draw(st.sampled_from([(0.1,), (0.05, 0.1), (0.02,)]))
    found = [
        Ticket(i, at_s := NOW_S - spread_s * i / count, at_s + bounds_s[i % len(bounds_s)])
        for i in range(count)
    ]
    return sorted(found, key=lambda t: (t.deadline_s, t.id))


@given(arms_drawn(), st.lists(st.tuples(lines(), outlooks()), min_size=1, max_size=4))
@settings(max_examples=250, deadline=None)
def test_few_are_weighed_and_the_choice_is_as_if_all_were(
    arms: list[ArmProfile], seen: list[tuple[list[Ticket], Outlook]]
):
    planner, plainly = Planner(arms, DEFAULT), Planner(arms, DEFAULT)
    for waiting, outlook in seen:  # one after the other: tables grow by use
        queue, now_s = Queue.of(waiting), NOW_S + 1e-3
        own, other = planner.after(outlook.last), plainly.after(outlook.last)

        decision = step.decide(queue, own.all, own, outlook, now_s)
        expected = weighing.decide(queue, other.all, other, outlook, now_s)

        if decision != expected:
            assert isinstance(decision, Run)
            assert isinstance(expected, Run)
            assert decision.terms == expected.terms
            assert worth_of(decision, queue, other, outlook, now_s) <= SAME


def worth_of(run: Run, queue: Queue, planner: Planner, outlook: Outlook, now_s: float) -> float:
    """How much less than the best a step is worth, by the plain way."""
    late, seen = weighing.seen_now(queue, planner.all, planner, outlook, now_s)
    worth, begin = weighing.weighed(seen)
    menu, start = planner.menu(planner.all), queue.deadlines.index(run.tickets[0].deadline_s) - late
    those = [
        worth[i]
        for i in range(len(worth))
        if (menu.size[i], begin[i], menu.arms[menu.arm[i]]) == (run.rows, start, run.profile)
    ]
    return float(worth.max() - max(those))


@given(arms_drawn(), lines(), outlooks())
@settings(max_examples=150, deadline=None)
def test_one_by_one_or_as_arrays_the_choice_is_the_same(
    arms: list[ArmProfile], waiting: list[Ticket], outlook: Outlook
):
    planner, queue = Planner(arms, DEFAULT).after(outlook.last), Queue.of(waiting)
    if queue.deadlines[0] < NOW_S + planner.quickest_s(planner.all, 1):
        return
    scene = Scene(queue, planner.all, planner, outlook, (NOW_S, 0))
    if scene.offered == 1:
        return

    worth = picking.weighed(scene)
    one_by_one, as_arrays = picking.of_few(scene)[0], picking.of_many(scene)[0]

    assert max(worth) - worth[one_by_one] <= SAME
    assert max(worth) - worth[as_arrays] <= SAME


@given(arms_drawn(), outlooks(), st.sampled_from([0.02, 0.1]))
@settings(max_examples=100, deadline=None)
def test_a_risk_of_one_batch_is_that_of_many(
    arms: list[ArmProfile], outlook: Outlook, slo_s: float
):
    planner = Planner(arms, DEFAULT)
    lengths_s = planner.menu(planner.all).mean_s

    for risk in risks(outlook, planner.least_s, slo_s, planner):
        each = risk.lost_by_each(lengths_s).tolist()
        assert all(
            abs(risk.lost(s) - e) <= SAME * max(1.0, e)
            for s, e in zip(lengths_s.tolist(), each, strict=True)
        )
