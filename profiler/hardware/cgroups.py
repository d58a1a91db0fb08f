"""What the cgroups of this process allow it, and how often they held it back: versions 1 and 2."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

_UNLIMITED_BYTES = 1 << 60
"""Version 1 says 'no limit' with a number near 2^63."""


@dataclass(frozen=True, slots=True)
class Cgroups:
    """Folders whose limits bind this process, every parent's among them, outermost first, by controller."""

    cpu: tuple[Path, ...]
    cpuset: tuple[Path, ...]
    memory: tuple[Path, ...]


def find(root: Path = Path("/")) -> Cgroups:
    """The folders that exist. `root` is where `proc` and `sys` are."""
    lines = [line.split(":", 2) for line in text(root / "proc/self/cgroup").splitlines()]
    base = root / "sys/fs/cgroup"
    unified = [m for m in (base, base / "unified") if (m / "cgroup.controllers").is_file()]
    modern: list[Path] = []
    by_name: dict[str, list[Path]] = {"cpu": [], "cpuset": [], "memory": []}
    for number, controllers, inner in (line for line in lines if len(line) == 3):
        if number == "0":
            modern += [f for mount in unified or [base] for f in _chain(mount, inner)]
        for name in by_name.keys() & set(controllers.split(",")):
            by_name[name] += _chain(base / controllers, inner)
    return Cgroups(**{name: (*modern, *folders) for name, folders in by_name.items()})


def quota_cores(cgroups: Cgroups) -> float | None:
    """The tightest CPU quota in cores, fractions and all; None where none is set or visible."""
    quotas = [q for folder in cgroups.cpu if (q := _quota_of(folder)) is not None]
    return min(quotas, default=None)


def cpuset(cgroups: Cgroups) -> frozenset[int] | None:
    """The CPUs the innermost cpuset leaves; None where there is none."""
    for folder in reversed(cgroups.cpuset):
        for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
            if cpus := listed(text(folder / name)):
                return cpus
    return None


def throttled(cgroups: Cgroups) -> tuple[float, int] | None:
    """(seconds, periods) of being held back by a quota, of all levels together; None where it is not counted.

    The kernel adds up the seconds over cores: two cores held back together for 0.1 s count 0.2 s.
    """
    found = [numbers(text(folder / "cpu.stat")) for folder in cgroups.cpu]
    counted = [n for n in found if "nr_throttled" in n]
    if not counted:
        return None
    seconds = sum(
        n.get("throttled_usec", 0) / 1e6 + n.get("throttled_time", 0) / 1e9 for n in counted
    )
    return seconds, sum(n["nr_throttled"] for n in counted)


def memory_limit_bytes(cgroups: Cgroups) -> int | None:
    """The tightest memory limit; None where none is set or visible."""
    return min((limit for folder in cgroups.memory if (limit := _limit_of(folder))), default=None)


def memory_left_bytes(cgroups: Cgroups) -> int | None:
    """The least any limited level has left, file pages that can be dropped counted as left; None without a limit."""
    return min(
        (_left_of(f, limit) for f in cgroups.memory if (limit := _limit_of(f))), default=None
    )


def text(path: Path) -> str:
    """What the file says; '' for one that is missing or cannot be read."""
    # Bare system calls: a watch reads some twenty files a round, and Path.read_text takes three times as long.
    try:
        number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ""
    try:
        parts: list[bytes] = []
        while part := os.read(number, 1 << 16):
            parts.append(part)
        return b"".join(parts).decode(errors="replace")
    except OSError:
        return ""
    finally:
        os.close(number)


def numbers(content: str) -> dict[str, int]:
    """Lines of 'name number' (also 'name: number kB', in kB); others are left out."""
    rows = [line.split() for line in content.splitlines()]
    return {row[0].rstrip(":"): int(row[1]) for row in rows if len(row) > 1 and row[1].isdecimal()}


def listed(content: str) -> frozenset[int]:
    """The kernel's list notation: '0-2,5' is {0, 1, 2, 5}. What is not in that notation is left out."""
    found: set[int] = set()
    for part in content.strip().split(","):
        first, _, last = part.partition("-")
        if first.isdecimal() and (last or first).isdecimal():
            found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)


def _chain(mount: Path, inner: str) -> list[Path]:
    """The mount and every folder on the way to `inner`: inside a container often only the mount exists."""
    parts = Path(inner.lstrip("/")).parts
    chain = [mount.joinpath(*parts[:k]) for k in range(len(parts) + 1)]
    return [folder for folder in chain if folder.is_dir()]


def _quota_of(folder: Path) -> float | None:
    words = text(folder / "cpu.max").split() or [
        text(folder / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
    ]
    if len(words) != 2 or not (words[0].isdecimal() and words[1].isdecimal()):
        return None
    quota = int(words[0]) / max(int(words[1]), 1)
    return quota if 0 < quota < math.inf else None


def _limit_of(folder: Path) -> int | None:
    for name in ("memory.max", "memory.limit_in_bytes"):
        word = text(folder / name).strip()
        if word.isdecimal() and 0 < int(word) < _UNLIMITED_BYTES:
            return int(word)
    return None


def _left_of(folder: Path, limit: int) -> int:
    used = text(folder / "memory.current").strip() or text(folder / "memory.usage_in_bytes").strip()
    stat = numbers(text(folder / "memory.stat"))
    cached = stat.get("total_inactive_file", stat.get("inactive_file", 0))
    return max(0, limit - max(0, int(used) - cached)) if used.isdecimal() else limit
