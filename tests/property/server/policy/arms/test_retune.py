"""Whatever batches take, the policy is told of costs that are positive, finite, and never less for a larger batch."""

import math
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from profiler.speed.curve import FLAT, MOST, bend, observe
from server.policy.arms import retune
from server.policy.arms.probing import ShadowBudget, Slack, after, next_probe
from tests.support.builders import three_arms
from tests.support.scaling import POWERS, scaled

SECONDS = st.floats(1e-7, 1e4)
RAN = st.tuples(st.integers(0, 2), st.integers(1, 16), SECONDS, SECONDS, st.booleans())


@given(st.lists(RAN, max_size=80), st.booleans())
def test_told_tables_rise_and_stay_positive_and_finite(
    runs: list[tuple[int, int, float, float, bool]], renewed: bool
):
    arms = three_arms()
    state = retune.with_arms(retune.Known(), arms)

    for i, (arm, rows, took_s, added_s, shadow) in enumerate(runs):
        ran = retune.LatencySample(arms[arm].arm, rows, took_s, took_s + added_s, 0.1 * i, shadow)
        state, _ = retune.observe(state, ran, ())
    if renewed:
        state = retune.renewed(state, 1.5)

    for told in (*state.effective.values(), *retune.arms_now(state)):
        for table in (told.mean_s, told.upper_s):
            assert all(0.0 < s < math.inf for s in table[1:])
            assert all(a <= b * (1.0 + 1e-9) for a, b in pairwise(table))
        pairs = zip(told.mean_s, told.upper_s, strict=True)
        assert all(mean <= upper * (1.0 + 1e-9) for mean, upper in pairs)


@given(st.lists(st.tuples(st.integers(1, 16), st.floats(0.5, 2.0)), min_size=1, max_size=16))
def test_with_exact_batches_every_prediction_becomes_exact(truths: list[tuple[int, float]]):
    """At powers of two: between them a line is what a curve can do."""
    factors = {1 << (rows.bit_length() - 1): factor for rows, factor in truths}
    arm = three_arms()[0]
    state = retune.with_arms(retune.Known(), [arm])

    for i in range(400):
        for rows, factor in factors.items():
            took_s = factor * arm.mean_s[rows]
            state, _ = retune.observe(
                state, retune.LatencySample(arm.arm, rows, took_s, took_s, 0.1 * i)
            )

    for rows, factor in factors.items():
        predicted_s = retune.predicted_s(state, arm.arm, rows)
        assert math.isclose(predicted_s, factor * arm.mean_s[rows], rel_tol=0.1)


@given(st.lists(st.tuples(st.integers(1, 500), st.floats(-50.0, 50.0)), max_size=80))
def test_a_curve_stays_within_its_bound(batches: list[tuple[int, float]]):
    curve = FLAT

    for rows, residual in batches:
        curve, shift = observe(curve, rows, residual)
        assert math.isfinite(shift)

    assert all(abs(bend(curve, rows)) <= MOST for rows in (1, 3, 64, 1000))


@given(
    rate_rps=st.floats(0.0, 1e4),
    workers=st.integers(1, 8),
    idle=st.integers(0, 8),
    waiting=st.integers(0, 9),
    slo_s=st.floats(0.001, 1.0),
)
def test_no_shadow_runs_while_somebody_waits_or_all_work(
    rate_rps: float, workers: int, idle: int, waiting: int, slo_s: float
):
    known = retune.with_arms(retune.Known(), three_arms())

    probe = next_probe(known, Slack(rate_rps, workers, idle, waiting, slo_s), ShadowBudget(), 0.0)

    if waiting or not idle:
        assert probe is None
    elif not rate_rps:
        assert probe is not None
        assert 1 <= probe.rows <= 16


EVENT = st.tuples(
    st.floats(0.0, 3.0),
    st.integers(0, 2),
    st.integers(1, 16),
    st.sampled_from([0.7, 1.0, 1.02, 3.0, 40.0]),
    st.sampled_from(["batch", "batch", "shadow", "refused", "idle"]),
)


def told(events: Sequence[tuple[float, int, int, float, str]], k: float) -> list[object]:
    """What the policy is told, and what is run as a shadow, all times being k times as long."""
    arms = [scaled(arm, k) for arm in three_arms()]
    slo_s, state, spent, now_s = 0.05 * k, retune.Known(0.05 * k), ShadowBudget(), 0.0
    state = retune.with_arms(state, arms)
    found: list[object] = []
    for gap_s, arm, rows, speed, kind in events:
        now_s, took_s = now_s + gap_s * k, arms[arm].mean_s[rows] * speed
        match kind:
            case "refused":
                revived = retune.revived(state, slo_s, now_s)
                state, tables = (revived, None) if revived else retune.refused(state, now_s)
                found.append((revived is not None, tables, retune.arms_now(state)))
            case "idle":
                probe = next_probe(state, Slack(1.0 / k, 2, 1, 0, slo_s), spent, now_s)
                spent = after(took_s, 2, now_s, slo_s)
                found += [probe, spent]
            case _:
                shadow = kind == "shadow"
                ran = retune.LatencySample(arms[arm].arm, rows, took_s, 1.1 * took_s, now_s, shadow)
                state, tables = retune.observe(state, ran, None if shadow else ())
                found.append(tables)
    return found


@given(st.lists(EVENT, max_size=40), st.sampled_from(POWERS))
def test_what_is_told_and_tried_does_not_hang_on_the_unit_of_time(
    events: list[tuple[float, int, int, float, str]], power: int
):
    k = 2.0**power

    assert told(events, k) == [scaled(one, k) for one in told(events, 1.0)]
