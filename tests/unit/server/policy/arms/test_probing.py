"""Shadow runs: on what is not known well and could matter, when nobody could wait, and seldom."""

import pytest

from server.policy.arms.probing import (
    GAP_SLOS,
    SHARE,
    Probe,
    ShadowBudget,
    Slack,
    after,
    next_probe,
    sizes,
    stale,
)
from server.policy.arms.retune import Known, LatencySample, observe, renewed, with_arms
from tests.support.builders import a_profile

SMALL = a_profile("small", 0.7, 0.004)
LARGE = a_profile("large", 0.8, 0.012)
USELESS = a_profile("useless", 0.6, 0.050)
IDLE = Slack(rate_rps=0.0, workers=1, idle=1, waiting=0, slo_s=0.1)
FREE = ShadowBudget()
NOW_S = 100.0


def ran_everywhere(state: Known, at_s: float = NOW_S) -> Known:
    """Every arm ran at every size worth knowing, a few times, as profiled."""
    for arm in (SMALL, LARGE, USELESS):
        for rows in (1, 2, 4, 8, 16) * 3:
            took_s = arm.mean_s[rows]
            state, _ = observe(state, LatencySample(arm.arm, rows, took_s, took_s, at_s))
    return state


def known() -> Known:
    return with_arms(Known(), [SMALL, LARGE, USELESS])


def all_probes(state: Known, now_s: float) -> list[Probe]:
    """What would be run until nothing is left to ask, each taking what it should."""
    found: list[Probe] = []
    while (probe := next_probe(state, IDLE, FREE, now_s)) is not None:
        found.append(probe)
        state, _ = observe(
            state,
            LatencySample(
                probe.arm, probe.rows, probe.expected_s, probe.expected_s, now_s, shadow=True
            ),
        )
        assert len(found) < 200, "it never has enough"
    return found


def test_an_arm_that_has_not_run_is_run_when_all_is_idle():
    assert next_probe(known(), IDLE, FREE, NOW_S) is not None


def test_what_has_just_run_is_left_alone():
    assert next_probe(ran_everywhere(known()), IDLE, FREE, NOW_S) is None


def test_time_makes_an_arm_stale():
    state = ran_everywhere(known())

    assert next_probe(state, IDLE, FREE, NOW_S + 60.0) is None
    assert next_probe(state, IDLE, FREE, NOW_S + 3600.0) is not None


def test_a_change_of_the_machine_makes_the_arms_stale_that_did_not_see_it():
    state = ran_everywhere(known())
    for i in range(20):
        took_s = 2.0 * SMALL.mean_s[1]
        state, _ = observe(state, LatencySample(SMALL.arm, 1, took_s, took_s, NOW_S + 0.01 * i))

    probe = next_probe(state, IDLE, FREE, NOW_S + 1.0)

    assert probe is not None
    assert probe.arm == LARGE.arm
    by_arm = {one.arm: one for one in stale(state, NOW_S + 1.0)}
    assert by_arm[LARGE.arm].moved > 0.5 > by_arm[SMALL.arm].moved
    assert by_arm[LARGE.arm].uncertain > by_arm[SMALL.arm].uncertain


def test_an_arm_that_could_not_be_worth_choosing_is_never_run():
    assert USELESS.arm not in {probe.arm for probe in all_probes(known(), NOW_S)}


def test_new_hardware_is_measured_at_every_size_worth_knowing_and_then_no_more():
    state = renewed(ran_everywhere(known()), 1.3)

    probes = all_probes(state, NOW_S)

    assert {(p.arm, p.rows) for p in probes} == {
        (arm.arm, rows) for arm in (SMALL, LARGE) for rows in sizes(arm, IDLE.slo_s)
    }
    assert len(probes) < 30


@pytest.mark.parametrize(
    "busy",
    [
        IDLE._replace(waiting=1),
        IDLE._replace(idle=0),
        IDLE._replace(rate_rps=50.0),
        IDLE._replace(rate_rps=500.0, idle=2, workers=2),
    ],
    ids=["queue", "no idle worker", "soon an arrival", "soon two"],
)
def test_nothing_is_run_where_a_request_could_wait(busy: Slack):
    assert next_probe(known(), busy, FREE, NOW_S) is None


def test_a_second_idle_worker_takes_what_arrives():
    assert next_probe(known(), IDLE._replace(rate_rps=30.0, idle=2, workers=2), FREE, NOW_S)


def test_runs_keep_their_distance_and_to_their_share():
    short, long = after(0.001, 1, NOW_S), after(0.050, 2, NOW_S)

    assert short.free_s == pytest.approx(NOW_S + GAP_SLOS * known().slo_s)
    assert long.free_s == pytest.approx(NOW_S + 0.050 / (2 * SHARE))
    assert next_probe(known(), IDLE, long, long.free_s - 0.001) is None
    assert next_probe(known(), IDLE, long, long.free_s) is not None


def test_with_nothing_known_there_is_nothing_to_run():
    assert next_probe(Known(), IDLE, FREE, NOW_S) is None
