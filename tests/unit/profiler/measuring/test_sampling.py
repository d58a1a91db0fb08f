"""What is measured next: first turns of all, then bends, then wide intervals, and never what does not pay."""

from dataclasses import replace

from profiler.measuring.sampling import is_usable, plan
from profiler.measuring.terms import Done, Next, Sampled, Seen, Terms

TERMS = Terms(bound_s=0.1)


def seen(batch: int, p50_s: float, half: float = 0.01, turns: int = 9) -> Seen:
    return Seen(batch, turns, 3 * turns, p50_s, p50_s * (1 - half), p50_s * (1 + half))


def an_arm(name: str, *known: Seen, accuracy: float = 0.7, ceiling: int = 32) -> Sampled:
    return Sampled(name, accuracy, known, ceiling)


def test_batch_one_of_every_arm_comes_first():
    arms = [an_arm("a", seen(1, 0.005, 0.5)), an_arm("b")]

    assert plan(arms, TERMS, 10.0) == Next("b", 1, 3)


def test_batch_one_is_owed_even_without_time():
    assert plan([an_arm("a")], TERMS, -1.0) == Next("a", 1, 1)


def test_where_time_is_short_single_rows_run_once_and_the_quick_arm_shows_its_large_batch_first():
    slow, quick = an_arm("slow", seen(1, 0.009), accuracy=0.8), an_arm("quick", seen(1, 0.005))

    first = plan([slow, quick, an_arm("new")], TERMS, 0.25)
    then = plan([slow, quick], TERMS, 0.25)

    assert first == Next("new", 1, 1)
    assert then == Next("quick", 16, 2)


def test_then_the_large_batch_that_fits_the_bound():
    assert plan([an_arm("a", seen(1, 0.005))], TERMS, 10.0) == Next("a", 16, 2)


def test_where_batching_gains_a_larger_batch_follows():
    arm = an_arm("a", seen(1, 0.005), seen(16, 0.030))

    assert not is_usable(arm, TERMS)
    assert plan([arm], TERMS, 10.0) == Next("a", 32, 2)


def test_no_batch_is_larger_than_the_ceiling():
    assert plan([an_arm("a", seen(1, 0.001), ceiling=5)], TERMS, 10.0) == Next("a", 5, 8)


def test_the_middle_is_tried_once_and_a_straight_curve_needs_no_more():
    ends = seen(1, 0.005), seen(16, 0.080)

    first = plan([an_arm("a", *ends)], TERMS, 10.0)
    then = plan([an_arm("a", ends[0], seen(4, 0.020), ends[1])], TERMS, 10.0)

    assert isinstance(first, Next)
    assert first.batch == 4
    assert then == Done("narrow")


def test_between_sizes_far_apart_one_is_tried_though_a_third_is_known():
    arm = an_arm("a", seen(1, 0.005), seen(16, 0.045), seen(24, 0.0668), ceiling=24)

    turn = plan([arm], TERMS, 10.0)

    assert isinstance(turn, Next)
    assert turn.batch == 4


def test_a_bend_is_looked_at_from_both_sides():
    bent = seen(1, 0.010), seen(4, 0.012), seen(16, 0.080)

    turn = plan([an_arm("a", *bent)], TERMS, 10.0)
    after = plan([an_arm("a", bent[0], seen(2, 0.011), *bent[1:])], TERMS, 10.0)

    assert isinstance(turn, Next)
    assert isinstance(after, Next)
    assert (turn.batch, after.batch) == (2, 8)


def test_noise_is_no_bend():
    wide = seen(4, 0.023, 0.2)

    turn = plan([an_arm("a", seen(1, 0.005), wide, seen(16, 0.080))], TERMS, 10.0)

    assert isinstance(turn, Next)
    assert turn.batch == 4


def test_a_wide_interval_gets_more_runs():
    arm = an_arm("a", seen(1, 0.005), seen(4, 0.020, 0.04), seen(16, 0.080))

    assert plan([arm], TERMS, 10.0) == Next("a", 4, 2)


def test_agreement_of_a_few_turns_is_not_believed():
    arm = an_arm("a", seen(1, 0.005), seen(4, 0.020, turns=3), seen(16, 0.080))

    assert plan([arm], TERMS, 10.0) == Next("a", 4, 2)


def test_the_point_with_the_fewest_turns_is_next():
    arms = [
        an_arm("a", seen(1, 0.005, 0.3, turns=5), seen(4, 0.02), seen(16, 0.08)),
        an_arm("b", seen(1, 0.004, 0.1, turns=4), seen(4, 0.02), seen(16, 0.08), accuracy=0.8),
    ]

    turn = plan(arms, TERMS, 10.0)

    assert isinstance(turn, Next)
    assert turn.name == "b"


def test_an_open_contest_gets_two_turns_for_one():
    ends = seen(4, 0.02), seen(16, 0.08)
    near = [
        an_arm("x", seen(1, 0.0050, 0.1, turns=5), *ends),
        an_arm("y", seen(1, 0.0051, 0.1, turns=5), seen(4, 0.0204), seen(16, 0.0804)),
    ]
    apart = an_arm("z", seen(1, 0.002, 0.1, turns=4), seen(4, 0.008), seen(32, 0.064), accuracy=0.6)

    turn = plan([apart, *near], TERMS, 10.0)

    assert isinstance(turn, Next)
    assert turn.name in {"x", "y"}


def test_a_dominated_arm_gets_no_more_runs():
    slow = an_arm("slow", seen(1, 0.010, 0.1, turns=1), seen(8, 0.080, 0.1, turns=1))
    fast = an_arm("fast", seen(1, 0.005), seen(4, 0.02), seen(16, 0.08), accuracy=0.8)

    assert plan([slow, fast], TERMS, 10.0) == Done("narrow")


def test_a_turn_that_does_not_fit_gives_way_to_one_that_does():
    arm = an_arm("a", seen(1, 0.005, 0.1), seen(4, 0.02), seen(16, 0.080, 0.2))

    assert plan([arm], TERMS, 0.060) == Next("a", 1, 8)
    assert plan([arm], TERMS, 0.001) == Done("budget")


def test_an_arm_that_is_beaten_alone_shows_a_batch_of_half_the_length_once():
    fast = an_arm("fast", seen(1, 0.002), seen(16, 0.090), accuracy=0.8)
    slow = an_arm("slow", seen(1, 0.010))

    turn = plan([slow, fast], TERMS, 10.0)
    then = plan([replace(slow, seen=(*slow.seen, seen(4, 0.040))), fast], TERMS, 10.0)

    assert turn == Next("slow", 4, 1)
    assert isinstance(then, Next)
    assert then.name == "fast"


def test_an_arm_that_batching_may_save_shows_its_large_batch_too():
    fast = an_arm("fast", seen(1, 0.002), seen(32, 0.090), accuracy=0.8)
    late = an_arm("late", seen(1, 0.010), seen(16, 0.030))

    assert plan([late, fast], TERMS, 10.0) == Next("late", 32, 2)


def test_more_runs_go_where_the_frontier_may_move():
    wide = [seen(b, p50_s, 0.1, turns=4) for b, p50_s in ((1, 0.011), (4, 0.044), (6, 0.068))]
    off = an_arm("off", *wide, accuracy=0.62)
    low = an_arm("low", seen(1, 0.0045), seen(4, 0.018), seen(16, 0.072), accuracy=0.60)
    high = an_arm("high", seen(1, 0.012, 0.1), seen(4, 0.048), seen(6, 0.072), accuracy=0.8)

    turn = plan([off, low, high], TERMS, 10.0)

    assert isinstance(turn, Next)
    assert (turn.name, turn.batch) == ("high", 1)


def test_what_ran_lately_waits_for_the_others():
    arms = [
        an_arm(name, *(seen(b, b * base_s, 0.1) for b in (1, 4, 16)), accuracy=accuracy)
        for name, base_s, accuracy in (("a", 0.005, 0.6), ("b", 0.006, 0.7))
    ]
    turn = plan(arms, TERMS, 10.0)
    assert isinstance(turn, Next)

    after = plan(arms, TERMS, 10.0, [(turn.name, turn.batch)])

    assert isinstance(after, Next)
    assert (after.name, after.batch) != (turn.name, turn.batch)
