"""Third-party libraries tell nobody anything and keep what they cache in our folder. Before they are imported."""

import os
import sys
from pathlib import Path

from surroundings.folders import cache_folder

_CACHES = {
    "MPLCONFIGDIR": "matplotlib",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
    "TORCH_HOME": "torch",
    "CUDA_CACHE_PATH": "cuda",
}
"""Variable that a library asks -> our folder for it, unless the user has named one. The library makes it if need be."""

_CPUINFO = Path("/proc/cpuinfo")


def quieten() -> None:
    """No telemetry, no files in the user's home. Child processes inherit what is said by environment.

    ONNX Runtime looks at its variable once, when it is imported. OpenVINO's import sends an event wherever
    `openvino_telemetry` can be imported; without it, a stub of its own does nothing.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] - documented: its import fails
    for variable, name in _CACHES.items():
        os.environ.setdefault(variable, str(cache_folder() / name))


def keep_gradients_right() -> None:
    """Have oneDNN take its AVX kernels on CPUs that have AVX2 and not AVX-512. Before torch runs anything.

    Its AVX2 kernel for the gradient of a convolution of 1 x 1 with a stride writes past its memory (oneDNN 3.12, in
    torch 2.13): the process aborts, or goes on with something else overwritten.
    """
    try:
        flags = set(_CPUINFO.read_text(encoding="ascii", errors="replace").split())
    except OSError:
        return
    if "avx2" in flags and "avx512f" not in flags:
        os.environ.setdefault("ONEDNN_MAX_CPU_ISA", "AVX")
