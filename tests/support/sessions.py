"""ONNX Runtime on the CPU as nobody configured it, to compare with."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

from models.backends.base import Tensors
from models.exact_int8 import EXACT_INT8


def a_session(model: onnx.ModelProto | Path) -> ort.InferenceSession:
    """Of a model or its file; silent."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(*EXACT_INT8)
    what = model if isinstance(model, Path) else model.SerializeToString()
    return ort.InferenceSession(what, options, providers=["CPUExecutionProvider"])


def plain(model: onnx.ModelProto | Path, inputs: Tensors) -> dict[str, np.ndarray]:
    """Every output by its name."""
    session = a_session(model)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))


def first_output(model: onnx.ModelProto | Path, batch: object) -> NDArray[np.generic]:
    """The first output for a batch of the only input."""
    session = a_session(model)
    return np.asarray(session.run(None, {session.get_inputs()[0].name: batch})[0])
