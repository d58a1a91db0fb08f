"""The tasks' heads on ONNX Runtime: opened when first needed, loaded and dropped while others run."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np

from models.artifacts import ArtifactError
from models.backends.base import BackendError
from models.stems.checking import network_at
from models.stems.fusing import fused
from models.stems.graph_session import Array, GraphSession, checked
from models.stems.package import Base, Head, Package

_log = logging.getLogger(__name__)

Key = tuple[str, int]
"""A task and its frozen layers."""
Group = tuple[Key, ...]
"""Heads that were asked to run together, in the order of their names."""

_MOST_FUSED = 64
"""Groups kept: which heads are due together changes from frame to frame, but few sets come back again and again."""


class Heads:
    """The heads of a package's tasks. Runs may go on in other threads while one thread loads and unloads."""

    def __init__(self, folder: Path, package: Package, threads: int, fuse: bool) -> None:
        self._folder = folder
        self._base: Base = package.base
        self._threads = threads
        self._points = {p.frozen: p for p in package.base.points}
        self._heads = {(t.name, h.frozen): h for t in package.tasks for h in t.heads}
        self._sessions: dict[Key, GraphSession] = {}
        self._fused: dict[Group, GraphSession | None] = {}
        self.fuse = fuse
        """Whether heads of equal graph run as one; may be changed at any time."""

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
        self._part(task)

    def share(self, other: "Heads", task: str, frozen: int) -> None:
        """Run that head of `other` as it is loaded there; its file may have gone."""
        key = task, frozen
        self._heads[key] = other._heads[key]  # noqa: SLF001 - it is one of this class
        self._sessions[key] = other._sessions[key]  # noqa: SLF001 - likewise
        self._part(task)

    def unload(self, task: str) -> None:
        """Forget the task and all of its heads; a run that is under way ends first. Idempotent."""
        for key in [key for key in self._heads if key[0] == task]:
            self._heads.pop(key, None)
            self._sessions.pop(key, None)
        self._part(task)

    def run(self, task: str, frozen: int, activation: Array) -> Array:
        """The task's scores (n,) for the activation (n, *shape) at its point. Raises BackendError."""
        return self._session(task, frozen).run(self._checked(activation, frozen))

    def run_together(self, frozen: int, tasks: Sequence[str], activation: Array) -> Array:
        """Scores (n, tasks), columns in the order of `tasks`: one run where `fused`, else one for each task.

        The first run of a group that can be fused takes as long as loading a head does. Raises BackendError.
        """
        rows = self._checked(activation, frozen)
        session = self._group(frozen, tasks) if self.fuse else None
        if session is None:
            return np.stack([self._session(task, frozen).run(rows) for task in tasks], axis=1)
        order = sorted(tasks)
        return session.run(rows)[:, [order.index(task) for task in tasks]]

    def fused(self, frozen: int, tasks: Sequence[str]) -> bool:
        """Whether these heads would run as one network; it is loaded and warmed, where it is not yet."""
        return self.fuse and self._group(frozen, tasks) is not None

    def close(self) -> None:
        """Free every session. Idempotent."""
        self._sessions, self._fused = {}, {}

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
        head = self._known(task, frozen)
        opened = self._opened(task, head)
        if self._heads.get((task, frozen)) != head:  # upgraded or unloaded meanwhile
            return opened
        return self._sessions.setdefault((task, frozen), opened)

    def _known(self, task: str, frozen: int) -> Head:
        head = self._heads.get((task, frozen))
        if head is None:
            known = sorted(f for t, f in self._heads if t == task)
            raise BackendError(
                f"task {task!r} has no head behind {frozen} frozen layers of {self._base.name}; it has {known}"
            )
        return head

    def _group(self, frozen: int, tasks: Sequence[str]) -> GraphSession | None:
        """The fused network of these heads; None where they cannot be fused."""
        group = tuple(sorted((task, frozen) for task in tasks))
        if len(set(group)) < 2 or len(set(group)) < len(group):
            return None
        if group in self._fused:
            return self._fused[group]
        heads = [self._known(task, frozen) for task, _ in group]
        session = self._joined(frozen, heads)
        if heads == [self._heads.get(key) for key in group]:  # none was upgraded meanwhile
            while len(self._fused) >= _MOST_FUSED:
                self._fused.pop(next(iter(self._fused)), None)
            self._fused[group] = session
        return session

    def _part(self, task: str) -> None:
        """Forget the groups with this task."""
        self._fused = {g: s for g, s in self._fused.items() if all(key[0] != task for key in g)}

    def _joined(self, frozen: int, heads: Sequence[Head]) -> GraphSession | None:
        label = f"{len(heads)} heads behind {frozen} layers of {self._base.name}"
        try:
            model = fused([network_at(self._folder / head.artifact) for head in heads])
            if model is None:
                return None
            return self._warm(GraphSession(model.SerializeToString(), label, self._threads), frozen)
        except (OSError, ArtifactError, BackendError) as error:
            _log.warning("%s are not fused and run one by one: %s", label, error)
            return None

    def _opened(self, task: str, head: Head) -> GraphSession:
        label = f"head of {task} behind {head.frozen} layers of {self._base.name}"
        session = GraphSession(self._folder / head.artifact, label, self._threads)
        return self._warm(session, head.frozen)

    def _warm(self, session: GraphSession, frozen: int) -> GraphSession:
        session.run(np.zeros((1, *self._points[frozen].shape), np.float32))
        return session
