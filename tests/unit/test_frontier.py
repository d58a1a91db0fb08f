"""What moves the frontier, and what does not."""

from dataclasses import replace

from server.policy.frontier import FASTER, LEAST_GAIN, covered, gain_of, slowed
from tests.builders import a_profile

SMALL, LARGE = a_profile("small", 0.7, 0.003), a_profile("large", 0.8, 0.012)
FRONTIER = [SMALL, LARGE]


def is_covered(accuracy: float, first_s: float, interval: float = 0.0) -> bool:
    mine = a_profile("new", accuracy, first_s)
    return covered([mine], gain_of(interval), FRONTIER) is not None


def test_an_arm_between_two_others_moves_the_frontier():
    assert not is_covered(0.75, 0.006)


def test_an_arm_beyond_either_end_moves_the_frontier():
    assert not is_covered(0.85, 0.03)
    assert not is_covered(0.5, 0.001)


def test_an_arm_that_is_slower_and_no_more_accurate_does_not():
    assert is_covered(0.7, 0.004)
    assert is_covered(0.8, 0.02)


def test_who_is_equal_in_both_does_not():
    assert is_covered(0.8, 0.012)


def test_a_lead_in_accuracy_within_the_interval_is_none():
    assert is_covered(0.71, 0.004, interval=0.02)
    assert not is_covered(0.721, 0.004, interval=0.02)
    assert is_covered(0.8 + 0.9 * LEAST_GAIN, 0.02)


def test_a_lead_in_speed_within_the_scatter_is_none():
    assert is_covered(0.8, 0.012 / (1.0 + 0.9 * FASTER))
    assert not is_covered(0.8, 0.012 / (1.0 + 1.1 * FASTER))


def test_one_batch_size_at_which_it_leads_is_enough():
    mine = a_profile("new", 0.8, 0.02, 0.004)  # slow for one row, fast for many

    assert covered([mine], gain_of(0.0), FRONTIER) is None
    assert covered([mine], gain_of(0.0), [replace(LARGE, mean_s=LARGE.mean_s[:2])]) is not None


def test_one_way_of_running_it_that_leads_is_enough():
    slow, fast = a_profile("new", 0.75, 0.02), a_profile("new", 0.75, 0.006)

    assert covered([slow], gain_of(0.0), FRONTIER) is not None
    assert covered([slow, fast], gain_of(0.0), FRONTIER) is None


def test_batches_that_no_other_was_measured_with_say_nothing():
    mine = a_profile("new", 0.8, 0.02, max_batch=64)

    assert covered([mine], gain_of(0.0), FRONTIER) is not None


def test_where_nobody_serves_anybody_moves_the_frontier():
    assert covered([SMALL], gain_of(0.0), []) is None


def test_the_arm_that_covers_is_named():
    cover = covered([a_profile("new", 0.7, 0.013)], gain_of(0.0), FRONTIER)

    assert cover is not None
    assert cover.told() == (
        "small on scripted (cpu) is as accurate (0.7000 against 0.7000) and no slower (3.00 against 13.00 ms for 1 row)"
    )


def test_slowed_arms_are_so_at_every_size():
    twice = slowed(SMALL, 2.0)

    assert [a / b for a, b in zip(twice.mean_s[1:], SMALL.mean_s[1:], strict=True)] == [2.0] * 16
    assert twice.upper_s[4] == 2.0 * SMALL.upper_s[4]
