"""What the stem and each head cost on this machine: timed at a few batch sizes, in bounded time."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from models.stems.package import Base, SharedTask
from server.sharing.runtime.networks import Activation, Networks

BATCHES = (1, 2, 4, 8)
RUNS = 7
"""Timed runs of a batch size, at most; the median of an odd number is one of them."""
TASK_S = 0.25
"""For all heads of a task together: adding one must not take a second."""
STEM_S = 2.0
FUSING_S = 0.05
WORTH_FUSING = 0.95

ByBatch = Mapping[int, float]
"""Seconds of a whole batch, by its size."""

Turn = Callable[[Callable[[], object]], None]
"""Makes one call while nothing else uses the device."""


@dataclass(frozen=True, slots=True)
class MeasuringBudget:
    """Within what to measure: batch sizes, and seconds for everything asked for at once."""

    batches: Sequence[int]
    seconds: float


class Gauge:
    """Times networks. `turn` makes the calls, between the worker's rounds."""

    def __init__(self, base: Base, turn: Turn, clock: Callable[[], float] = time.monotonic) -> None:
        self._base = base
        self._turn = turn
        self._clock = clock

    def stem(self, networks: Networks, bounds: MeasuringBudget) -> dict[int, ByBatch]:
        """From the input through each point."""
        points = [point.frozen for point in self._base.points if point.frozen]
        share = MeasuringBudget(bounds.batches, bounds.seconds / max(1, len(points)))
        return {
            end: self._by_batch(0, share, lambda x, end=end: networks.stem(x, 0, (end,)))
            for end in points
        }

    def task(
        self,
        networks: Networks,
        task: SharedTask,
        bounds: MeasuringBudget,
        stem_s: Mapping[int, float],
    ) -> dict[int, ByBatch]:
        """Each head of a task, by its point: first the deepest, since it is the quickest.

        Once the time is over the others are taken to cost as much more as the stem does between (`stem_s`, a frame).
        """
        end_s, size = self._clock() + bounds.seconds, bounds.batches[0]
        took: dict[int, ByBatch] = {}
        deepest_first = sorted((head.frozen for head in task.heads), reverse=True)
        for place, frozen in enumerate(deepest_first):
            left_s = end_s - self._clock()
            if took and left_s <= 0:
                deeper = deepest_first[place - 1]
                more_s = max(0.0, stem_s[deeper] - stem_s[frozen])
                took[frozen] = {size: took[deeper][size] + size * more_s}
                continue
            share = MeasuringBudget(bounds.batches, left_s / (len(deepest_first) - place))
            took[frozen] = self._by_batch(
                frozen, share, lambda x, frozen=frozen: networks.head(task.name, frozen, x)
            )
        return took

    def fusing_pays(
        self, networks: Networks, frozen: int, tasks: Sequence[str], batch: int
    ) -> bool:
        """Whether these heads are faster as one network than one after the other, by more than clocks err."""
        x = np.zeros((batch, *self._shape(frozen)), np.float32)
        end_s = self._clock() + FUSING_S

        def apart(x: Activation) -> None:
            for task in tasks:
                networks.head(task, frozen, x)

        one_s = self._median(x, lambda x: networks.together(frozen, tasks, x), end_s, 3)
        return one_s < WORTH_FUSING * self._median(x, apart, end_s + FUSING_S, 3)

    def _by_batch(
        self, frozen: int, bounds: MeasuringBudget, call: Callable[[Activation], object]
    ) -> ByBatch:
        """Batch sizes in order until the time is over; at least the first is there."""
        end_s = self._clock() + bounds.seconds
        took: dict[int, float] = {}
        for batch in bounds.batches:
            x = np.zeros((batch, *self._shape(frozen)), np.float32)
            if took and self._clock() + 2 * max(took.values()) > end_s:
                break
            took[batch] = self._median(x, call, end_s)
        return took

    def _median(
        self, x: Activation, call: Callable[[Activation], object], end_s: float, least: int = 1
    ) -> float:
        """Of up to RUNS runs after one to warm up, `least` at least; of that one where it took all the time."""
        first_s = self._timed(x, call)
        if least == 1 and self._clock() >= end_s:
            return first_s
        runs: list[float] = []
        while len(runs) < least or (len(runs) < RUNS and self._clock() < end_s):
            runs.append(self._timed(x, call))
        return median(runs)

    def _timed(self, x: Activation, call: Callable[[Activation], object]) -> float:
        took_s = 0.0

        def timed() -> None:
            nonlocal took_s
            begun_s = self._clock()
            call(x)
            took_s = self._clock() - begun_s

        self._turn(timed)
        return took_s

    def _shape(self, frozen: int) -> tuple[int, ...]:
        return next(point.shape for point in self._base.points if point.frozen == frozen)
