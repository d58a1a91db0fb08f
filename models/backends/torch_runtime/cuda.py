"""torch on an NVIDIA GPU: pinned staging and a stream for each lane, and CUDA graphs where they are faster.

A graph replays the whole module in one launch. It is captured for a batch size when that size first runs, timed against
the eager module on the same rows, and kept only if it wins; the first batch of a common size thus takes some 20 runs.
"""

import logging
import statistics
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_log = logging.getLogger(__name__)

Step = Callable[..., Sequence[Tensor]]
"""Device tensors in, device tensors out; what it returns may be overwritten by the next step of the same lane."""

MARGIN = 0.97
"""A graph must take less than this share of the eager time: it holds memory of its own."""

_WARMUPS, _TIMED = 3, 7

_CAPTURING = threading.Lock()
"""One capture at a time: it synchronises the device first, which would break another thread's capture."""


@dataclass(slots=True)
class Steps:
    """Which way each batch size is run: as it is, or as a captured graph where that was measured to be faster."""

    eager: Step
    capture: Callable[[Sequence[Tensor]], Step]
    took_s: Callable[[Step, Sequence[Tensor]], float]
    sizes: frozenset[int]
    chosen: dict[int, Step] = field(default_factory=dict[int, Step])

    def of(self, rows: int, given: Sequence[Tensor]) -> Step:
        """The step for this many rows; uncommon ones run eagerly, for graphs take memory."""
        if rows not in self.sizes:
            return self.eager
        if rows not in self.chosen:
            self.chosen[rows] = self._faster(rows, given)
        return self.chosen[rows]

    def _faster(self, rows: int, given: Sequence[Tensor]) -> Step:
        eager_s = self.took_s(self.eager, given)
        try:
            graph = self.capture(given)
            graph_s = self.took_s(graph, given)
        except RuntimeError as error:  # an operator that cannot be captured, or no memory for it
            _log.warning("no CUDA graph for %d rows, going on without: %s", rows, error)
            return self.eager
        pays = graph_s < MARGIN * eager_s
        _log.debug("%d rows: eager %.6f s, graph %.6f s", rows, eager_s, graph_s)
        return graph if pays else self.eager


def common_sizes(max_batch: int) -> frozenset[int]:
    """Powers of two and the largest batch: what the profiler measures and the policy mostly asks for."""
    return frozenset({1 << i for i in range(max_batch.bit_length())} | {max_batch})


class CudaLane:
    """Runs for one thread at a time on a stream of its own; everything on the stream is done when `run` returns."""

    def __init__(self, call: Step, max_batch: int, *, graphs: bool = True) -> None:
        self._stream = torch.cuda.Stream()
        self._pool: Any = None
        self._rows = max_batch
        self._pinned: list[Tensor] = []
        self._device: list[Tensor] = []
        sizes = common_sizes(max_batch) if graphs else frozenset[int]()
        self.steps = Steps(call, self._captured, self._median_s, sizes)

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs for these inputs, in order."""
        rows = len(inputs[0])
        with torch.inference_mode(), torch.cuda.stream(self._stream):
            given = self._uploaded(inputs, rows)
            results = self.steps.of(rows, given)(*given)
            hosts = [_downloading(result) for result in results]
            self._stream.synchronize()
        return [host.numpy() for host in hosts]

    def _uploaded(self, inputs: Sequence[NDArray[Any]], rows: int) -> list[Tensor]:
        """The rows in the lane's device memory, always at the same address: captured graphs read there."""
        if rows > self._rows or not self._pinned:
            self._allocate(inputs, max(rows, self._rows))
        given: list[Tensor] = []
        for array, pinned, device in zip(inputs, self._pinned, self._device, strict=True):
            np.copyto(pinned[:rows].numpy(), array)
            given.append(device[:rows].copy_(pinned[:rows], non_blocking=True))
        return given

    def _allocate(self, inputs: Sequence[NDArray[Any]], rows: int) -> None:
        self._rows = rows
        self.steps.chosen.clear()  # they read the memory that goes
        shapes = [
            ((rows, *a.shape[1:]), torch.from_numpy(np.empty(0, a.dtype)).dtype) for a in inputs
        ]
        self._pinned = [torch.empty(s, dtype=t, pin_memory=True) for s, t in shapes]
        self._device = [torch.empty(s, dtype=t, device="cuda") for s, t in shapes]

    def _captured(self, given: Sequence[Tensor]) -> Step:
        graph = torch.cuda.CUDAGraph()
        with (
            _CAPTURING,
            torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ),
        ):
            results = self.steps.eager(*given)
        self._pool = self._pool or graph.pool()  # shared: no two graphs of a lane run at once

        def replay(*_given: Tensor) -> Sequence[Tensor]:
            graph.replay()
            return results

        return replay

    def _median_s(self, step: Step, given: Sequence[Tensor]) -> float:
        took_s: list[float] = []
        for _ in range(_WARMUPS + _TIMED):
            start_s = time.perf_counter()
            step(*given)
            self._stream.synchronize()
            took_s.append(time.perf_counter() - start_s)
        return statistics.median(took_s[_WARMUPS:])


def _downloading(result: Tensor) -> Tensor:
    """On its way into pinned memory that is the answer's own; there once the stream is synchronised."""
    host = torch.empty(result.shape, dtype=result.dtype, pin_memory=True)
    return host.copy_(result, non_blocking=True)
