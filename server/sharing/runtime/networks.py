"""What a share runs: a package's stem and the heads of tasks, opened from the repository."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from models.stems import Heads, Package, Stem, load_package
from models.stems.package import Head, SharedTask

Activation = NDArray[np.float32]
Cut = tuple[str, int]
"""(task, frozen)."""


class Networks(Protocol):
    """The opened networks of one package. The first three run; the others may be called meanwhile."""

    def stem(self, x: Activation, start: int, ends: Sequence[int]) -> Mapping[int, Activation]:
        """The activations (n, *shape) at each of `ends`, from `x` (n, *shape) at point `start`; read-only."""
        ...

    def head(self, task: str, frozen: int, activation: Activation) -> Activation:
        """Scores (n,)."""
        ...

    def together(self, frozen: int, tasks: Sequence[str], activation: Activation) -> Activation:
        """Scores (n, tasks) of tasks whose heads are of equal shape, as one network."""
        ...

    def warm(self, points: Collection[int]) -> None:
        """Load the stem's stretches between these points, beside those that are loaded."""
        ...

    def cut(self, points: Collection[int]) -> None:
        """Let go of all other stretches of the stem."""
        ...

    def fuses(self, frozen: int, tasks: Sequence[str]) -> bool:
        """Whether `together` would run these heads as one network; it is loaded then."""
        ...

    def ready(self, cuts: Collection[Cut]) -> None:
        """Load these heads, so that their first run takes no longer than the next."""
        ...

    def drop(self, task: str) -> None:
        """Free the heads of a task that is run no more."""
        ...

    def close(self) -> None:
        """Free everything."""
        ...


class Source(Protocol):
    """Where a package is read and opened."""

    def read(self) -> Package:
        """What is in the repository now."""
        ...

    def open(self, package: Package) -> Networks:
        """The package's networks; heads are loaded when they are needed."""
        ...


class Folder:
    """A package's folder in the repository; the stem is opened once, for all versions of the package."""

    def __init__(self, folder: Path, threads: int = 1) -> None:
        self._folder = folder
        self._threads = threads
        self._stem: Stem | None = None
        self._last: OpenedNetworks | None = None

    def read(self) -> Package:
        """Raises ArtifactError."""
        return load_package(self._folder)

    def open(self, package: Package) -> "OpenedNetworks":
        """Raises BackendError, ArtifactError, OSError."""
        if self._stem is None:
            self._stem = Stem.open(self._folder, package, threads=self._threads)
        heads = None if self._last is None else self._last.heads_for(package)
        if heads is None:
            heads = Loaded(Heads.open(self._folder, package, threads=self._threads))
            if self._last is not None:
                self._last.lend(heads, package)
        self._last = OpenedNetworks(self._stem, heads, package)
        return self._last


@dataclass(frozen=True, slots=True)
class Loaded:
    """Heads, and which of them are loaded as they are in which version."""

    heads: Heads
    by_cut: dict[Cut, Head] = field(default_factory=dict[Cut, Head])


class OpenedNetworks:
    """Stem and heads of one version of a package. Heads are those of the version before where none has changed."""

    def __init__(self, stem: Stem, heads: Loaded, package: Package) -> None:
        self._stem = stem
        self._loaded = heads
        self._heads = heads.heads
        self._known = _heads_of(package.tasks)
        self._shapes = {point.frozen: point.shape for point in package.base.points}

    def heads_for(self, package: Package) -> Loaded | None:
        """What is loaded, if another version of the package can go on with it: a head in use is never replaced."""
        known, loaded = _heads_of(package.tasks), self._loaded.by_cut
        return self._loaded if all(known.get(cut) == head for cut, head in loaded.items()) else None

    def lend(self, to: Loaded, package: Package) -> None:
        """Those heads that are loaded, and are the same in this version of the package."""
        known = _heads_of(package.tasks)
        for cut, head in list(self._loaded.by_cut.items()):
            if known.get(cut) == head:
                to.heads.share(self._heads, *cut)
                to.by_cut[cut] = head

    def stem(self, x: Activation, start: int, ends: Sequence[int]) -> Mapping[int, Activation]:
        """As `Networks` says."""
        return self._stem.run(x, start, ends)

    def head(self, task: str, frozen: int, activation: Activation) -> Activation:
        """As `Networks` says."""
        return self._heads.run(task, frozen, activation)

    def together(self, frozen: int, tasks: Sequence[str], activation: Activation) -> Activation:
        """As `Networks` says."""
        return self._heads.run_together(frozen, tasks, activation)

    def warm(self, points: Collection[int]) -> None:
        """As `Networks` says. Raises BackendError."""
        for start, end in pairwise(sorted({0, *points})):
            self._stem.run(np.zeros((1, *self._shapes[start]), np.float32), start, (end,))

    def cut(self, points: Collection[int]) -> None:
        """As `Networks` says. Raises BackendError."""
        self._stem.use(points)

    def fuses(self, frozen: int, tasks: Sequence[str]) -> bool:
        """As `Networks` says. Raises BackendError."""
        return self._heads.fused(frozen, tasks)

    def ready(self, cuts: Collection[Cut]) -> None:
        """As `Networks` says. Raises BackendError."""
        loaded = self._loaded.by_cut
        for cut in set(cuts) - loaded.keys():
            self._heads.load(cut[0], self._known[cut])
            loaded[cut] = self._known[cut]

    def drop(self, task: str) -> None:
        """As `Networks` says. The task may come back with `ready`."""
        self._heads.unload(task)
        loaded = self._loaded.by_cut
        for cut in [cut for cut in loaded if cut[0] == task]:
            del loaded[cut]

    def close(self) -> None:
        """The heads; the stem is every version's."""
        self._heads.close()


def _heads_of(tasks: Collection[SharedTask]) -> dict[Cut, Head]:
    return {(task.name, head.frozen): head for task in tasks for head in task.heads}
