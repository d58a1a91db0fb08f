"""Profiles: repaired, read between the points, found by key."""

from dataclasses import replace

import pytest

from profiler.measuring.summary import Pool, assumed, points_of
from profiler.profiles import MachineProfile, Point, Profile, repaired


def a_point(batch: int, p50_s: float, n: int = 10) -> Point:
    return Point(batch, n, p50_s, p50_s * 1.2, p50_s * 1.5, p50_s * 1.1)


def a_profile(p50_s: dict[int, float], variant: str = "a", threads: int = 1) -> Profile:
    points = repaired([a_point(batch, s) for batch, s in p50_s.items()])
    return Profile(variant, "fp32", "scripted", "cpu", threads, points)


def test_a_point_that_dips_is_pooled_with_the_one_before():
    found = repaired([a_point(1, 0.001), a_point(2, 0.006), a_point(4, 0.004)])

    assert [p.p50_s for p in found] == pytest.approx([0.001, 0.005, 0.005])


def test_pooling_weighs_by_runs():
    found = repaired([a_point(1, 0.004, n=30), a_point(2, 0.002, n=10)])

    assert found[0].p50_s == pytest.approx(0.0035)


@pytest.mark.parametrize(
    "points",
    [
        [],
        [a_point(0, 0.1)],
        [a_point(1, 0.1), a_point(1, 0.2)],
        [a_point(1, float("nan"))],
        [a_point(1, float("inf"))],
        [a_point(1, -0.1)],
        [a_point(1, 0.1, n=0)],
        [Point(1, 5, 0.2, 0.1, 0.3, 0.1)],
        [Point(1, 5, 0.1, 0.1, 0.1, 0.0)],
    ],
)
def test_what_cannot_have_been_measured_is_refused(points: list[Point]):
    with pytest.raises(ValueError, match=r"measure|batch sizes|latenc"):
        repaired(points)


def test_between_two_points_latency_is_linear():
    profile = a_profile({1: 0.002, 4: 0.008, 8: 0.012})

    assert profile.latency_s(6) == pytest.approx(0.010)


def test_the_smallest_kept_quantile_that_covers_is_used():
    profile = a_profile({1: 0.010})

    assert [profile.latency_s(1, q) for q in (0.5, 0.9, 0.95, 0.99, 0.999)] == pytest.approx(
        [0.010, 0.012, 0.012, 0.015, 0.015]
    )


def test_beyond_the_last_point_rows_cost_no_less_than_before():
    profile = a_profile({1: 0.010, 2: 0.011})

    assert profile.latency_s(4) == pytest.approx(0.022)


def test_tables_start_with_an_unused_zero_and_reach_the_largest_batch():
    profile = a_profile({1: 0.010, 4: 0.040})

    mean, upper = profile.mean_table(6), profile.upper_table(6)

    assert mean == pytest.approx((0.0, 0.011, 0.022, 0.033, 0.044, 0.055, 0.066))
    assert upper == pytest.approx((0.0, 0.012, 0.024, 0.036, 0.048, 0.060, 0.072))


def test_the_upper_table_is_never_below_the_mean():
    points = repaired([Point(1, 10, 0.010, 0.011, 0.2, 0.020)])
    profile = Profile("a", "fp32", "scripted", "cpu", 1, points)

    assert profile.upper_table(1)[1] == pytest.approx(0.020)


def test_the_best_batch_has_the_highest_throughput():
    profile = a_profile({1: 0.010, 2: 0.012, 4: 0.030})

    assert profile.best_batch() == 2
    assert profile.throughput_rps(2) == pytest.approx(2 / 0.0132)


def test_merging_replaces_the_profile_of_the_same_arm_only():
    machine = MachineProfile("f", "tiny", "2026-01-01T00:00:00+00:00")
    old, wide, new = a_profile({1: 1.0}), a_profile({1: 1.0}, threads=2), a_profile({1: 2.0})

    machine = machine.merged(old).merged(wide).merged(new)

    assert machine.find("a", "scripted", "cpu", 1) == new
    assert machine.find("a", "scripted", "cpu", 2) == wide
    assert machine.find("b", "scripted", "cpu", 1) is None


def test_few_runs_borrow_the_tail_of_all():
    quick = [0.001] * 95 + [0.002] * 5

    one, eight = points_of({1: quick, 8: [0.01, 0.01, 0.01]})

    assert one.p95_s == pytest.approx(0.002)
    assert eight.p50_s == pytest.approx(0.01)
    assert eight.p99_s == pytest.approx(0.02)


def test_a_hiccup_counts_as_two_medians_in_the_mean():
    (point,) = points_of({1: [0.01] * 9 + [1.0]})

    assert point.mean_s == pytest.approx((9 * 0.01 + 0.02) / 10)


def test_many_runs_give_the_interval_by_rank():
    (point,) = points_of({1: [float(i) for i in range(1, 101)]})

    assert point.interval_s == (40.0, 61.0)


def test_few_runs_take_the_spread_of_all_for_their_interval():
    calm, wild = [0.99, 1.0, 1.0, 1.01] * 10, [0.7, 0.9, 1.1, 1.3] * 10

    widths = [points_of({1: runs, 8: [9.0, 9.0]})[1].half_width for runs in (calm, wild)]

    assert widths[0] < 0.05 < widths[1]


def test_two_runs_alone_do_not_say_that_there_is_no_tail():
    (point,) = points_of({1: [0.010, 0.010]})

    assert point.p50_s == pytest.approx(0.010)
    assert point.p95_s == pytest.approx(0.010 * assumed(0.95))
    assert point.p99_s == pytest.approx(0.010 * assumed(0.99))
    assert point.p99_s > point.p95_s > point.p50_s


def test_two_runs_inherit_the_tail_that_all_arms_show():
    others = Pool(tuple([1.0] * 90 + [1.5] * 10))

    (point,) = points_of({1: [0.010, 0.010]}, others)

    assert point.p95_s == pytest.approx(0.015)


def test_waits_for_a_cpu_are_in_the_tails_and_means_of_all_and_in_no_median():
    slower = [*[1.0] * 60, *[1.6] * 40]
    busy = Pool(tuple([1.0] * 100), tuple((0.010, by) for by in slower))

    found = points_of({1: [0.010] * 100, 8: [0.050, 0.050]}, busy)

    assert [p.p50_s for p in found] == pytest.approx([0.010, 0.050])
    assert [p.p95_s for p in found] == pytest.approx([0.016, 0.080])
    assert [p.mean_s for p in found] == pytest.approx([0.0124, 0.062])


def test_long_runs_wait_as_long_runs_do_and_no_wait_counts_more_than_the_run():
    short = [*[(0.001, 1.0)] * 190, *[(0.001, 30.0)] * 10]
    busy = Pool(tuple([1.0] * 100), (*short, *[(0.1, 1.3)] * 100))

    one, large = points_of({1: [0.001] * 100, 8: [0.1] * 100}, busy)

    assert one.p99_s <= 0.002
    assert (large.p95_s, large.mean_s) == pytest.approx((0.13, 0.13))


def test_the_interval_between_two_sizes_is_the_wider_ones():
    profile = replace(
        a_profile({1: 1.0}),
        points=(Point(1, 9, 1, 1, 1, 1, 0.9, 1.1), Point(4, 9, 4, 4, 4, 4, 3, 5)),
    )

    found = [profile.half_width_at(b) for b in (1, 2, 4, 9)]

    assert found == pytest.approx([0.1, 0.25, 0.25, 0.25])


def test_two_runs_that_disagree_are_not_certain():
    calm = [0.99, 1.0, 1.0, 1.01] * 10

    point = points_of({1: calm, 8: [8.0, 12.0]})[1]

    assert point.interval_s == (8.0, 12.0)


def test_a_point_without_an_interval_stands_for_itself():
    assert a_point(1, 0.01).interval_s == (0.01, 0.01)


def test_an_interval_beside_its_median_is_refused():
    with pytest.raises(ValueError, match="interval"):
        repaired([Point(1, 5, 0.1, 0.1, 0.1, 0.1, 0.11, 0.12)])


def test_repair_carries_the_intervals_along():
    wide = [Point(1, 10, 0.01, 0.01, 0.01, 0.01, 0.008, 0.012)] * 1
    dips = [Point(2, 10, 0.008, 0.01, 0.01, 0.01, 0.007, 0.009)]

    found = repaired([*wide, *dips])

    assert [p.interval_s for p in found] == [pytest.approx((0.0075, 0.0105))] * 2
