"""Stalls: how often a batch takes far longer for once, and how much; what is common, slight or news is none."""

import pytest

from profiler.speed.drift import SpeedScale, observe, scale, stalls
from profiler.speed.state import SELDOM

PREDICTED_S = 0.010


def after(state: SpeedScale, factors: list[float]) -> SpeedScale:
    for factor in factors:
        state = observe(state, "a", PREDICTED_S, PREDICTED_S * factor)
    return state


def one_in(batches: int, factor: float, times: int) -> list[float]:
    return ([1.0] * (batches - 1) + [factor]) * times


def test_where_nothing_stalls_none_is_told():
    assert stalls(after(SpeedScale(), [1.0] * 500)) == (0.0, 1.0)
    assert stalls(SpeedScale()) == (0.0, 1.0)


@pytest.mark.parametrize(("every", "factor"), [(100, 5.0), (50, 3.0), (25, 8.0)])
def test_their_share_and_length_are_learnt(every: int, factor: float):
    share, length = stalls(after(SpeedScale(), one_in(every, factor, 3000 // every)))

    assert share == pytest.approx(1.0 / every, rel=0.3)
    assert length == pytest.approx(factor, rel=0.05)


def test_two_in_a_hundred_tell_already():
    share, length = stalls(after(SpeedScale(), [*one_in(50, 5.0, 2), 1.0]))

    assert 0.01 < share < 0.02
    assert length == pytest.approx(5.0, rel=0.05)


def test_what_takes_less_than_twice_as_long_or_less_time_is_none():
    assert stalls(after(SpeedScale(), one_in(50, 1.7, 40))) == (0.0, 1.0)
    assert stalls(after(SpeedScale(), one_in(50, 0.3, 40))) == (0.0, 1.0)


def test_one_alone_is_soon_forgotten():
    once = after(SpeedScale(), [*[1.0] * 60, 5.0, 1.0])
    assert stalls(once)[0] > SELDOM

    assert stalls(after(once, [1.0] * 200)) == (0.0, 1.0)


def test_a_machine_that_became_slow_does_not_stall_for_long():
    """Its first batch counts as one: spells that come and go are stalls, too."""
    slow = after(SpeedScale(), [*[1.0] * 100, *[3.0] * 300])

    assert scale(slow, "a") == pytest.approx(3.0, rel=0.05)
    assert stalls(slow) == (0.0, 1.0)


def test_errors_that_are_slight_do_not_hide_true_stalls():
    taken = ([1.0] * 24 + [1.4]) * 4
    share, length = stalls(after(SpeedScale(), [*taken[:-1], 5.0] * 20))

    assert share == pytest.approx(0.01, rel=0.4)
    assert length == pytest.approx(5.0, rel=0.05)


def test_the_first_batch_of_an_arm_is_none():
    state = after(SpeedScale(), [1.0] * 20)

    assert stalls(observe(state, "cold", PREDICTED_S, 5.0 * PREDICTED_S)) == (0.0, 1.0)
    assert stalls(observe(state, "a", PREDICTED_S, 5.0 * PREDICTED_S))[0] > 0.0


def test_how_long_they_take_is_learnt_anew_after_a_long_time_without():
    long_ago = after(SpeedScale(), [*one_in(50, 20.0, 20), *[1.0] * 1500])

    assert stalls(after(long_ago, one_in(50, 3.0, 6)))[1] == pytest.approx(3.0, rel=0.05)
