"""Requests that say nothing of time, in the simulator: all are answered, late if need be, and others lose nothing."""

from dataclasses import replace

import numpy as np
import pytest

from server.policy.dispatch.choose import adaptive
from server.simulator.engine import simulate, tickets_at
from server.simulator.outcomes import Outcomes
from server.simulator.setup import Setup
from tests.support.builders import three_arms

SLO_S = 0.05
ARMS = three_arms()


def answered(outcomes: Outcomes) -> int:
    return len(outcomes.answers.arrival_s) + outcomes.late


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_forty_eight_at_once_get_as_many_answers(workers: int):
    tickets = [replace(ticket, soft=True) for ticket in tickets_at([1.0] * 48, SLO_S)]

    outcomes = simulate(ARMS, adaptive, tickets, Setup(SLO_S, workers))

    assert not outcomes.dropped
    assert answered(outcomes) == 48


def test_those_that_state_a_bound_are_refused_as_before():
    outcomes = simulate(ARMS, adaptive, tickets_at([1.0] * 48, SLO_S), Setup(SLO_S))

    assert sum(outcomes.dropped.values()) > 10
    assert answered(outcomes) + sum(outcomes.dropped.values()) == 48


def test_where_no_more_may_wait_each_is_answered_or_gives_way():
    tickets = [replace(t, soft=True) for t in tickets_at(np.linspace(0, 1, 4000).tolist(), SLO_S)]

    outcomes = simulate(ARMS, adaptive, tickets, Setup(SLO_S, capacity_rows=64))

    assert outcomes.dropped["gave_way"] > 100
    assert answered(outcomes) + sum(outcomes.dropped.values()) == 4000


def test_they_cost_those_with_a_bound_of_their_own_next_to_nothing():
    rng = np.random.default_rng(5)
    times_s = np.cumsum(
        rng.exponential(1 / 250, 5000)
    ).tolist()  # 1.5 times what the large arm does
    hard = rng.random(5000) < 0.5
    tickets = tickets_at(times_s, SLO_S)
    mixed = [replace(t, soft=not h) for t, h in zip(tickets, hard, strict=True)]

    def earned(outcomes: Outcomes) -> float:
        theirs = np.isin(outcomes.answers.arrival_s, np.array(times_s)[hard])
        return outcomes.answers.accuracy[theirs].sum() / hard.sum()

    before, now = (simulate(ARMS, adaptive, some, Setup(SLO_S)) for some in (tickets, mixed))

    assert earned(now) >= earned(before) - 0.003
