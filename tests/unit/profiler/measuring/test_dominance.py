"""Who never pays here: slower at every batch size by more than the intervals, and no more accurate."""

from profiler.measuring.dominance import Contender, beats, contested, dominated, frontier


def a_curve(
    name: str, p50_s: dict[int, float], accuracy: float = 0.7, half: float = 0.02
) -> Contender:
    times = tuple(p50_s.values())
    low, high = tuple(t * (1 - half) for t in times), tuple(t * (1 + half) for t in times)
    return Contender(name, accuracy, tuple(p50_s), low, times, high)


FAST = a_curve("fast", {1: 0.002, 16: 0.030})
SLOW = a_curve("slow", {1: 0.004, 16: 0.060})


def test_the_slower_of_two_equally_accurate_arms_is_dominated():
    assert dominated([SLOW, FAST]) == {"slow": "fast"}


def test_a_more_accurate_arm_is_never_dominated():
    assert dominated([a_curve("slow", {1: 0.004, 16: 0.060}, 0.71), FAST]) == {}


def test_overlapping_intervals_prove_nothing_but_are_contested():
    near = a_curve("near", {1: 0.00204, 16: 0.0306})

    assert dominated([FAST, near]) == {}
    assert contested([FAST, near, SLOW]) == {"fast", "near"}


def test_an_arm_that_is_faster_at_one_batch_size_stays():
    crossing = a_curve("crossing", {1: 0.004, 16: 0.020})

    assert dominated([FAST, crossing]) == {}


def test_sizes_that_only_one_was_measured_at_are_read_between_the_others():
    bump = a_curve("bump", {1: 0.002, 4: 0.020, 16: 0.030})

    assert beats(FAST, a_curve("other", {1: 0.003, 16: 0.040}))
    assert not beats(bump, a_curve("other", {1: 0.003, 16: 0.040}))


def test_an_arm_that_cannot_run_as_large_batches_does_not_dominate():
    short = a_curve("short", {1: 0.002, 8: 0.015})

    assert not beats(short, SLOW)


def test_the_fastest_alone_is_named():
    middle = a_curve("middle", {1: 0.003, 16: 0.040})

    assert dominated([SLOW, middle, FAST])["slow"] == "fast"


def test_the_frontier_leaves_out_what_is_slower_and_no_better():
    spots = [("slow", 6.0, 0.74), ("good", 5.0, 0.75), ("best", 12.0, 0.78), ("quick", 3.0, 0.7)]

    assert frontier(spots) == ("quick", "good", "best")
