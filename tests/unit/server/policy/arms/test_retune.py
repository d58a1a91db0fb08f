"""What the policy is told of costs: nothing while they hold, everything when they move."""

from dataclasses import replace

import pytest

from server.policy.arms.retune import (
    Known,
    LatencySample,
    RunningBatch,
    arms_now,
    forgotten,
    is_starved,
    last_ran_s,
    like,
    measured,
    observe,
    predicted_s,
    refused,
    renewed,
    scale,
    switch_s,
    with_arms,
    without_arms,
)
from server.policy.decision import Arm
from tests.support.builders import a_profile

SMALL = a_profile("small", 0.7, 0.004)
LARGE = a_profile("large", 0.8, 0.012)


def calm(batches: int = 100) -> Known:
    """Knows both arms and has seen them run as profiled."""
    state = with_arms(Known(), [SMALL, LARGE])
    for i in range(batches):
        state, _ = observe(state, ran(at_s=0.01 * i))
    return state


def ran(
    speed: float = 1.0, at_s: float = 10.0, added_s: float = 0.0, rows: int = 2
) -> LatencySample:
    took_s = LARGE.mean_s[rows] * speed
    return LatencySample(LARGE.arm, rows, took_s, took_s + added_s, at_s)


def test_an_arm_is_known_as_profiled_until_something_ran():
    state = with_arms(Known(), [SMALL])

    assert [arm.mean_s for arm in arms_now(state)] == [SMALL.mean_s]


def test_batches_that_take_what_they_should_are_no_news():
    state = calm(600)  # by then the margin has shrunk to what so steady a machine needs

    for i in range(200):
        state, arms = observe(state, ran(at_s=10.0 + i))
        assert arms is None


def test_a_machine_at_half_its_speed_is_news_after_two_batches_for_every_arm():
    state, first = observe(calm(), ran(speed=2.0))
    state, second = observe(state, ran(speed=2.0, at_s=10.03))

    assert first is None
    assert second is not None
    small = next(arm for arm in second if arm.arm == SMALL.arm)
    assert small.mean_s[1] == pytest.approx(2.0 * SMALL.mean_s[1], rel=0.05)
    assert small.upper_s[1] > small.mean_s[1]
    assert scale(state, SMALL.arm) == pytest.approx(2.0, rel=0.05)
    assert predicted_s(state, SMALL.arm, 1) == pytest.approx(small.mean_s[1])


def test_with_another_batch_overdue_one_is_enough():
    running = [RunningBatch(SMALL.arm, 1, 1.9 * SMALL.mean_s[1])]

    _, arms = observe(calm(), ran(speed=2.0), running)

    assert arms is not None


def test_a_sole_worker_believes_one_slow_batch_until_the_next_says_otherwise():
    state, slow = observe(calm(), ran(speed=2.0), ())
    _, again = observe(state, ran(speed=1.0, at_s=10.03), ())

    assert slow is not None
    assert again is not None
    assert slow[0].mean_s[1] > 1.5 * SMALL.mean_s[1]
    assert again[0].mean_s[1] == pytest.approx(SMALL.mean_s[1], rel=0.03)


def test_small_news_rests_for_a_moment():
    state = replace(calm(), rested_s=100.0)
    state = replace(state, speed=replace(state.speed, level=0.1))

    state, early = observe(state, ran(speed=1.1, at_s=99.0))
    _, later = observe(state, ran(speed=1.1, at_s=101.0))

    assert early is None
    assert later is not None


def test_what_serving_adds_is_part_of_every_cost():
    state = calm(0)
    for i in range(100):
        state, _ = observe(state, ran(at_s=0.1 * i, added_s=0.002))

    small = next(arm for arm in arms_now(state) if arm.arm == SMALL.arm)
    assert small.mean_s[2] == pytest.approx(SMALL.mean_s[2] + 0.002, rel=0.02)


def test_an_arm_that_was_never_made_known_is_refused():
    with pytest.raises(KeyError):
        observe(calm(), LatencySample(Arm("other", "scripted"), 1, 0.01, 0.01, 0.0))


def test_two_backends_of_one_variant_are_learnt_apart():
    other = replace(LARGE, arm=Arm("large", "other"))
    state = with_arms(Known(), [LARGE, other])
    for i in range(200):
        state, _ = observe(state, ran(at_s=0.02 * i))
        took_s = 1.5 * other.mean_s[2]
        state, _ = observe(state, LatencySample(other.arm, 2, took_s, took_s, 0.02 * i + 0.01))

    assert predicted_s(state, LARGE.arm, 2) == pytest.approx(LARGE.mean_s[2], rel=0.03)
    assert predicted_s(state, other.arm, 2) == pytest.approx(1.5 * other.mean_s[2], rel=0.03)


def test_a_size_that_costs_more_than_profiled_is_told_and_larger_ones_never_cost_less():
    state = with_arms(Known(), [LARGE])
    for i in range(300):
        for rows, speed in ((1, 1.0), (8, 1.5), (9, 1.0), (16, 1.0)):
            state, _ = observe(state, ran(speed, at_s=0.1 * i, rows=rows))

    told = arms_now(state)[0].mean_s
    assert told[1] == pytest.approx(LARGE.mean_s[1], rel=0.05)
    assert told[8] > 1.2 * LARGE.mean_s[8]
    assert list(told) == sorted(told)


def test_where_truth_falls_in_the_batch_the_policy_is_not_told_again_and_again():
    state, told = with_arms(Known(), [LARGE]), 0
    for i in range(600):
        for rows, speed in ((4, 2.0), (5, 2.0), (8, 0.8)):
            state, arms = observe(state, ran(speed, at_s=0.2 * i, rows=rows))
            told += arms is not None and i >= 300

    assert told == 0


def test_a_shadow_run_tells_of_speed_and_not_of_what_serving_adds():
    state = with_arms(Known(), [LARGE])

    state, _ = observe(state, ran(speed=1.1, added_s=0.5)._replace(shadow=True))

    assert scale(state, LARGE.arm) > 1.0
    assert state.overhead.weight == 0.0
    assert state.last[LARGE.arm].ended_s == 10.0


def test_on_other_hardware_margins_are_wider_and_no_arm_is_known_well():
    before = calm(300)

    after = renewed(before, 1.5)

    assert after.effective[LARGE.arm].mean_s == pytest.approx(
        before.effective[LARGE.arm].mean_s, rel=0.06
    )
    assert after.effective[LARGE.arm].upper_s[2] > 1.3 * before.effective[LARGE.arm].upper_s[2]
    assert not after.last


def test_an_arm_that_goes_takes_nothing_with_it_but_its_tables():
    state = without_arms(calm(), [SMALL.arm])

    assert set(state.effective) == set(state.profiled) == {LARGE.arm}
    assert state.speed == calm().speed


def test_what_was_learnt_of_an_arms_own_speed_goes_with_it():
    state = without_arms(calm(), [LARGE.arm])

    assert LARGE.arm in calm().speed.arms
    assert not state.speed.arms
    assert state.speed.level == calm().speed.level


def test_what_was_measured_just_now_is_believed_as_it_is():
    slow, _ = observe(calm(), ran(speed=2.0))
    slow, _ = observe(slow, ran(speed=2.0, at_s=10.03))
    fresh = a_profile("large", 0.8, 0.024)

    state = measured(slow, [fresh])

    assert state.effective[LARGE.arm].mean_s == fresh.mean_s
    assert scale(state, LARGE.arm) == 1.0


def test_former_knowledge_takes_on_the_arms_of_today():
    before, today = calm(), with_arms(Known(), [LARGE, a_profile("new", 0.75, 0.006)])

    state = like(before, today)

    assert set(state.effective) == set(today.effective)
    assert state.speed == before.speed


def test_what_was_learnt_must_not_keep_everybody_out_for_ever():
    state = with_arms(Known(), [SMALL, LARGE])
    state, _ = observe(state, ran(added_s=1.0))
    state, _ = observe(state, ran(added_s=1.0, at_s=11.0))

    assert is_starved(state, 0.05)
    again = forgotten(state)

    assert not is_starved(again, 0.05)
    assert again.effective[SMALL.arm].mean_s == SMALL.mean_s
    assert last_ran_s(state) == 11.0


def test_what_is_held_against_the_machine_fades_where_nothing_runs_and_requests_are_refused():
    state = calm()
    for i in range(20):
        state, _ = observe(state, ran(speed=6.0, at_s=10.0 + 0.1 * i))
    slow_s = state.effective[LARGE.arm].mean_s[1]

    soon, told_soon = refused(state, last_ran_s(state) + 1.0)
    later, told = refused(state, last_ran_s(state) + 10.0)

    assert slow_s > 5.0 * LARGE.mean_s[1]
    assert (soon, told_soon) == (state, None)
    assert told is not None
    assert later.effective[LARGE.arm].mean_s[1] < 0.5 * slow_s
    assert refused(later, last_ran_s(state) + 10.0) == (later, None)
    for i in range(4):  # it is still slow: that is seen at once
        later, _ = observe(later, ran(speed=6.0, at_s=25.0 + 0.1 * i))
    assert later.effective[LARGE.arm].mean_s[1] > 0.8 * slow_s


def test_a_bound_that_no_profile_meets_is_no_starvation():
    assert not is_starved(with_arms(Known(), [SMALL, LARGE]), 0.001)


def with_small_slow_for_once() -> Known:
    """Both arms ran as profiled, then the small one was found to be twice as slow, and has not run since 1.4 s."""
    state = calm()
    for i in range(20):
        state, _ = observe(state, of_small(1.0, 1.0 + 0.01 * i))
    for i in range(20):
        state, _ = observe(state, ran(at_s=1.2 + 0.01 * i))
        state, _ = observe(state, of_small(2.0, 1.205 + 0.01 * i))
    return state


def of_small(speed: float, at_s: float) -> LatencySample:
    took_s = SMALL.mean_s[1] * speed
    return LatencySample(SMALL.arm, 1, took_s, took_s, at_s)


def others_run(state: Known, from_s: float, until_s: float) -> Known:
    """Only the large arm, ten times a second."""
    for i in range(round(10 * (until_s - from_s))):
        state, _ = observe(state, ran(at_s=from_s + 0.1 * i))
    return state


def effective_s(state: Known) -> float:
    """What the policy is told of a row on the small arm."""
    return state.effective[SMALL.arm].mean_s[1]


def test_what_is_held_against_an_arm_fades_while_it_does_not_run():
    state = with_small_slow_for_once()
    assert effective_s(state) > 1.8 * SMALL.mean_s[1]

    assert effective_s(others_run(state, 1.5, 2.4)) > 1.8 * SMALL.mean_s[1]
    assert effective_s(others_run(state, 1.5, 20.0)) < 1.15 * SMALL.mean_s[1]


def test_an_arm_that_is_tried_in_vain_is_tried_more_seldom():
    state = others_run(with_small_slow_for_once(), 1.5, 10.0)
    assert effective_s(state) < 1.3 * SMALL.mean_s[1]

    state, arms = observe(state, of_small(2.0, 10.0))

    assert arms is not None
    assert effective_s(state) > 1.7 * SMALL.mean_s[1]
    assert effective_s(others_run(state, 10.1, 15.0)) > 1.4 * SMALL.mean_s[1]


def test_an_arm_that_is_tried_and_well_again_is_believed_at_once():
    state = others_run(with_small_slow_for_once(), 1.5, 8.0)

    state, _ = observe(state, of_small(1.0, 8.0))
    state = others_run(state, 8.1, 8.4)

    assert effective_s(state) == pytest.approx(SMALL.mean_s[1], rel=0.25)


def test_times_of_fading_follow_the_latency_bound():
    quick = others_run(with_small_slow_for_once(), 1.5, 8.0)
    slow = replace(with_small_slow_for_once(), slo_s=0.5)

    assert effective_s(others_run(slow, 1.5, 8.0)) > 1.8 * SMALL.mean_s[1] > effective_s(quick)


def alternating(cost_s: float, batches: int = 200, from_s: float = 0.0) -> Known:
    """Each arm ran twice in turn, the first time `cost_s` longer; errors are of a few hundredths."""
    state, after = with_arms(Known(), [SMALL, LARGE]), SMALL.arm
    for i in range(batches):
        profile = (SMALL, LARGE)[i // 2 % 2]
        off = 1.0 + 0.01 * (i * 7 % 5 - 2)
        took_s = profile.mean_s[1] * off + (cost_s if after != profile.arm else 0.0)
        ran_s = (took_s, took_s, from_s + 0.02 * i)
        state, _ = observe(state, LatencySample(profile.arm, 1, *ran_s, after=after))
        after = profile.arm
    return state


def test_what_a_switch_costs_is_learnt_and_told_and_is_not_the_arms_own_time():
    state = alternating(0.002)

    told = {profile.arm: profile for profile in arms_now(state)}
    assert told[SMALL.arm].switch_s == pytest.approx(0.002, rel=0.2)
    assert switch_s(state, LARGE.arm, SMALL.arm) == told[LARGE.arm].switch_s
    assert switch_s(state, LARGE.arm, LARGE.arm) == switch_s(state, LARGE.arm, None) == 0.0
    assert told[SMALL.arm].mean_s[1] == pytest.approx(SMALL.mean_s[1], rel=0.1)


def test_where_switches_cost_nothing_nothing_is_told_of_them():
    assert [profile.switch_s for profile in arms_now(alternating(0.0))] == [0.0, 0.0]


def test_what_a_switch_costs_is_news():
    state, told = with_arms(Known(), [SMALL, LARGE]), []
    for i in range(200):
        profile, after = (SMALL, LARGE)[i // 2 % 2], (SMALL, LARGE)[(i - 1) // 2 % 2]
        took_s = profile.mean_s[1] + (0.001 if after is not profile else 0.0)
        sample = LatencySample(profile.arm, 1, took_s, took_s, 0.1 * i, after=after.arm)
        state, arms = observe(state, sample)
        told += [arms[0].switch_s] if arms else []

    assert told[-1] == pytest.approx(0.001, rel=0.25)


def test_that_batches_stall_is_news_once_it_is_known_that_the_machine_is_no_slower():
    state, told, taken = with_arms(Known(), [LARGE]), [], [1.0] * 100 + ([5.0] + [1.0] * 39) * 4
    for i, factor in enumerate(taken):
        state, arms = observe(state, ran(factor, at_s=0.1 * i))
        told += [(i, arms[0].stalls.share)] if arms and arms[0].stalls.share else []

    assert told[0][0] == 101  # the batch after the first that took too long
    assert 0.01 < told[-1][1] < 0.03
    assert arms_now(state)[0].stalls.factor == pytest.approx(5.0, rel=0.1)


def test_what_a_switch_cost_fades_while_nobody_switches():
    state = alternating(0.003)
    before_s = switch_s(state, LARGE.arm, SMALL.arm)

    for i in range(400):  # LARGE alone, for 40 s: 800 latency bounds
        took_s = LARGE.mean_s[1]
        sample = LatencySample(LARGE.arm, 1, took_s, took_s, 10.0 + 0.1 * i, after=LARGE.arm)
        state, _ = observe(state, sample)

    assert before_s > 0.002
    assert switch_s(state, LARGE.arm, SMALL.arm) < 0.1 * before_s
    assert arms_now(state)[0].switch_s < 0.1 * before_s


def test_shadow_runs_say_nothing_of_switches():
    state = with_arms(Known(), [SMALL, LARGE])
    for i in range(100):
        sample = LatencySample(LARGE.arm, 1, 0.02, 0.02, 0.1 * i, shadow=True, after=SMALL.arm)
        state, _ = observe(state, sample)

    assert not state.switches.arms


def test_what_was_learnt_of_switches_outlives_a_new_measurement():
    state = alternating(0.002)

    assert switch_s(measured(state, [LARGE]), LARGE.arm, SMALL.arm) > 0.001
    assert switch_s(forgotten(state), LARGE.arm, SMALL.arm) == 0.0
    assert set(without_arms(state, [SMALL.arm]).switches.arms) == {LARGE.arm}
