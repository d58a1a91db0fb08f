"""The simulator's shell: what it tells the policy, what changing arms costs, whose speed is followed."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from server.policy.decision import (
    ArmProfile,
    Decision,
    Idle,
    Outlook,
    Policy,
    PolicyFactory,
    Run,
    StallRisk,
    Ticket,
    WaitUntil,
)
from server.simulator.engine import simulate, tickets_at
from server.simulator.noise import Noise, Spell, Stall
from server.simulator.setup import Setup, Switching
from tests.support.builders import a_profile

QUIET = Noise(cv=0.0, outlier_share=0.0)
A, B = a_profile("a", 0.7, 0.010), a_profile("b", 0.8, 0.010)


def alternating(arms: Sequence[ArmProfile]) -> Policy:
    """The first ticket, on each arm in turn."""
    turn = iter(range(10_000))

    def decide(tickets: Sequence[Ticket], _outlook: Outlook, _now_s: float) -> Decision:
        return Run(arms[next(turn) % len(arms)], (tickets[0],), "turn")

    return decide


def at_once(arms: Sequence[ArmProfile]) -> Policy:
    """All tickets on the first arm."""
    return lambda tickets, _outlook, _now_s: Run(arms[0], tuple(tickets), "all")


def noting(seen: list[Outlook], factory: PolicyFactory = at_once) -> PolicyFactory:
    """The policy of `factory`; what it was told goes to `seen`."""

    def build(arms: Sequence[ArmProfile]) -> Policy:
        policy = factory(arms)

        def decide(tickets: Sequence[Ticket], outlook: Outlook, now_s: float) -> Decision:
            seen.append(outlook)
            return policy(tickets, outlook, now_s)

        return decide

    return build


def counting(costs_s: list[float]) -> PolicyFactory:
    """Like `alternating`; what the first arm is said to cost goes to `costs_s` whenever tables are made."""

    def build(arms: Sequence[ArmProfile]) -> Policy:
        costs_s.append(arms[0].mean_s[1])
        return alternating(arms[:1])

    return build


def test_the_policy_is_told_what_came_and_what_ended():
    seen: list[Outlook] = []

    simulate([A], noting(seen), tickets_at([0.0, 0.001, 0.002], 1.0), Setup(1.0, noise=QUIET))

    assert [o.arrived for o in seen] == [1, 3]
    assert seen[0].finished == ()
    (ended,) = seen[1].finished
    assert (ended.arm, ended.rows, ended.latency_s) == (A.arm, 1, pytest.approx(0.010))


def test_the_policy_is_told_how_long_the_other_workers_will_be_busy():
    seen: list[Outlook] = []
    setup = Setup(1.0, 3, noise=QUIET)

    simulate([A], noting(seen), tickets_at([0.0, 0.004, 0.006], 1.0), setup)

    assert [o.busy_s for o in seen] == pytest.approx([0.0, 0.006, 0.004 + 0.008])


def test_refused_rows_count_as_arrived():
    seen: list[Outlook] = []
    tickets = [Ticket(0, 0.0, 0.001), Ticket(1, 0.5, 1.0)]

    outcomes = simulate([A], noting(seen), tickets, Setup(1.0, noise=QUIET))

    assert [o.arrived for o in seen] == [2]
    assert outcomes.dropped == {"late": 1}


def last_end_s(switching: Switching, workers: int = 1) -> float:
    """How long the second of two batches on different arms is busy."""
    seen: list[Outlook] = []
    setup = Setup(9.0, workers, noise=QUIET, follow="profile", switching=switching)
    simulate([A, B], noting(seen, alternating), tickets_at([0.0, 1.0, 2.0, 3.0], 9.0), setup)
    return seen[-1].finished[0].latency_s


def test_another_arm_than_the_last_costs_a_change():
    assert last_end_s(Switching()) == pytest.approx(0.010)
    assert last_end_s(Switching(change_s=0.005)) == pytest.approx(0.015)


def test_a_worker_that_ran_the_arm_last_is_preferred():
    assert last_end_s(Switching(change_s=0.005), workers=2) == pytest.approx(0.010, abs=0.006)


def test_the_policy_is_told_which_arm_the_worker_ran_last():
    seen: list[Outlook] = []
    setup = Setup(9.0, noise=QUIET, follow="profile")

    outcomes = simulate([A, B], noting(seen, alternating), tickets_at([0.0, 1.0, 2.0], 9.0), setup)

    assert [outlook.last for outlook in seen] == [None, A.arm, B.arm]
    assert outcomes.switches == 2


def test_who_is_told_the_truth_is_told_what_a_switch_costs():
    told: list[float] = []

    def build(arms: Sequence[ArmProfile]) -> Policy:
        told.extend(arm.switch_s for arm in arms)
        return alternating(arms)

    setup = Setup(9.0, noise=QUIET, follow="told", switching=Switching(change_s=0.005))
    simulate([A, B], build, tickets_at([0.0], 9.0), setup)

    assert told == [0.005, 0.005]


def test_who_is_told_the_truth_is_told_of_stalls():
    told: list[StallRisk] = []

    def build(arms: Sequence[ArmProfile]) -> Policy:
        told.extend(arm.stalls for arm in arms)
        return alternating(arms)

    noise = Noise(cv=0.0, outlier_share=0.0, stalls=(Stall(0.01, 2.0), Stall(0.03, 4.0)))
    simulate([A, B], build, tickets_at([0.0], 9.0), Setup(9.0, noise=noise, follow="told"))

    assert len(told) == 2
    for one in told:
        assert one == (pytest.approx(0.04), pytest.approx(2.0**1.75))


def test_an_arm_is_loaded_once():
    first: list[Outlook] = []
    setup = Setup(9.0, noise=QUIET, follow="profile", switching=Switching(load_s=0.5))

    simulate([A], noting(first), tickets_at([0.0, 1.0, 2.0], 9.0), setup)

    took_s = [batch.latency_s for outlook in first for batch in outlook.finished]
    assert took_s == pytest.approx([0.510, 0.010])


def test_tables_follow_the_profile_the_truth_or_what_was_measured():
    tickets = tickets_at([0.02 * i for i in range(200)], 1.0)
    spell = Spell(1.0, 3.0, 1.5)
    profile, told, measured = [], [], []

    simulate(
        [A], counting(profile), tickets, Setup(1.0, noise=QUIET, spell=spell, follow="profile")
    )
    simulate([A], counting(told), tickets, Setup(1.0, noise=QUIET, spell=spell, follow="told"))
    simulate([A], counting(measured), tickets, Setup(1.0, noise=QUIET, spell=spell))

    assert profile == [0.010]
    assert told == pytest.approx([0.010, 0.015, 0.010])
    assert max(measured) == pytest.approx(0.015, rel=0.05)
    assert measured[-1] == pytest.approx(0.010, rel=0.05)


def test_a_batch_takes_its_true_time_whatever_the_policy_believes():
    """Tables scaled by what was measured must not scale the machine again."""
    tickets = tickets_at([0.05 * i for i in range(200)], 1.0)
    seen: list[Outlook] = []

    simulate([A], noting(seen), tickets, Setup(1.0, noise=Noise(0.0, 0.0, scale=2.0)))

    assert seen[-1].finished[0].latency_s == pytest.approx(0.020)


def test_weights_make_values_once_classes_fare_differently():
    seen: list[Outlook] = []
    firsts = [0.2 * i for i in range(1, 26)]
    patient = [Ticket(2 * i, at_s, at_s + 1.0, slo_class="b") for i, at_s in enumerate(firsts)]
    kept_waiting = [
        Ticket(2 * i + 1, at_s + 0.001, at_s + 0.016, slo_class="a")
        for i, at_s in enumerate(firsts)
    ]
    tickets = sorted([*patient, *kept_waiting], key=lambda ticket: ticket.arrival_s)

    simulate([A], noting(seen), tickets, Setup(1.0, noise=QUIET, weights={"a": 1.0, "b": 1.0}))

    assert seen[-1].values["a"] > seen[-1].values["b"]


@pytest.mark.parametrize(
    "hopeless",
    [{"deadline_s": 0.0001}, {"rows": 4096}, {"min_accuracy": 0.99}, {"variant": "gone"}],
    ids=str,
)
def test_what_nobody_could_serve_says_nothing_of_what_comes(hopeless: dict[str, Any]):
    told: list[list[Outlook]] = []
    plain = tickets_at([0.1 * i for i in range(1, 40)], 0.1)
    for more in ([], [0.01 * i for i in range(1, 400)]):
        seen: list[Outlook] = []
        others = [
            replace(ticket, **hopeless | {"deadline_s": at_s + hopeless.get("deadline_s", 0.1)})
            for at_s, ticket in zip(more, tickets_at(more, 0.1), strict=True)
        ]
        both = sorted([*plain, *others], key=lambda ticket: ticket.arrival_s)
        tickets = [replace(ticket, id=i) for i, ticket in enumerate(both)]
        simulate([A], noting(seen), tickets, Setup(0.1, noise=QUIET, weights={"default": 1.0}))
        told.append(seen)

    alone, beside = ([replace(one, arrived=0) for one in seen] for seen in told)
    assert alone == beside
    assert told[1][-1].arrived > told[0][-1].arrived


@pytest.mark.parametrize("lazy", [Idle(), WaitUntil(0.0)])
def test_a_policy_that_never_serves_is_an_error(lazy: Decision):
    def never(_arms: Sequence[ArmProfile]) -> Policy:
        return lambda _tickets, _outlook, _now_s: lazy

    with pytest.raises(ValueError, match="while tickets wait"):
        simulate([A], never, tickets_at([0.5], 1.0), Setup(1.0))


def test_figures_of_a_span_count_who_arrived_in_it():
    tickets = tickets_at([0.0, 0.4, 0.6, 1.2], 0.1)
    spell = Spell(0.5, 1.0, 20.0)

    outcomes = simulate(
        [A], alternating, tickets, Setup(0.1, noise=QUIET, spell=spell, follow="profile")
    )

    assert outcomes.late == 1
    assert outcomes.attainment(0.0, 0.5) == 1.0
    assert outcomes.attainment(0.5, 1.0) == 0.0
    assert outcomes.awg() == pytest.approx(0.75 * 0.7)
    assert outcomes.report()["timeline"][0]["variants"] == {"a": 2}
    assert outcomes.report()["classes"]["default"]["attainment"] == 0.75


def test_batches_cost_what_the_truth_says_while_the_policy_knows_its_own():
    known, true = a_profile("a", 0.7, 0.010), a_profile("a", 0.7, 0.020)
    told: list[float] = []
    setup = Setup(0.015, noise=QUIET, follow="profile")

    done = simulate([known], counting(told), tickets_at([0.0], 0.015), setup, [true])

    assert (told, done.attainment(), done.late) == ([0.010], 0.0, 1)


def test_a_truth_that_lacks_what_the_policy_knows_is_refused():
    short = a_profile("a", 0.7, 0.010, max_batch=4)

    with pytest.raises(ValueError, match="lacks batch sizes of a"):
        simulate([A], alternating, tickets_at([0.0], 0.1), Setup(0.1), [short])
