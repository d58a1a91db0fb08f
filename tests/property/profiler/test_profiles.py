"""Whatever was measured, a repaired profile is monotone, ordered, and interpolates within its points."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from profiler.measuring.summary import points_of
from profiler.profiles import Point, Profile, isotonic, repaired
from profiler.speed.drift import SpeedScale, observe, scale, upper_factor

SECONDS = st.floats(1e-6, 1e3)


@st.composite
def points(draw: st.DrawFn) -> list[Point]:
    batches = draw(st.lists(st.integers(1, 256), min_size=1, max_size=8, unique=True))
    found: list[Point] = []
    for batch in batches:
        p50, p95, p99 = sorted(draw(st.tuples(SECONDS, SECONDS, SECONDS)))
        found.append(Point(batch, draw(st.integers(1, 1000)), p50, p95, p99, draw(SECONDS)))
    return found


def a_profile(found: list[Point]) -> Profile:
    return Profile("a", "fp32", "scripted", "cpu", 1, repaired(found))


def not_above(small: float, large: float) -> bool:
    return small <= large * (1 + 1e-9)


@given(points())
def test_repair_makes_every_column_monotone_and_keeps_quantiles_in_order(found: list[Point]):
    fixed = repaired(found)

    columns = zip(*((p.p50_s, p.p95_s, p.p99_s, p.mean_s) for p in fixed), strict=True)
    assert all(list(column) == sorted(column) for column in columns)
    assert all(not_above(p.p50_s, p.p95_s) and not_above(p.p95_s, p.p99_s) for p in fixed)


@given(points())
def test_repair_changes_nothing_the_second_time(found: list[Point]):
    assert repaired(repaired(found)) == repaired(found)


@given(st.lists(st.tuples(SECONDS, st.floats(1.0, 1e3)), min_size=1, max_size=20))
def test_isotonic_keeps_the_weighted_mean_and_the_range(rows: list[tuple[float, float]]):
    values, weights = zip(*rows, strict=True)

    fitted = isotonic(values, weights)

    total = sum(v * w for v, w in rows)
    assert math.isclose(
        sum(v * w for v, w in zip(fitted, weights, strict=True)), total, rel_tol=1e-9
    )
    assert min(values) <= fitted[0] * (1 + 1e-9)
    assert not_above(fitted[-1], max(values))


@given(points(), st.floats(0.5, 300.0), st.sampled_from((0.5, 0.95, 0.99)))
def test_interpolation_stays_between_the_neighbouring_points(
    found: list[Point], batch: float, quantile: float
):
    profile = a_profile(found)
    below = [p.batch for p in profile.points if p.batch <= batch]
    above = [p.batch for p in profile.points if p.batch >= batch]

    latency_s = profile.latency_s(batch, quantile)

    if below:
        assert not_above(profile.latency_s(below[-1], quantile), latency_s)
    if above:
        assert not_above(latency_s, profile.latency_s(above[0], quantile))


@given(points(), st.integers(1, 300))
def test_tables_never_fall_and_the_upper_one_covers_the_mean(found: list[Point], max_batch: int):
    mean, upper = a_profile(found).mean_table(max_batch), a_profile(found).upper_table(max_batch)

    assert len(mean) == len(upper) == max_batch + 1
    assert all(not_above(a, b) for t in (mean, upper) for a, b in pairwise(t))
    assert all(not_above(m, u) for m, u in zip(mean, upper, strict=True))


@given(
    st.dictionaries(
        st.integers(1, 64), st.lists(SECONDS, min_size=1, max_size=40), min_size=1, max_size=6
    )
)
def test_any_run_times_give_a_profile(took_s: dict[int, list[float]]):
    found = points_of(took_s)

    assert [p.batch for p in found] == sorted(took_s)
    assert all(p.n == len(took_s[p.batch]) for p in found)


@given(st.lists(st.tuples(st.sampled_from("abc"), SECONDS, SECONDS), max_size=60))
def test_the_speed_scale_stays_finite_whatever_happens(runs: list[tuple[str, float, float]]):
    state = SpeedScale()

    for arm, predicted_s, measured_s in runs:
        state = observe(state, arm, predicted_s, measured_s)

    assert all(0 < scale(state, arm) < math.inf for arm in "abcd")
    assert 1.0 < upper_factor(state) <= 4.0 + 1e-9
