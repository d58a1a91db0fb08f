"""The speed scale: follows a change, ignores a hiccup, keeps arms apart, bounds what is left over."""

import math
import random
import timeit

import pytest

from profiler.speed.drift import (
    SpeedScale,
    adjusted,
    observe,
    overdue,
    scale,
    suspecting,
    upper_factor,
)

PREDICTED_S = 0.010


def after(
    state: SpeedScale, factors: list[float], arm: str = "a", predicted_s: float = PREDICTED_S
) -> SpeedScale:
    for factor in factors:
        state = observe(state, arm, predicted_s, predicted_s * factor)
    return state


def noisy(rng: random.Random, speed: float, n: int, sigma: float = 0.05) -> list[float]:
    return [speed * math.exp(rng.gauss(0.0, sigma)) for _ in range(n)]


def test_an_exact_profile_stays_as_it_is():
    state = after(SpeedScale(), [1.0] * 200)

    assert scale(state, "a") == pytest.approx(1.0)
    assert scale(state, "never seen") == pytest.approx(1.0)


@pytest.mark.parametrize("speed", [0.5, 1.5, 2.0, 4.0])
def test_a_change_of_speed_is_followed_within_fifteen_batches(speed: float):
    rng = random.Random(1)
    calm = after(SpeedScale(), noisy(rng, 1.0, 300))

    state = after(calm, noisy(rng, speed, 15))

    assert scale(state, "a") == pytest.approx(speed, rel=0.12)


@pytest.mark.parametrize("speed", [0.5, 1.3, 2.0])
def test_two_batches_that_are_as_far_off_make_a_new_speed(speed: float):
    calm = after(SpeedScale(), noisy(random.Random(6), 1.0, 300, 0.04))

    state = after(calm, [speed, speed])

    assert scale(state, "a") == pytest.approx(speed, rel=0.04)
    assert scale(state, "never run") == pytest.approx(speed, rel=0.04)


def test_a_hiccup_to_either_side_makes_no_new_speed():
    calm = after(SpeedScale(), noisy(random.Random(7), 1.0, 300, 0.04))

    state = after(calm, [2.0, 1.0, 2.0, 0.5])

    assert scale(state, "a") == pytest.approx(1.0, rel=0.05)


def test_where_hiccups_are_common_nobody_is_given_up_on_for_one():
    calm = after(SpeedScale(), noisy(random.Random(7), 1.0, 1000, 0.04))
    rough = after(calm, [3.0 if i % 60 == 0 else 1.0 for i in range(2000)])

    unheard_of, common = (suspecting(after(state, [3.0])) for state in (calm, rough))

    assert scale(unheard_of, "a") > 1.5
    assert scale(common, "a") < 1.1


def test_a_batch_that_is_overdue_confirms_a_doubt_and_nothing_else():
    calm = after(SpeedScale(), noisy(random.Random(8), 1.0, 300, 0.04))
    doubting = after(calm, [2.0])

    assert overdue(calm, "b", PREDICTED_S, 1.8 * PREDICTED_S) is calm
    assert overdue(doubting, "b", PREDICTED_S, 0.9 * PREDICTED_S) is doubting
    assert scale(overdue(doubting, "b", PREDICTED_S, 1.8 * PREDICTED_S), "c") > 1.7


def test_noise_alone_hardly_ever_looks_like_a_change():
    rng, state, jumps = random.Random(9), SpeedScale(), 0
    state = after(state, noisy(rng, 1.0, 200, 0.04))

    for factor in noisy(rng, 1.0, 20_000, 0.04):
        outlier = 1.5 if rng.random() < 0.003 else 1.0
        gain = state.gain
        state = after(state, [factor * outlier])
        jumps += state.gain > gain

    assert jumps <= 10


def test_one_outlier_moves_the_scale_by_less_than_two_per_cent():
    calm = after(SpeedScale(), noisy(random.Random(2), 1.0, 300))

    state = after(calm, [50.0])

    assert scale(state, "a") / scale(calm, "a") == pytest.approx(1.0, abs=0.02)


def test_rare_outliers_leave_the_scale_at_the_median():
    rng = random.Random(3)
    factors = [f * (10.0 if rng.random() < 0.02 else 1.0) for f in noisy(rng, 1.0, 3000)]

    state = after(SpeedScale(), factors)

    assert scale(state, "a") == pytest.approx(1.0, rel=0.08)


def test_a_slower_machine_slows_arms_that_were_not_run():
    calm = after(SpeedScale(), [1.0] * 100)

    state = after(calm, [2.0] * 30, arm="a")

    assert scale(state, "b") > 1.4


def test_who_alone_says_that_all_is_slow_is_held_to_be_slow_itself_until_another_says_the_same():
    calm = after(after(SpeedScale(), [1.0] * 100, arm="b"), [1.0] * 100)

    alone = after(calm, [3.0] * 30, arm="a")
    confirmed = after(alone, [3.0], arm="b")
    contradicted = after(alone, [1.0], arm="b")

    assert scale(alone, "a") == pytest.approx(3.0, rel=0.1)
    assert scale(alone, "b") == pytest.approx(1.0, rel=0.1)
    assert scale(confirmed, "never run") > 2.5
    assert scale(contradicted, "never run") == pytest.approx(1.0, rel=0.1)
    assert scale(contradicted, "a") == pytest.approx(3.0, rel=0.1)


def test_what_one_arm_goes_through_alone_makes_no_other_look_faster():
    state = after(after(SpeedScale(), [1.0] * 100, arm="b"), [1.0] * 100)

    for _ in range(6):
        state = after(after(state, [2.2] * 20), [1.0] * 30)

    assert scale(state, "b") == pytest.approx(1.0, rel=0.15)
    assert scale(state, "a") == pytest.approx(1.0, rel=0.15)


def test_where_batches_stall_now_and_then_two_of_them_are_no_new_speed():
    rng, state, highest = random.Random(10), SpeedScale(), 0.0
    for i in range(6_000):
        stalls = 5.0 if rng.random() < 0.015 else 1.0
        state = after(state, noisy(rng, stalls, 1), arm="abcd"[i % 4])
        highest = max(highest, scale(state, "never run"))
    assert highest < 1.3

    state = after(state, [5.0, 5.0], arm="a")
    assert scale(state, "b") < 1.3
    state = after(state, [5.0, 5.0], arm="b")
    assert scale(state, "c") > 1.5


def test_a_lasting_difference_between_arms_is_learned():
    state = SpeedScale()
    for _ in range(800):
        state = after(after(state, [1.3], arm="a"), [0.9], arm="b")

    assert scale(state, "a") == pytest.approx(1.3, rel=0.1)
    assert scale(state, "b") == pytest.approx(0.9, rel=0.1)


def test_the_upper_factor_covers_nearly_all_batches():
    rng = random.Random(4)
    state, above = after(SpeedScale(), noisy(rng, 1.0, 1000, 0.1)), 0

    for factor in noisy(rng, 1.0, 4000, 0.1):
        above += factor > scale(state, "a") * upper_factor(state)
        state = after(state, [factor])

    assert 0.02 < above / 4000 < 0.08


def test_a_quiet_machine_needs_little_margin():
    state = after(SpeedScale(), noisy(random.Random(5), 1.0, 2000, 0.01))

    assert upper_factor(state) < 1.05


def test_times_that_cannot_be_teach_nothing():
    state = after(SpeedScale(), [1.1] * 10)

    assert observe(state, "a", 0.0, 0.01) is state
    assert observe(state, "a", 0.01, 0.0) is state
    assert observe(state, "a", 0.01, math.nan) is state
    assert observe(state, "a", 0.01, math.inf) is state


def test_the_profiles_own_upper_counts_until_enough_was_seen():
    mean, upper = (0.0, 0.010), (0.0, 0.030)

    early = adjusted(after(SpeedScale(), [1.0] * 10), "a", mean, upper)
    late = adjusted(after(SpeedScale(), [1.0] * 100), "a", mean, upper)

    assert early[1][1] == pytest.approx(0.030)
    assert late[1][1] < 0.013
    assert early[0] == late[0] == pytest.approx(mean)


def test_one_batch_costs_microseconds():
    state = after(SpeedScale(), [1.0] * 10)
    for arm in range(8):
        state = after(state, [1.0], arm=f"arm {arm}")

    best_s = min(timeit.repeat(lambda: observe(state, "a", 0.01, 0.011), number=200, repeat=20))

    assert best_s / 200 < 25e-6  # 3 us on a quiet core; generous, because suites share machines
