"""Third-party libraries tell nobody anything and keep what they cache in our folder. Before they are imported."""

import os
import sys

from surroundings.folders import cache_folder

_CACHES = {
    "MPLCONFIGDIR": "matplotlib",
    "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
    "TRITON_CACHE_DIR": "triton",
    "TORCH_HOME": "torch",
    "CUDA_CACHE_PATH": "cuda",
}
"""Variable that a library asks -> our folder for it, unless the user has named one. The library makes it if need be."""


def quieten() -> None:
    """No telemetry, no files in the user's home. Child processes inherit what is said by environment.

    ONNX Runtime looks at its variable once, when it is imported. OpenVINO's import sends an event wherever
    `openvino_telemetry` can be imported; without it, a stub of its own does nothing.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type] - documented: its import fails
    for variable, name in _CACHES.items():
        os.environ.setdefault(variable, str(cache_folder() / name))
