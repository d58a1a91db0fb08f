"""A graph of one input and one output on ONNX Runtime's CPU, and the arrays that go between such graphs."""

from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.backends.base import Backend, BackendError, Slot
from models.stems.package import Point
from surroundings.folders import spelled

Array = NDArray[np.float32]


class GraphSession:
    """A session and its two tensors. Its memory is freed with the last reference to it."""

    def __init__(self, graph: Path | bytes, label: str, threads: int) -> None:
        """Raises BackendError, beginning with `label`."""
        runtime = _runtime(label)
        session = _opened(runtime, graph, label, threads)
        self._backend: Backend = runtime.OnnxBackend(session, label)
        self._input = str(session.get_inputs()[0].name)
        self._output = str(session.get_outputs()[0].name)

    def run(self, batch: Array) -> Array:
        """The output for these rows. Raises BackendError."""
        return self._backend.run({self._input: batch})[self._output].astype(np.float32, copy=False)


def _runtime(label: str) -> Any:
    """ONNX Runtime's adapter, imported when needed: that it cannot be is no matter where no task is run."""
    try:
        return import_module("models.backends.onnx_backend")
    except (Exception, SystemExit) as error:
        raise BackendError(
            f"{label} needs onnxruntime, which cannot be imported: {error}"
        ) from error


def _opened(runtime: Any, graph: Path | bytes, label: str, threads: int) -> Any:
    if isinstance(graph, bytes):
        return runtime.open_session(graph, label, Slot(threads), {})
    with spelled(graph) as same:
        return runtime.open_session(same, label, Slot(threads), {})


def checked(activation: Array, point: Point, label: str) -> Array:
    """`activation` itself, C-contiguous. Raises BackendError, beginning with `label`, where it is not the point's."""
    if activation.dtype != np.float32 or activation.shape[1:] != point.shape or not activation.ndim:
        raise BackendError(
            f"{label}: point {point.frozen} (tensor {point.tensor!r}) takes float32 "
            f"({', '.join(['any', *map(str, point.shape)])}), not {activation.dtype} {activation.shape}"
        )
    return np.ascontiguousarray(activation)


def shared(activation: Array) -> Array:
    """A view that nobody can write through: what one head did to it, the next would see."""
    view = activation.view()
    view.flags.writeable = False
    return view
