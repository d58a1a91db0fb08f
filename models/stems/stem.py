"""The stem on ONNX Runtime: a session for each stretch between two points, its activations shared read-only."""

from collections.abc import Collection
from itertools import pairwise
from pathlib import Path
from typing import Self

import numpy as np
import onnx
from numpy.typing import NDArray

from models.backends.base import BackendError
from models.stems.checking import network_at
from models.stems.cutting import check_points, cut
from models.stems.graph_session import GraphSession, checked, shared
from models.stems.package import Base, Package, Point

Array = NDArray[np.float32]
Stretch = tuple[int, int]
"""From one point to another, by their frozen layers."""


_MOST_STRETCHES = 64
"""Sessions kept before the oldest goes: plans cut at a handful of points, but pricing tries all of them."""


class Stem:
    """A base network, cut wherever it is asked to be. `run` may be called while another thread calls `use`."""

    def __init__(self, base: Base, model: onnx.ModelProto, threads: int) -> None:
        self._base = base
        self._model = model
        self._threads = threads
        self._points = {p.frozen: p for p in base.points}
        self._sessions: dict[Stretch, GraphSession] = {}

    @classmethod
    def open(cls, folder: Path, package: Package, *, threads: int = 1) -> Self:
        """The stem of the package in `folder`. What runs is loaded by `use`, or when it first runs.

        Raises ArtifactError or OSError where the network cannot be read or cut.
        """
        model = network_at(folder / package.base.artifact)
        check_points(model, [p.tensor for p in package.base.points])
        return cls(package.base, model, threads)

    def use(self, points: Collection[int]) -> None:
        """Load and warm the stretches between these points, the input among them; then let all others go.

        A run that is under way ends first. Raises BackendError where a point is unknown; then nothing changes.
        """
        present = self._sessions
        stretches = list(pairwise(sorted({0, *points})))
        self._sessions = {s: present.get(s) or self._opened(s) for s in stretches}

    def run(self, activation: Array, start: int, ends: Collection[int]) -> dict[int, Array]:
        """The activations (n, *shape) at `ends` for that at `start`, all read-only; `start` may be among the ends.

        Runs from `start` to the deepest of them, what lies between two of them in one go; the first run of a stretch
        that is not in use loads it. Raises BackendError where the activation has not the point's shape, a point is
        unknown or lies before `start`.
        """
        point = self._known(start)
        if min(ends, default=start) < start:
            raise BackendError(
                f"stem of {self._base.name}: point {min(ends)} lies before {start}, where the run is to begin"
            )
        here = shared(checked(activation, point, f"stem of {self._base.name}"))
        found = {start: here}
        for stretch in pairwise(sorted({start, *ends})):
            here = found[stretch[1]] = shared(self._session(stretch).run(here))
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

    def _session(self, stretch: Stretch) -> GraphSession:
        sessions = self._sessions
        session = sessions.get(stretch)
        if session is None:
            session = sessions[stretch] = self._opened(stretch)
            for oldest in list(sessions)[:-_MOST_STRETCHES]:
                sessions.pop(oldest, None)
        return session

    def _opened(self, stretch: Stretch) -> GraphSession:
        start, end = (self._known(frozen) for frozen in stretch)
        (segment,) = cut(self._model, (start.tensor, end.tensor))
        label = f"stem of {self._base.name} from layer {start.frozen} to {end.frozen}"
        session = GraphSession(segment.SerializeToString(), label, self._threads)
        session.run(np.zeros((1, *start.shape), np.float32))
        return session
