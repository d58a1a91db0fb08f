"""The line an operator reads of each change."""

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
)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (CoresChanged(2, 1), "usable cores (affinity, cpuset and CPU quota): 2 -> 1"),
        (CoresMoved(frozenset({0, 1}), frozenset({3, 2})), "moved to other CPUs: 0,1 -> 2,3"),
        (QuotaChanged(None, 1.5), "CPU quota: none -> 1.50 cores"),
        (Throttled(0.4), "CPU time withheld by the quota: 0% -> 40% of what the server asks for"),
        (
            Steal(0.01, 0.2),
            "CPU time stolen by the hypervisor: 20% -> 1% (over for a minute) of the server's cores",
        ),
        (Neighbour(0.5), "CPU time used by other processes: 0% -> 50% of the server's cores"),
        (ClockChanged(3.0e9, 1.5e9), "CPU clock under load: 3.00 GHz -> 1.50 GHz (50%)"),
        (ClockCapChanged(3.0e9, 2.0e9), "CPU clock limit: 3.00 GHz -> 2.00 GHz"),
        (MemoryLimitChanged(8 << 30, 3 << 29), "memory limit: 8.00 GiB -> 1.50 GiB"),
        (DeviceLost("GPU-1"), "GPU GPU-1: present -> lost"),
        (DeviceBack("GPU-1"), "GPU GPU-1: absent -> present"),
        (
            DeviceThrottled("GPU-1", frozenset({"power cap", "power brake"})),
            "GPU GPU-1, clock held down by: nothing -> power brake and power cap",
        ),
        (
            DeviceErrors("GPU-1", 0, 2, 79),
            "GPU GPU-1: 0 new uncorrected memory error(s), 2 critical event(s) (the last: XID 79)",
        ),
    ],
)
def test_an_operator_reads_what_from_and_to(change: Change, line: str):
    assert change.line() == line
