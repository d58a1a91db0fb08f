"""Where tickets differ the policy decides the same ticket by ticket as by arrays."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.policy.decision import ArmProfile, Outlook, Ticket
from server.policy.dispatch.mixed.arrays import weighing as by_arrays
from server.policy.dispatch.mixed.arrays.groups import offered
from server.policy.dispatch.mixed.crowd import gathered
from server.policy.dispatch.mixed.listed import weighing as listed
from server.policy.dispatch.mixed.reach import few_within_reach, within_reach
from server.policy.dispatch.mixed.scene import survey
from server.policy.dispatch.pricing import Planner
from server.policy.dispatch.tuning import DEFAULT
from server.policy.queueing.tickets import Queue
from tests.support.strategies import NOW_S, arms_drawn, outlooks

SAME = 1e-9
"""Worths (accuracies) that differ by no more than this are equal: sums are rounded."""
CLASSES = ("gold", "plain", "bulk")


@st.composite
def crowds(draw: st.DrawFn) -> list[Ticket]:
    """Tickets that differ in rows, demands, pins, class, bounds; few or many, at once or spread, some late."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    count = draw(st.sampled_from([1, 2, 3, 5, 9, 20, 48, 140, 300]))
    most_rows = draw(st.sampled_from([1, 1, 2, 5, 12]))
    floors = draw(st.sampled_from([(0.0,), (0.0, 0.7), (0.0, 0.55, 0.6, 0.72, 0.8)]))
    classes = draw(st.sampled_from([("default",), CLASSES[:2], CLASSES]))
    pins = draw(st.sampled_from([(None,), (None, None, None, "v0"), ("v0", "v1", "v2")]))
    bounds_s = draw(st.sampled_from([(0.1,), (0.02, 0.1), (0.004, 0.05, 3.0)]))
    spread_s = draw(st.sampled_from([0.0, 0.01, 0.05, 0.12]))
    found: list[Ticket] = []
    for i in range(count):
        at_s = NOW_S - spread_s * i / count
        pick = [int(rng.integers(len(of))) for of in (floors, pins, classes, bounds_s)]
        rows = int(rng.integers(1, most_rows + 1))
        due_s = at_s + bounds_s[pick[3]]
        found.append(Ticket(i, at_s, due_s, rows, floors[pick[0]], pins[pick[1]], classes[pick[2]]))
    return found


@st.composite
def valued(draw: st.DrawFn) -> Outlook:
    """Any outlook, classes being worth the same or not."""
    values = draw(st.sampled_from([{}, {"gold": 2.0, "plain": 1.0, "bulk": 0.3}, {"gold": 9.0}]))
    return replace(draw(outlooks()), values=values)


@given(arms_drawn(), crowds(), valued())
@settings(max_examples=400, deadline=None)
def test_ticket_by_ticket_or_by_arrays_the_same_are_kept(
    arms: list[ArmProfile], waiting: list[Ticket], outlook: Outlook
):
    planner = Planner(arms, DEFAULT).after(outlook.last)
    few, _ = gathered(Queue.of(waiting), planner, outlook, NOW_S)
    if not few.tickets:
        return

    one_by_one, by_all = few_within_reach(few, NOW_S), within_reach(few.crowd(), NOW_S)

    assert one_by_one == (None if by_all is None else by_all.tolist())


@given(arms_drawn(), st.lists(st.tuples(crowds(), valued()), min_size=1, max_size=3))
@settings(max_examples=400, deadline=None)
def test_ticket_by_ticket_or_by_arrays_the_choice_is_the_same(
    arms: list[ArmProfile], seen: list[tuple[list[Ticket], Outlook]]
):
    for waiting, outlook in seen:  # one after the other: tables grow by use
        planner = Planner(arms, DEFAULT).after(outlook.last)
        scene = survey(Queue.of(waiting), planner, outlook, NOW_S)
        if not scene.few.tickets:
            continue

        found, expected = listed.best(scene, planner), by_arrays.best(scene, planner)

        assert (found is None) == (expected is None)
        if found is not None and found != expected:
            crowd = scene.few.crowd()
            batches = offered(crowd, scene.value, planner, scene.pricing)
            worth = by_arrays.weighed(scene, crowd, batches, planner)
            own = [
                worth[i]
                for i in range(len(worth))
                if batches.arm(i) == found[0]
                and batches.lines.at[batches.begin[i] : batches.end[i]].tolist() == found[1]
            ]
            assert worth.max() - max(own) <= SAME * max(1.0, abs(worth.max()))
