"""What a share runs: a package's stem and the heads of tasks, opened from the repository."""

from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.stems.package import Package

Activation = NDArray[np.float32]


class Networks(Protocol):
    """The opened networks of one package. Called by one thread at a time; answers are read-only."""

    def stem(
        self, x: NDArray[np.generic], start: int, ends: Sequence[int]
    ) -> Mapping[int, Activation]:
        """The activations (n, *shape) at each of `ends`, from `x` (n, *shape) at point `start`."""
        ...

    def head(self, task: str, frozen: int, activation: Activation) -> NDArray[np.float32]:
        """Scores (n,)."""
        ...

    def together(
        self, frozen: int, tasks: Sequence[str], activation: Activation
    ) -> NDArray[np.float32]:
        """Scores (n, tasks) of tasks whose heads are of equal shape."""
        ...


class Source(Protocol):
    """Where packages are read and opened."""

    def read(self) -> Package:
        """What is in the repository now."""
        ...

    def open(self, package: Package, tasks: Collection[str]) -> Networks:
        """With the heads of `tasks`; what is open already from an earlier call is not opened again."""
        ...
