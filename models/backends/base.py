"""The one interface every runtime stands behind: open an artefact, run batches on it, close it."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.generic]]
"""Tensor name -> array whose first axis is the batch, C-contiguous."""


class Backend(Protocol):
    """A loaded variant. One thread runs it at a time; `run` may release the GIL."""

    name: str
    """The runtime's short name, as shown to clients and in metrics: `onnxruntime`, `scripted`."""

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Every output for the rows of `inputs`, rows in the same order. Raises BackendError, naming the variant."""
        ...

    def close(self) -> None:
        """Free what the variant holds. Idempotent."""
        ...


class BackendError(Exception):
    """A variant that cannot be loaded or run; the message names the artefact, the runtime and what to do."""
