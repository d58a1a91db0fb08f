"""A candidate's life under any events: verdicts and stages agree, and final ones stay."""

from hypothesis import given
from hypothesis import strategies as st

from server.policy.candidates import promotion
from server.policy.candidates.candidacy import (
    Claim,
    Compared,
    Event,
    Life,
    Looked,
    Offended,
    Ordered,
    Postponed,
    Promote,
    Promoted,
    Rejected,
    RolledBack,
    Timed,
    TrialRules,
    Unusable,
    Waited,
)
from server.policy.candidates.frontier import covered, gain_of, slowed
from server.policy.decision import ArmProfile
from tests.support.builders import a_profile
from tests.support.scaling import POWERS, scaled

shares = st.floats(0.0, 1.0)
times_s = st.floats(1e-4, 1.0)
arms = st.builds(a_profile, st.sampled_from("abc"), shares, times_s, times_s, st.integers(1, 32))
several = st.lists(arms, max_size=4)
looks = st.builds(Looked, st.lists(arms, min_size=1, max_size=2), several, several, several)
compared = st.integers(1, 8).flatmap(
    lambda rows: st.builds(Compared, st.just(rows), st.integers(0, rows), st.builds(Claim, shares))
)
judged: st.SearchStrategy[Event] = st.one_of(
    looks,
    compared,
    st.builds(Timed, st.floats(0.1, 10.0)),
    st.builds(Offended, st.sampled_from(["failed", "slow", "hung"])),
    st.builds(Unusable, st.just("broken")),
)
lives = st.builds(
    Life, st.builds(Claim, shares, st.floats(0.0, 0.1)), rules=st.just(TrialRules(16, 5.0))
)


@given(lives, st.lists(st.tuples(st.floats(0.0, 2.0), judged), max_size=60))
def test_a_promotion_follows_enough_rows_and_a_verdict_is_final(
    life: Life, events: list[tuple[float, Event]]
):
    now_s = 0.0
    for gap_s, event in events:
        now_s += gap_s
        before, (life, verdicts) = life, promotion.step(life, event, now_s)
        for verdict in verdicts:
            if isinstance(verdict, Promote):
                assert promotion.tally_of(before.stage).rows >= 16
                assert isinstance(event, Looked)
                assert covered(event.mine, gain_of(life.claim.interval), event.others) is None
        if isinstance(before.stage, Rejected | RolledBack):
            assert (life, verdicts) == (before, ())
        assert len(verdicts) <= 1
        assert bool(verdicts) == (
            isinstance(life.stage, Promoted | Postponed | Rejected | RolledBack)
            and type(life.stage) is not type(before.stage)
        )


@given(lives, st.lists(judged, max_size=20), st.booleans())
def test_an_operator_is_obeyed_at_any_time(life: Life, events: list[Event], promote: bool):
    for event in events:
        life, _ = promotion.step(life, event, 0.0)

    life, verdicts = promotion.step(life, Ordered(promote), 0.0)

    assert len(verdicts) == 1
    assert isinstance(life.stage, Promoted if promote else RolledBack)


@given(arms, several, st.floats(1.0, 10.0))
def test_who_is_slower_still_does_not_move_the_frontier(
    mine: ArmProfile, others: list[ArmProfile], factor: float
):
    if covered([mine], 0.01, others) is not None:
        assert covered([slowed(mine, factor)], 0.01, others) is not None


@given(
    lives,
    st.lists(st.tuples(st.floats(0.0, 40.0), st.one_of(judged, st.just(Waited()))), max_size=60),
    st.sampled_from(POWERS),
)
def test_a_life_does_not_hang_on_the_unit_of_time(
    life: Life, events: list[tuple[float, Event]], power: int
):
    k, now_s = 2.0**power, 0.0
    other = scaled(life, k)
    for gap_s, event in events:
        now_s += gap_s
        life, verdicts = promotion.step(life, event, now_s)
        other, same = promotion.step(other, scaled(event, k), now_s * k)
        assert [type(one) for one in same] == [type(one) for one in verdicts]
        assert type(other.stage) is type(life.stage)
        if isinstance(life.stage, Postponed):
            assert other.stage.again_s == life.stage.again_s * k
