"""How many cores this process may use: its threads' affinity, its cpuset and its quota together."""

import contextlib
import os
from collections import Counter
from pathlib import Path

from profiler.hardware import cgroups
from profiler.hardware.cgroups import Cgroups

_TASKS = Path("/proc/self/task")


def allowed_cpus(groups: Cgroups, affinity: frozenset[int] | None = None) -> frozenset[int]:
    """The CPUs this process may run on. `affinity` stands in for what the kernel says."""
    own = affinity or process_affinity()
    # The kernel cuts affinity to the cpuset by itself; some sandboxes only show the cpuset.
    return own & (cgroups.cpuset(groups) or own) or own


def whole_cores(allowed: int, quota_cores: float | None) -> int:
    """Cores that can compute at the same time without being held back; at least 1."""
    return max(1, int(allowed if quota_cores is None else min(allowed, quota_cores)))


def process_affinity() -> frozenset[int]:
    """The affinity that most threads have; of equally frequent ones the largest.

    Affinity belongs to a thread: asking for the caller's says nothing about the workers. The intersection would be
    wrong, since runtimes pin each of their threads to a core of its own; the main thread's alone too, since
    `taskset -p` moves only it. So would be the union: a thread that was born while `taskset -ap` went through the
    others keeps the old set, and its children come and go. After `taskset -ap`, or a start under `taskset`, nearly
    all threads agree.
    """
    if not hasattr(os, "sched_getaffinity"):
        return frozenset(range(os.cpu_count() or 1))
    found: Counter[frozenset[int]] = Counter()
    # The system call a thread is some twenty times cheaper than /proc/self/task/*/status and tells the same mask.
    for task in _threads():
        with contextlib.suppress(OSError):  # it has ended since
            found[frozenset(os.sched_getaffinity(task))] += 1
    own = frozenset(os.sched_getaffinity(0))
    return max(found, key=lambda cpus: (found[cpus], len(cpus)), default=own)


def _threads() -> list[int]:
    try:
        return [int(name) for name in os.listdir(_TASKS)]  # noqa: PTH208 - thrice as fast as Path
    except OSError:
        return [os.getpid()]
