"""The tiny model every server of the transport benchmark runs: an MLP of 784-128-10 in ONNX
Runtime, one thread.

Imported inside the peers' own environments, so it needs numpy and onnxruntime alone.
"""

import os
from typing import Any

import numpy as np

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # it looks when it is imported

import onnxruntime as ort

MODEL_PATH = "GEARSHIFT_BENCH_MLP"
"""The environment variable that names the ONNX file."""


def open_mlp() -> Any:
    """A session on the file that MODEL_PATH names."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return ort.InferenceSession(os.environ[MODEL_PATH], options, providers=["CPUExecutionProvider"])


def run_mlp(session: Any, x: np.ndarray) -> np.ndarray:
    """Scores [rows, 10] of pixels [rows, 784], both FP32."""
    return session.run(["y"], {"x": x})[0]
