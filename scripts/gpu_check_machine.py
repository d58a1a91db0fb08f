"""The machine that gpu_check runs on: device, driver, Python, and which runtimes import."""

import os
import platform
import re
import subprocess
from datetime import UTC, datetime
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

DISTRIBUTIONS = (
    "torch",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "tensorrt",
    "cuda-python",
    "numpy",
)


def described(*, cpu_only: bool) -> dict[str, Any]:
    """Device, driver, Python, and which runtimes import; a runtime that is missing is no failure."""
    versions: dict[str, str] = {}
    for name in DISTRIBUTIONS:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "missing"
    for name in ("torch", "onnxruntime", "openvino", "tensorrt"):
        try:
            import_module(name)
        except Exception as error:  # noqa: BLE001 - a broken installation raises anything
            versions[name] += f" ({type(error).__name__}: {error})"
    gpu = {} if cpu_only else _nvidia()
    return {
        "device": gpu.get("name", f"cpu {_processor()}"),
        "gpu": gpu,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "versions": versions,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }


def _nvidia() -> dict[str, str]:
    keys = ("name", "driver_version", "memory.total", "power.limit", "clocks.max.sm")
    command = ["nvidia-smi", f"--query-gpu={','.join(keys)}", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return {}
    return dict(zip(keys, (v.strip() for v in done.stdout.splitlines()[0].split(",")), strict=True))


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()
