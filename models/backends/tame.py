"""Numbers that runtimes take for others: NaN, infinities, and floats so large that their squares are not finite.

OpenVINO's Relu, Max and Clip make a number of NaN, its comparisons and its TopK order it elsewhere, and sums of what is
that large overflow as they happen to be added. So batches that hold any are answered by the reference runtime.
"""

import threading
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from models.backends.base import Backend, BackendError, Tensors, graphs_of
from models.tolerances import is_tame


class TameBackend:
    """`inner`, but for batches that are not tame: `reference` opens what answers those, when the first one comes."""

    def __init__(self, inner: Backend, reference: Callable[[], Backend]) -> None:
        self.name = inner.name
        self.graphs = graphs_of(inner)
        self._inner = inner
        self._reference = reference
        self._opened: Backend | None = None
        self._lock = threading.Lock()

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Every output for these rows. Raises BackendError naming artefact and input."""
        if all(map(is_tame, inputs.values())):
            return self._inner.run(inputs)
        return self._other().run(inputs)

    def close(self) -> None:
        """Free both. Idempotent."""
        self._inner.close()
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._reference = _closed

    def _other(self) -> Backend:
        with self._lock:
            if self._opened is None:
                self._opened = self._reference()
            return self._opened


def _closed() -> Backend:
    raise BackendError("this arm is closed; open it again before running it")
