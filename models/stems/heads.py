"""The tasks' heads on ONNX Runtime: opened when first needed, loaded and dropped while others run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from models.backends.base import BackendError
from models.stems.graph_session import Array, GraphSession, checked
from models.stems.package import Base, Head, Package

Key = tuple[str, int]
"""A task and its frozen layers."""


class Heads:
    """The heads of a package's tasks. Runs may go on in other threads while one thread loads and unloads."""

    def __init__(self, folder: Path, package: Package, threads: int, fuse: bool) -> None:
        self._folder = folder
        self._base: Base = package.base
        self._threads = threads
        self._points = {p.frozen: p for p in package.base.points}
        self._heads = {(t.name, h.frozen): h for t in package.tasks for h in t.heads}
        self._sessions: dict[Key, GraphSession] = {}
        self.fuse = fuse

    @classmethod
    def open(cls, folder: Path, package: Package, *, threads: int = 1, fuse: bool = True) -> Self:
        """The heads of the package in `folder`; none is loaded yet. `fuse`: see `run_together`."""
        return cls(folder, package, threads, fuse)

    def load(self, task: str, head: Head) -> None:
        """Open and warm this head, then let it take the place of the task's at that point, if there is one.

        The task need not have been in the package that was opened. Raises BackendError; then nothing changes.
        """
        session = self._opened(task, head)
        self._heads[task, head.frozen] = head
        self._sessions[task, head.frozen] = session

    def unload(self, task: str) -> None:
        """Forget the task and all of its heads; a run that is under way ends first. Idempotent."""
        for key in [key for key in self._heads if key[0] == task]:
            self._heads.pop(key, None)
            self._sessions.pop(key, None)

    def run(self, task: str, frozen: int, activation: Array) -> Array:
        """The task's scores (n,) for the activation (n, *shape) at its point. Raises BackendError."""
        return self._session(task, frozen).run(self._checked(activation, frozen))

    def run_together(self, frozen: int, tasks: Sequence[str], activation: Array) -> Array:
        """Scores (n, tasks), columns in the order of `tasks`. Raises BackendError."""
        rows = self._checked(activation, frozen)
        return np.stack([self._session(task, frozen).run(rows) for task in tasks], axis=1)

    def close(self) -> None:
        """Free every session. Idempotent."""
        self._sessions = {}

    def _checked(self, activation: Array, frozen: int) -> Array:
        point = self._points.get(frozen)
        if point is None:
            raise BackendError(
                f"heads of {self._base.name}: no point {frozen}; there are {list(self._points)}"
            )
        return checked(activation, point, f"heads of {self._base.name}")

    def _session(self, task: str, frozen: int) -> GraphSession:
        session = self._sessions.get((task, frozen))
        if session is not None:
            return session
        head = self._heads.get((task, frozen))
        if head is None:
            known = sorted(f for t, f in self._heads if t == task)
            raise BackendError(
                f"task {task!r} has no head behind {frozen} frozen layers of {self._base.name}; it has {known}"
            )
        return self._sessions.setdefault((task, frozen), self._opened(task, head))

    def _opened(self, task: str, head: Head) -> GraphSession:
        label = f"head of {task} behind {head.frozen} layers of {self._base.name}"
        session = GraphSession(self._folder / head.artifact, label, self._threads)
        session.run(np.zeros((1, *self._points[head.frozen].shape), np.float32))
        return session
