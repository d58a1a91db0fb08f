"""What a profile holds for: the processor this process may use, its runtimes, any GPU. Nothing that passes."""

import hashlib
import json
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from models.backends import RUNTIMES
from profiler.hardware import cgroups, cores
from profiler.hardware.gpus import Nvml, open_nvml, present
from profiler.hardware.processor import processor
from profiler.hardware.readings import Gpu

_GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Hardware:
    """What this process may use of the machine. Memory is in whole GiB; `cpus` are the allowed ones' numbers."""

    cpu: str
    cores: int
    flags: tuple[str, ...]
    memory_gib: int
    gpus: tuple[Gpu, ...]
    runtimes: tuple[str, ...]
    quota_cores: float | None = None
    cpus: tuple[int, ...] = ()

    def fingerprint(self) -> str:
        """Twelve hexadecimal digits: the same wherever stored profiles hold.

        In it is what lastingly changes the arms' costs against each other: the processor and its instruction sets,
        whole cores (threads and the bandwidth they share), runtimes, kinds of GPU. Not in it is what scales all
        arms alike and is followed on line (a quota's fraction, clocks, neighbours), what only says which cores or
        which specimen of a GPU it is, and memory, which decides what fits, not what it costs.
        Any runtime's version counts for every profile: one too many is measured in seconds, a wrong one costs more.
        """
        lasting = [
            self.cpu,
            self.cores,
            self.flags,
            sorted(g.kind() for g in self.gpus),
            self.runtimes,
        ]
        return hashlib.sha256(json.dumps(lasting).encode()).hexdigest()[:12]

    def described(self) -> dict[str, str]:
        """The fields as an operator reads them, those outside the fingerprint too."""
        return {
            "cpu": self.cpu,
            "cores": str(self.cores),
            "cpus": " ".join(map(str, self.cpus)) or "unknown",
            "quota": "none" if self.quota_cores is None else f"{self.quota_cores:.2f} cores",
            "flags": " ".join(self.flags),
            "memory": f"{self.memory_gib} GiB",
            "gpus": ", ".join(f"{g.kind()} ({g.uuid})" for g in self.gpus) or "none",
            "runtimes": ", ".join(self.runtimes) or "none",
        }


def detect(root: Path = Path("/"), nvml: Nvml | None = None) -> Hardware:
    """Look at this machine; `root` is where its `proc` and `sys` are. Without `nvml`, it is opened for the moment."""
    groups = cgroups.find(root)
    cpu, flags = processor(root)
    cpus, quota_cores = cores.allowed_cpus(groups), cgroups.quota_cores(groups)
    return Hardware(
        cpu=cpu,
        cores=cores.whole_cores(len(cpus), quota_cores),
        flags=flags,
        memory_gib=round(memory_bytes(root) / _GIB),
        gpus=present(nvml or open_nvml()),
        runtimes=_versions(),
        quota_cores=quota_cores,
        cpus=tuple(sorted(cpus)),
    )


def usable_cores(root: Path = Path("/"), affinity: int | None = None) -> int:
    """Whole cores this process may use: affinity (or that many CPUs), cpuset and quota together; at least 1."""
    groups = cgroups.find(root)
    allowed = affinity or len(cores.allowed_cpus(groups))
    return cores.whole_cores(allowed, cgroups.quota_cores(groups))


def memory_bytes(root: Path = Path("/")) -> int:
    """The machine's memory or the cgroup's limit, whichever is less; 0 where unknown."""
    total = cgroups.numbers(cgroups.text(root / "proc/meminfo")).get("MemTotal", 0) * 1024
    limit = cgroups.memory_limit_bytes(cgroups.find(root))
    return min(limit, total or limit) if limit else total


def _versions() -> tuple[str, ...]:
    """Of every distribution here that brings a runtime or its kernels."""
    names = {name for runtime in RUNTIMES for name in runtime.distributions}
    found = {d.metadata["Name"]: d.version for n in names for d in metadata.distributions(name=n)}
    return tuple(f"{name} {version}" for name, version in sorted(found.items()))
