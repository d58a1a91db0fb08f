"""What to train next follows from who asks, what serves and what was tried."""

import pytest

from trainer.sidecar.gaps import (
    MOST_SEEDS,
    Attempt,
    Demand,
    Performance,
    Proposal,
    Served,
    State,
    Tried,
    foreseen,
    propose,
    value,
)

SMALL = Attempt("cnn-w2-d1", 20_000, 1e7)
MIDDLE = Attempt("cnn-w8-d2", 20_000, 1e8)
LARGE = Attempt("cnn-w32-d2", 20_000, 1e9)
ALL = [SMALL, MIDDLE, LARGE]
WIDE = (Demand(1.0, 10.0),)


def a_point(ms: float, accuracy: float, multiplications: float = 0.0) -> Performance:
    return Performance(ms / 1e3, ms / 1e3, accuracy, multiplications)


def a_try(
    attempt: Attempt = SMALL, accuracy: float = 0.6, state: State = "serving", seed: int = 0
) -> Tried:
    return Tried(attempt, seed, accuracy, state)


SERVES_SMALL = Served((a_point(1.0, 0.6, SMALL.multiplications),), WIDE)


def proposed(
    served: Served = SERVES_SMALL, *tried: Tried, least_gain: float = 0.002
) -> Proposal | None:
    return propose(served, tried or [a_try()], ALL, least_gain)


def test_where_time_is_plenty_a_more_accurate_network_is_worth_most():
    proposal = proposed()

    assert proposal is not None
    assert proposal.attempt == LARGE
    assert proposal.seed == 0
    assert 0.0 < proposal.expected_gain < 0.4


def test_the_reason_is_one_sentence_with_bound_accuracy_and_gain():
    proposal = proposed(Served(SERVES_SMALL.points, (Demand(1.0, 10.0, 0.55),)))

    assert proposal is not None
    assert (
        "bounds of about 1000 ms can have 60.0% of what serves (had 55.0% of late)"
        in proposal.reason
    )
    assert f"{100 * proposal.expected_gain:+.1f} points over all requests" in proposal.reason
    assert proposal.reason.count(". ") == 0


def test_a_network_that_no_bound_has_time_for_gains_nothing():
    tight = Served(SERVES_SMALL.points, (Demand(0.004, 10.0),))

    proposal = proposed(tight)

    assert proposal is not None
    assert proposal.attempt == SMALL, "ten times the work is ten times 1 ms, more than half of 4 ms"
    assert proposal.seed == 1, "so only another run of the small one may help"


def test_requests_out_of_reach_of_all_that_serves_call_for_a_faster_network():
    served = Served((a_point(100.0, 0.95, LARGE.multiplications),), (Demand(0.03, 10.0),))

    proposal = proposed(served, a_try(LARGE, 0.95))

    assert proposal is not None
    assert proposal.attempt == MIDDLE
    assert "30 ms are out of reach of what serves" in proposal.reason
    assert proposal.expected_gain > 0.5


def test_where_workers_have_no_time_a_slower_network_is_worth_little():
    idle, busy = (Served(SERVES_SMALL.points, (Demand(1.0, rate),)) for rate in (10.0, 900.0))

    gains = [
        p.expected_gain if (p := propose(s, [a_try()], [LARGE], 0.0)) else 0.0 for s in (idle, busy)
    ]

    assert gains[1] < gains[0] / 10


def test_nothing_is_proposed_where_no_gain_is_worth_a_run():
    assert proposed(least_gain=0.5) is None


def test_nothing_is_proposed_where_nobody_asks():
    assert proposed(Served(SERVES_SMALL.points, ())) is None


@pytest.mark.parametrize("state", ["dropped", "pending", "failed"])
def test_what_was_dropped_broke_off_or_waits_is_not_proposed_again_but_a_larger_budget_is(
    state: State,
):
    tried = [a_try(), a_try(LARGE, 0.7, state)]
    longer = Attempt(LARGE.network, 10 * LARGE.budget, LARGE.multiplications)

    assert propose(SERVES_SMALL, tried, [LARGE], 0.0) is None
    again = propose(SERVES_SMALL, tried, [LARGE, longer], 0.0)
    assert again is not None
    assert again.attempt == longer


def test_a_network_on_the_frontier_is_repeated_with_other_seeds_and_not_for_ever():
    runs = [a_try(seed=seed) for seed in range(MOST_SEEDS)]

    first = propose(SERVES_SMALL, runs[:1], [SMALL], 0.0)

    assert first is not None
    assert first.seed == 1
    assert propose(SERVES_SMALL, runs, [SMALL], 0.0) is None


def test_of_two_that_gain_the_same_the_one_that_is_trained_sooner_is_proposed():
    nothing = Served((a_point(1.0, 0.6),), WIDE)

    proposal = propose(nothing, [], ALL, 0.0)

    assert proposal is not None
    assert proposal.attempt == SMALL, (
        "nothing was tried: each may be perfect, for all that is known"
    )


def test_value_is_that_of_the_best_mix_within_the_workers_time():
    quick, sharp = a_point(1.0, 0.6), a_point(3.0, 0.9)
    served = Served((quick, sharp), (Demand(1.0, 500.0),))

    assert value(served) == pytest.approx(0.75), "2 ms a request: half of them on each"
    assert value(Served(served.points, served.demands, workers=2)) == pytest.approx(0.9)
    assert value(Served((sharp,), (Demand(1.0, 500.0),))) == pytest.approx(0.6), "two in three"
    assert value(Served((), WIDE)) == 0.0


def test_every_demand_counts_by_its_requests_and_its_own_bound():
    served = Served((a_point(1.0, 0.6), a_point(30.0, 0.9)), (Demand(0.01, 3.0), Demand(0.1, 1.0)))

    assert value(served) == pytest.approx((3 * 0.6 + 0.9) / 4)


def test_the_latency_foreseen_is_on_the_line_through_what_serves_and_batches_save_as_much():
    served = Served(
        (
            Performance(1e-3, 0.5e-3, 0.6, 1e7),
            Performance(1.9e-3, 0.95e-3, 0.7, 1e8),
            Performance(5.0, 2.5, 0.7, 1e8),
        ),
        WIDE,
    )

    point = foreseen(LARGE, served, None)

    assert point.latency_s == pytest.approx(10.9e-3), "of one network the fastest precision counts"
    assert point.row_s == pytest.approx(point.latency_s / 2)
