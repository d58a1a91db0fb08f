"""The stem on ONNX Runtime: a session for each stretch between two points in use, its activations shared read-only."""

from collections.abc import Collection, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import onnx
from numpy.typing import NDArray

from models.backends.base import BackendError
from models.stems.checking import network_at
from models.stems.cutting import cut
from models.stems.graph_session import GraphSession, checked, shared
from models.stems.package import Base, Package, Point

Array = NDArray[np.float32]
Stretch = tuple[int, int]
"""From one point to another, by their frozen layers."""


class Stem:
    """A base network, cut where the plan says. `run` may be called while another thread calls `use`."""

    def __init__(self, base: Base, model: onnx.ModelProto, threads: int) -> None:
        self._base = base
        self._model = model
        self._threads = threads
        self._points = {p.frozen: p for p in base.points}
        self._sessions: Mapping[Stretch, GraphSession] = {}

    @classmethod
    def open(cls, folder: Path, package: Package, *, threads: int = 1) -> Self:
        """The stem of the package in `folder`; every point is in use until `use` says otherwise.

        Raises BackendError, ArtifactError or OSError where the network cannot be loaded.
        """
        stem = cls(package.base, network_at(folder / package.base.artifact), threads)
        stem.use(list(stem._points))
        return stem

    def use(self, points: Collection[int]) -> None:
        """Cut at these points from now on: what lies between two of them is one session; 0 is always among them.

        New sessions are loaded and warmed first, then all change at once; old ones go when their last run ends. Raises
        BackendError where a point is unknown; then nothing changes.
        """
        for frozen in points:
            self._known(frozen)
        present = self._sessions
        stretches = list(pairwise(sorted({0, *points})))
        self._sessions = {s: present.get(s) or self._opened(s) for s in stretches}

    def run(self, activation: Array, start: int, ends: Collection[int]) -> dict[int, Array]:
        """The activations (n, *shape) at `ends` for that at `start`, all read-only; `start` may be among the ends.

        Runs from `start` to the deepest of them, each stretch once. Raises BackendError where the activation has not
        the point's shape, or a point is not in use.
        """
        sessions = self._sessions
        here = shared(checked(activation, self._known(start), f"stem of {self._base.name}"))
        found = {start: here}
        for (begin, end), session in sessions.items():
            if begin == start and start < max(ends, default=start):
                here = found[end] = shared(session.run(here))
                start = end
        if missing := sorted(set(ends) - found.keys()):
            raise BackendError(
                f"stem of {self._base.name}: points {missing} cannot be reached; those in use are "
                f"{sorted({0, *(end for _, end in sessions)})}; say so to use()"
            )
        return {end: found[end] for end in ends}

    def close(self) -> None:
        """Free the sessions; a run that is under way ends first. Idempotent."""
        self._sessions = {}

    def _known(self, frozen: int) -> Point:
        point = self._points.get(frozen)
        if point is None:
            raise BackendError(
                f"stem of {self._base.name}: no point {frozen}; there are {list(self._points)}"
            )
        return point

    def _opened(self, stretch: Stretch) -> GraphSession:
        start, end = (self._points[frozen] for frozen in stretch)
        (segment,) = cut(self._model, (start.tensor, end.tensor))
        label = f"stem of {self._base.name} from layer {start.frozen} to {end.frozen}"
        session = GraphSession(segment.SerializeToString(), label, self._threads)
        session.run(np.zeros((1, *start.shape), np.float32))
        return session
