"""Shares of the time between two readings: who had the CPUs. Pure."""

from profiler.hardware.readings import Reading


def throttled_share(before: Reading, after: Reading) -> float | None:
    """Of the CPU time asked for in between, what quotas withheld. None where it is not counted."""
    withheld_s = _spent(before.time.throttled_s, after.time.throttled_s)
    own_s = _spent(before.time.own_s, after.time.own_s)
    if withheld_s is None or own_s is None:
        return None
    return withheld_s / (withheld_s + own_s) if withheld_s else 0.0


def steal_share(before: Reading, after: Reading) -> float | None:
    """Of the allowed CPUs' time in between, what the hypervisor stole. None where it is not counted."""
    return _of_cpus(before, after, _spent(before.time.stolen_s, after.time.stolen_s))


def neighbour_share(before: Reading, after: Reading) -> float | None:
    """Of the allowed CPUs' time in between, what others used. None where it is not counted."""
    busy_s = _spent(before.time.busy_s, after.time.busy_s)
    own_s = _spent(before.time.own_s, after.time.own_s)
    return None if busy_s is None or own_s is None else _of_cpus(before, after, busy_s - own_s)


def busy_share(before: Reading, after: Reading) -> float | None:
    """Of the allowed CPUs' time in between, what was used, by us or others. None where it is not counted."""
    return _of_cpus(before, after, _spent(before.time.busy_s, after.time.busy_s))


def _of_cpus(before: Reading, after: Reading, spent_s: float | None) -> float | None:
    """`spent_s` as a share of the allowed CPUs' time in between, 0 to 1; None if there is no such time."""
    whole_s = (after.at_s - before.at_s) * len(after.cores.cpus)
    if spent_s is None or whole_s <= 0.0 or before.cores.cpus != after.cores.cpus:
        return None
    return min(max(spent_s / whole_s, 0.0), 1.0)


def _spent(before_s: float | None, after_s: float | None) -> float | None:
    """The difference of two sums; 0 if it is negative: the machine was restored, or moved to another cgroup."""
    return None if before_s is None or after_s is None else max(0.0, after_s - before_s)
