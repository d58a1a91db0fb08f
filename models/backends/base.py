"""The one interface every runtime stands behind: open an artefact, run batches on it, close it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Tensors = Mapping[str, NDArray[np.generic]]
"""Tensor name -> array whose first axis is the batch, C-contiguous."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a variant is to run: on `device`, up to `instances` runs at a time on `threads` threads each.

    `graphs`: how batches are to run, for a runtime that compiles a graph for some numbers of rows
    (`openvino_graphs.sizes.Plan`); empty: as it finds best, which takes some runs. `keeps`: whether what is
    compiled may be kept in the user's cache.
    """

    threads: int = 1
    instances: int = 1
    device: str = "cpu"
    graphs: tuple[int, ...] = ()
    keeps: bool = False


class Backend(Protocol):
    """A loaded variant. As many threads may call `run` at once as it was opened for; it may release the GIL."""

    name: str
    """The runtime's short name, as shown to clients and in metrics: `onnxruntime`, `openvino`."""

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Every output for the rows of `inputs`, rows in the same order. Raises BackendError, naming the variant."""
        ...

    def close(self) -> None:
        """Free what the variant holds. Idempotent."""
        ...


def graphs_of(backend: Backend) -> tuple[int, ...]:
    """How its batches run, as a slot's `graphs` says; empty for a runtime that takes any number of rows as it is."""
    return tuple(getattr(backend, "graphs", ()))


class BackendError(Exception):
    """A variant that cannot be loaded or run; the message names the artefact, the runtime and what to do."""


_MOST_WORDS = 400
"""Characters of a runtime's own words that a message repeats."""


_WANT_OF_MEMORY = ("alloc", "out of memory")


def operators(text: str) -> frozenset[str]:
    """Their names, apart by white space in `text`: long lists read better so."""
    return frozenset(text.split())


def words(error: BaseException) -> str:
    """What a runtime says, on one line and not without end."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _MOST_WORDS else f"{text[:_MOST_WORDS]} ..."


def objection(error: BaseException | None) -> str:
    """What the runtime itself has against a batch, in its words; empty where something else went wrong.

    An adapter passes on what its runtime raised as the cause. Want of memory is nothing that the batch could mend.
    """
    cause = error.__cause__ if isinstance(error, BackendError) else None
    if cause is None or isinstance(cause, MemoryError):
        return ""
    text = words(cause)
    return "" if any(word in text.lower() for word in _WANT_OF_MEMORY) else text


class Refused(BackendError):
    """A runtime that would run the variant, but give other answers than the model's.

    `difference` is how far off they are, as `models.tolerances` counts; infinite where that cannot be told.
    """

    def __init__(self, text: str, difference: float = inf) -> None:
        super().__init__(text)
        self.difference = difference
