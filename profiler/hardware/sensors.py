"""One cheap look at the hardware as it is now: a `Reading`. Judges nothing; what is not to be had is None."""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from profiler.hardware import cgroups, cores
from profiler.hardware.cgroups import Cgroups, numbers, text
from profiler.hardware.gpus import NoNvml, Nvml
from profiler.hardware.readings import Clock, Cores, CpuTime, Memory, Reading

CLOCKS_ASKED = 4
"""CPUs whose clock is read, spread over the allowed ones: they share a limit, and each costs two file reads."""

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 0.01
_NO_GPU = NoNvml()


def read(
    root: Path = Path("/"), nvml: Nvml = _NO_GPU, affinity: frozenset[int] | None = None
) -> Reading:
    """The hardware now, well under a millisecond without a GPU. Never raises.

    `root` is where `proc` and `sys` are; `affinity` stands in for what the kernel says of this process's threads.
    """
    groups = cgroups.find(root)
    cpus, quota_cores = cores.allowed_cpus(groups, affinity), cgroups.quota_cores(groups)
    return Reading(
        time.monotonic(),
        Cores(cores.whole_cores(len(cpus), quota_cores), cpus, quota_cores),
        _cpu_time(root, groups, cpus),
        _clock(root, cpus),
        _memory(root, groups),
        nvml.readings(),
    )


def available_bytes(root: Path = Path("/")) -> int | None:
    """Memory that this process may still take; None where the system does not say."""
    return _memory(root, cgroups.find(root)).available_bytes


def _cpu_time(root: Path, groups: Cgroups, cpus: frozenset[int]) -> CpuTime:
    own_s, is_nice = _own(root)
    busy_s, stolen_s = _used(root, cpus, is_nice)
    withheld_s, periods = cgroups.throttled(groups) or (None, None)
    waited_s, waited_share = _pressure(root, groups)
    return CpuTime(busy_s, stolen_s, own_s, withheld_s, periods, waited_s, waited_share)


def _own(root: Path) -> tuple[float | None, bool]:
    """CPU seconds of all threads of this process, and whether it runs at low priority."""
    # The command's name, in brackets, may hold blanks and brackets: count from behind it.
    words = text(root / "proc/self/stat").rpartition(")")[2].split()
    try:
        return (int(words[11]) + int(words[12])) * _TICK_S, int(words[16]) > 0
    except (IndexError, ValueError):
        return None, False


def _used(root: Path, cpus: frozenset[int], is_nice: bool) -> tuple[float | None, float | None]:
    """Seconds (worked, stolen) of these CPUs. Work of low priority gives way to ours, so it is not counted."""
    rows = [
        line.split() for line in text(root / "proc/stat").splitlines() if line.startswith("cpu")
    ]
    wanted = {f"cpu{n}" for n in cpus}
    try:
        ticks = [[int(word) for word in row[1:9]] for row in rows if row[0] in wanted]
        worked = sum(t[0] + t[2] + t[5] + t[6] + (t[1] if is_nice else 0) for t in ticks)
        stolen = sum(t[7] for t in ticks)
    except (IndexError, ValueError):
        return None, None
    return (worked * _TICK_S, stolen * _TICK_S) if ticks else (None, None)


def _pressure(root: Path, groups: Cgroups) -> tuple[float | None, float | None]:
    """PSI of our own cgroup where there is one, else of the machine: (seconds waited, share of the last 10 s)."""
    own = text(groups.cpu[-1] / "cpu.pressure") if groups.cpu else ""
    content = own or text(root / "proc/pressure/cpu")
    for line in content.splitlines():
        if line.startswith("some "):
            fields = {key: word for key, _, word in (f.partition("=") for f in line.split())}
            total_us, percent = _float(fields.get("total")), _float(fields.get("avg10"))
            return _scaled(total_us, 1e-6), _scaled(percent, 0.01)
    return None, None


def _clock(root: Path, cpus: frozenset[int]) -> Clock:
    ordered = sorted(cpus)
    some = ordered[:: max(1, len(ordered) // CLOCKS_ASKED)][:CLOCKS_ASKED]
    folders = [root / f"sys/devices/system/cpu/cpu{n}/cpufreq" for n in some]
    now_khz, cap_khz = (
        _mean(_float(text(folder / name)) for folder in folders)
        for name in ("scaling_cur_freq", "scaling_max_freq")
    )
    return Clock(_scaled(now_khz, 1e3), _scaled(cap_khz, 1e3))


def _memory(root: Path, groups: Cgroups) -> Memory:
    kib = numbers(text(root / "proc/meminfo"))
    machine = [kib[name] * 1024 if name in kib else None for name in ("MemTotal", "MemAvailable")]
    limits = (machine[0], cgroups.memory_limit_bytes(groups))
    left = (machine[1], cgroups.memory_left_bytes(groups))
    return Memory(
        *(min((n for n in pair if n is not None), default=None) for pair in (limits, left))
    )


def _mean(readings: Iterable[float | None]) -> float | None:
    known = [number for number in readings if number is not None]
    return sum(known) / len(known) if known else None


def _float(word: str | None) -> float | None:
    try:
        return float(word) if word else None
    except ValueError:
        return None


def _scaled(number: float | None, factor: float) -> float | None:
    return None if number is None else number * factor
