"""What has changed about the hardware: told once, soon, and without chatter."""

from collections.abc import Iterable
from dataclasses import replace

import pytest

from profiler.hardware.changes import (
    Change,
    ClockCapChanged,
    ClockChanged,
    CoresChanged,
    CoresMoved,
    DeviceBack,
    DeviceErrors,
    DeviceLost,
    DeviceThrottled,
    MemoryLimitChanged,
    Neighbour,
    QuotaChanged,
    Steal,
    Throttled,
    is_relief,
)
from profiler.hardware.conditions import CALM_S, WORSE_LOOKS, compare, shared, step, watching
from profiler.hardware.readings import Clock, Cores, GpuReading, Reading
from tests.support.builders import a_reading


def told(readings: Iterable[Reading]) -> list[tuple[float, Change]]:
    """(when, what) of everything told about these readings."""
    first, *rest = readings
    state, found = watching(first), list[tuple[float, Change]]()
    for reading in rest:
        state, changes = step(state, reading)
        found += [(reading.at_s, change) for change in changes]
    return found


def with_shares(
    field: str, shares: list[float], own: float = 0.0, look_s: float = 1.0
) -> list[Reading]:
    """Readings of a machine of two cores; `field` grows by each share of them, own time by `own` of them."""
    readings = [a_reading()]
    for share in shares:
        last = readings[-1]
        sums = {
            name: getattr(last.time, name)
            for name in ("busy_s", "stolen_s", "own_s", "throttled_s")
        }
        sums["own_s"] += own * 2 * look_s
        sums["busy_s"] += own * 2 * look_s
        sums[field] += share * 2 * look_s
        readings.append(a_reading(last.at_s + look_s, **sums))
    return readings


def slowed(at_s: float, *reasons: str) -> Reading:
    return a_reading(at_s, gpus=(GpuReading("GPU-1", slowed_by=frozenset(reasons)),))


def test_two_cores_become_one():
    assert compare(a_reading(cores=2), a_reading(1.0, cores=1)) == (CoresChanged(2, 1),)


def test_other_cpus_of_the_same_number_are_a_move():
    before = a_reading()
    after = replace(before, cores=Cores(2, frozenset({2, 3})))

    assert compare(before, after) == (CoresMoved(frozenset({0, 1}), frozenset({2, 3})),)


def test_a_quota_comes_changes_and_goes():
    none, half, less = (a_reading(quota_cores=q) for q in (None, 1.5, 1.2))

    assert compare(none, half) == (QuotaChanged(None, 1.5),)
    assert compare(half, less) == (QuotaChanged(1.5, 1.2),)
    assert compare(less, none) == (QuotaChanged(1.2, None),)


def test_a_memory_limit_counts_but_ballooning_by_pages_does_not():
    whole, nearly, half = (a_reading(limit_bytes=n) for n in (8 << 30, (8 << 30) - 4096, 4 << 30))

    assert compare(whole, half) == (MemoryLimitChanged(8 << 30, 4 << 30),)
    assert compare(whole, nearly) == ()


def test_a_lower_clock_limit_is_told_at_once():
    before, after = (
        a_reading(at, clock=Clock(None, hz)) for at, hz in ((0.0, 3.5e9), (0.1, 2.0e9))
    )

    assert told([before, after]) == [(0.1, ClockCapChanged(3.5e9, 2.0e9))]


def test_a_device_is_lost_and_comes_back():
    gpu = GpuReading("GPU-1")
    readings = [a_reading(0.0, gpus=(gpu,)), a_reading(0.1), a_reading(0.2, gpus=(gpu,))]

    assert told(readings) == [(0.1, DeviceLost("GPU-1")), (0.2, DeviceBack("GPU-1"))]


def test_new_errors_of_a_device_are_told_at_once_and_once():
    clean, bad = (
        GpuReading("GPU-1", memory_errors=2),
        GpuReading("GPU-1", memory_errors=3, xids=1, last_xid=48),
    )
    readings = [
        a_reading(0.0, gpus=(clean,)),
        a_reading(0.1, gpus=(bad,)),
        a_reading(0.2, gpus=(bad,)),
    ]

    assert told(readings) == [(0.1, DeviceErrors("GPU-1", 1, 1, 48))]


def test_the_share_withheld_is_of_what_was_asked_for():
    before = a_reading()
    after = a_reading(1.0, own_s=1.0, busy_s=1.0, throttled_s=1.0)

    assert compare(before, after) == (Throttled(0.5),)


def test_what_others_use_is_a_neighbour_and_our_own_work_is_none():
    before = a_reading()
    alone, shared = a_reading(1.0, busy_s=1.6, own_s=1.6), a_reading(1.0, busy_s=1.6, own_s=0.6)

    assert compare(before, alone) == ()
    assert compare(before, shared) == (Neighbour(0.5),)


def test_stolen_time_is_told():
    assert compare(a_reading(), a_reading(1.0, stolen_s=0.5)) == (Steal(0.25),)


@pytest.mark.parametrize("field", ["busy_s", "own_s", "stolen_s", "throttled_s"])
def test_what_is_not_counted_is_not_told(field: str):
    before = a_reading(**{field: None})
    after = a_reading(1.0, **{field: None})

    assert compare(before, after) == ()


@pytest.mark.parametrize(
    ("field", "kind"), [("throttled_s", Throttled), ("stolen_s", Steal), ("busy_s", Neighbour)]
)
def test_trouble_is_told_when_looks_agree_and_its_end_when_more_do(
    field: str, kind: type[Throttled | Steal | Neighbour]
):
    worse = [0.5] * 6
    calm = [0.0] * 66

    (on_s, on), (over_s, over) = told(with_shares(field, worse + calm, own=0.3))

    assert isinstance(on, kind)
    assert isinstance(over, kind)
    assert (on_s, over_s) == (WORSE_LOOKS, len(worse) + 1 + CALM_S)
    assert (on.before, over.before, over.share) == (0.0, on.share, 0.0)
    assert (is_relief(on), is_relief(over)) == (False, True)


def test_trouble_there_from_the_start_is_told():
    assert told(with_shares("stolen_s", [0.3] * 9)) == [(WORSE_LOOKS, Steal(pytest.approx(0.3)))]


def test_one_burst_is_no_news():
    assert told(with_shares("busy_s", [0.0, 0.9, 0.0, 0.0, 0.9, 0.0])) == []


def test_a_share_that_hovers_around_its_bar_is_told_once_at_most():
    assert len(told(with_shares("busy_s", [0.26, 0.24] * 50))) == 0
    assert len(told(with_shares("busy_s", [0.26, 0.26, 0.24, 0.09] * 50))) == 1


def test_a_pause_between_two_bursts_is_no_end():
    assert len(told(with_shares("busy_s", [0.5, 0.5, 0.0, 0.0] * 90))) == 1
    assert len(told(with_shares("busy_s", [0.5] * 50 + [0.0] * 50 + [0.5] * 50))) == 1


def test_a_share_that_moves_is_told_once_all_the_same():
    changes = told(with_shares("busy_s", [0.3] * 5 + [0.6] * 5 + [0.9] * 5))

    assert [round(c.share, 2) for _, c in changes if isinstance(c, Neighbour)] == [0.3]


def test_who_else_has_the_processor_is_known_until_it_is_over():
    said: list[str] = []
    first, *rest = with_shares("busy_s", [0.5] * 3 + [0.0] * 70)
    state = watching(first)
    for reading in rest:
        state, _ = step(state, reading)
        said.append(shared(state))

    assert said[0] == said[-1] == ""
    assert said[30] == "other processes used 50% of the server's cores"


def test_looks_shorter_than_the_kernels_ticks_allow_are_put_together():
    readings = with_shares("busy_s", [0.0, 0.9] * 24, look_s=0.0625)

    assert told(readings) == [(1.0, Neighbour(pytest.approx(0.45)))]


def test_sums_of_other_cpus_are_not_compared():
    before = a_reading(0.0, busy_s=0.0)
    moved = replace(a_reading(1.0, busy_s=5000.0), cores=Cores(2, frozenset({6, 7})))
    later = [replace(moved, at_s=2.0 + n) for n in range(4)]

    assert [change for _, change in told([before, moved, *later])] == [
        CoresMoved(frozenset({0, 1}), frozenset({6, 7}))
    ]


def clocked(hertz: list[float], busy: float) -> list[Reading]:
    return [
        a_reading(float(n), clock=Clock(hz), own_s=busy * 2 * n, busy_s=busy * 2 * n)
        for n, hz in enumerate(hertz)
    ]


def test_a_busy_clock_that_falls_and_stays_down_is_told():
    changes = told(clocked([3.0e9] * 4 + [2.0e9] * 6, busy=0.9))

    assert changes == [(5.0, ClockChanged(3.0e9, 2.0e9))]
    assert ClockChanged(3.0e9, 1.5e9).factor == 0.5


def test_an_idle_clock_says_nothing():
    assert told(clocked([3.0e9] * 4 + [0.8e9] * 6, busy=0.1)) == []


def test_turbo_wandering_says_nothing():
    assert told(clocked([3.0e9, 2.9e9, 3.1e9, 2.85e9] * 5, busy=0.9)) == []


def test_a_throttled_device_is_told_when_looks_agree_and_when_it_is_over():
    readings = [
        slowed(0.0),
        *(slowed(1.0 + n, "power cap") for n in range(4)),
        *(slowed(5.0 + n) for n in range(66)),
    ]

    assert told(readings) == [
        (WORSE_LOOKS, DeviceThrottled("GPU-1", frozenset({"power cap"}))),
        (5.0 + CALM_S, DeviceThrottled("GPU-1", frozenset(), frozenset({"power cap"}))),
    ]


def test_a_device_at_its_power_cap_every_other_look_is_not_told():
    assert told(slowed(float(n), *["power cap"] * (n % 2)) for n in range(40)) == []
