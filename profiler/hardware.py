"""What a profile holds for: the processor this process may use, memory, runtimes, any GPU."""

import hashlib
import json
import math
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

_FLAGS = (
    "avx2", "avx_vnni", "avx512f", "avx512_vnni", "avx512_bf16", "amx_int8", "amx_bf16",
    "asimd", "asimddp", "i8mm", "bf16", "sve",
)  # fmt: skip
"""Instruction sets that change what a kernel costs."""

_RUNTIMES = ("onnxruntime", "onnxruntime-gpu")
"""Distributions whose version changes what a kernel costs; those installed are listed."""

_UNLIMITED_BYTES = 1 << 60
"""Version 1 cgroups say 'no limit' with a number near 2^63."""

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Hardware:
    """What this process may use of the machine. Memory is in whole GiB: kernels differ by less."""

    cpu: str
    cores: int
    flags: tuple[str, ...]
    memory_gib: int
    gpus: tuple[str, ...]
    runtimes: tuple[str, ...]

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits that change when any field does."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def described(self) -> dict[str, str]:
        """The fields as an operator reads them."""
        return {
            "cpu": self.cpu,
            "cores": str(self.cores),
            "flags": " ".join(self.flags),
            "memory": f"{self.memory_gib} GiB",
            "gpus": ", ".join(self.gpus) or "none",
            "runtimes": ", ".join(self.runtimes) or "none",
        }


def detect(root: Path = Path("/")) -> Hardware:
    """Look at this machine; `root` is where its `proc` and `sys` are."""
    cpu, flags = _processor(root)
    return Hardware(
        cpu=cpu,
        cores=usable_cores(root),
        flags=flags,
        memory_gib=round(memory_bytes(root) / _GIB),
        gpus=_gpus(),
        runtimes=_installed(_RUNTIMES),
    )


def usable_cores(root: Path = Path("/"), affinity: int | None = None) -> int:
    """Whole cores this process may use: its affinity, cut by the cgroup's quota; at least 1."""
    allowed = affinity or _affinity()
    return max(1, int(min(allowed, _quota_cores(root))))


def memory_bytes(root: Path = Path("/")) -> int:
    """The machine's memory or the cgroup's limit, whichever is less; 0 where unknown."""
    total = re.search(r"^MemTotal:\s+(\d+) kB", _read(root / "proc/meminfo"), re.MULTILINE)
    limits = [int(total[1]) * 1024] if total else []
    for folder in _cgroups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            text = _read(folder / name).strip()
            limits += [int(text)] if text.isdigit() and int(text) < _UNLIMITED_BYTES else []
    return min(limits, default=0)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quota_cores(root: Path) -> float:
    """The tightest CPU quota of this process's cgroups, in cores; infinite where there is none."""
    found = [math.inf]
    for folder in _cgroups(root, "cpu"):
        words = _read(folder / "cpu.max").split()
        if len(words) != 2:
            words = [
                _read(folder / "cpu.cfs_quota_us").strip(),
                _read(folder / "cpu.cfs_period_us").strip(),
            ]
        if words[0].isdigit() and words[1].isdigit() and int(words[1]):
            found.append(int(words[0]) / int(words[1]))
    return min(found)


def _cgroups(root: Path, controller: str) -> list[Path]:
    """Folders whose limits bind this process: its own and every parent's, in versions 2 and 1."""
    base = root / "sys/fs/cgroup"
    folders: list[Path] = []
    for line in _read(root / "proc/self/cgroup").splitlines():
        hierarchy, controllers, inner = line.split(":", 2)
        mounts = [base, base / "unified"] if hierarchy == "0" else [base / controllers]
        if hierarchy == "0" or controller in controllers.split(","):
            parts = Path(inner.lstrip("/")).parts
            folders += [m.joinpath(*parts[:k]) for m in mounts for k in range(len(parts) + 1)]
    return folders


def _processor(root: Path) -> tuple[str, tuple[str, ...]]:
    """Model name with family and stepping (clouds hide the rest), and the flags that matter."""
    text = _read(root / "proc/cpuinfo")

    def field(pattern: str) -> str:
        found = re.search(rf"^(?:{pattern})\s*:\s*(.*)$", text, re.MULTILINE)
        return found[1].strip() if found else ""

    name = field("model name") or field("CPU implementer") or "unknown"
    numbers = [field(p) for p in ("cpu family|CPU architecture", "model|CPU part", "stepping")]
    have = set(field("flags|Features").split())
    return f"{name} ({'/'.join(n or '-' for n in numbers)})", tuple(f for f in _FLAGS if f in have)


def _gpus() -> tuple[str, ...]:
    """One line per NVIDIA GPU (name, driver, memory); none without the driver's tool."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    query = "--query-gpu=name,driver_version,memory.total"
    try:
        done = subprocess.run(
            [tool, query, "--format=csv,noheader"],
            capture_output=True, text=True, timeout=10, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines()) if not done.returncode else ()


def _installed(names: Sequence[str]) -> tuple[str, ...]:
    found = {d.metadata["Name"]: d.version for n in names for d in metadata.distributions(name=n)}
    return tuple(f"{name} {version}" for name, version in sorted(found.items()))


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
