"""Which GPUs there are and what about them lasts: by NVML, else by the driver's own tool, else none."""

import importlib
import logging
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from profiler.hardware.nvml import PyNvml
from profiler.hardware.readings import Gpu, GpuReading

_DRIVER = Path("/proc/driver/nvidia/version")
"""There where the kernel has NVIDIA's driver loaded."""

_QUERY = (
    "uuid,name,driver_version,memory.total,clocks.max.sm,clocks.max.memory,enforced.power.limit"
)

_log = logging.getLogger(__name__)


class Nvml(Protocol):
    """What the watch asks of NVIDIA's management library. Neither method raises."""

    def facts(self) -> tuple[Gpu, ...]:
        """What lasts about each GPU that answers."""
        ...

    def readings(self) -> tuple[GpuReading, ...]:
        """The GPUs that answer now."""
        ...


class NoNvml:
    """A machine without NVML: no GPU is seen."""

    def facts(self) -> tuple[Gpu, ...]:
        """None."""
        return ()

    def readings(self) -> tuple[GpuReading, ...]:
        """None."""
        return ()


def open_nvml(load: Callable[[], Any] = lambda: importlib.import_module("pynvml")) -> Nvml:
    """NVML if `load` gives its Python binding and it starts. If not, NoNvml, and one line of log where a GPU is."""
    try:
        return PyNvml(load())
    except Exception as error:  # noqa: BLE001 - a broken driver or binding must not keep a CPU server from starting
        level = logging.WARNING if _DRIVER.exists() else logging.DEBUG
        advice = "to watch them, install nvidia-ml-py and check that nvidia-smi works"
        reason = str(error) or type(error).__name__
        _log.log(level, "GPUs are not watched: NVML is not to be had (%s); %s", reason, advice)
        return NoNvml()


def present(nvml: Nvml) -> tuple[Gpu, ...]:
    """The GPUs NVML tells of; those `nvidia-smi` tells of where NVML tells of none."""
    return nvml.facts() or parsed(_asked())


def parsed(rows: str) -> tuple[Gpu, ...]:
    """The GPUs in what `nvidia-smi` prints for `_QUERY`, without header and units; other lines are left out."""
    fields = [[word.strip() for word in line.split(",")] for line in rows.splitlines()]
    return tuple(_gpu(f[:3], list(map(_number, f[3:]))) for f in fields if len(f) == 7)


def _gpu(names: Sequence[str], numbers: Sequence[float]) -> Gpu:
    """`names`: uuid, name, driver; `numbers`: MiB of memory, MHz of the processors and of the memory, watts."""
    uuid, name, driver = names
    memory_mib, sm_mhz, memory_mhz, watts = numbers
    memory_bytes = int(memory_mib) << 20
    return Gpu(uuid, name, driver, memory_bytes, sm_mhz * 1e6, memory_mhz * 1e6, watts)


def _asked() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    try:
        asked = [tool, f"--query-gpu={_QUERY}", "--format=csv,noheader,nounits"]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("nvidia-smi does not answer (%s); no GPU is used", error)
        return ""
    return "" if done.returncode else done.stdout


def _number(word: str) -> float:
    """0 for the tool's '[N/A]' and the like."""
    try:
        return float(word)
    except ValueError:
        return 0.0
