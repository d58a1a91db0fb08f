"""Opens an artefact's graphs of fixed numbers of rows: from the last start's where they are kept, else compiled.

What is kept must answer a row to the last bit as what was compiled does, or it is not kept.
"""

import io
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import openvino as ov

from models.backends.openvino_graphs.kept import KeptGraphs
from models.backends.openvino_graphs.sizes import Plan, pays, plan_of
from models.catalog import TensorSpec

SIZES = (4,)
"""Rows beside one that a graph is tried for; larger batches run as several of the largest. A graph for any number of
rows adapts itself at every change, which costs a millisecond; time per row hardly falls beyond four (benchmarks:
shapes.py)."""
LIGHT_SIZES = (2, 4, 8, 16, 32)
"""The same where a row takes less than LIGHT_S: there a run's own cost is worth sharing among more rows."""
LIGHT_S = 1e-3
ROUNDS, LIGHT_ROUNDS = 5, 25
"""So often a run of every graph is timed, in turns; the quickest of each counts, as the machine is others' too."""


class Graphs:
    """Compiled graphs by their numbers of rows. `read` gives the artefact's graph, `core` compiles it."""

    def __init__(
        self,
        core: Any,
        read: Callable[[], Any],
        inputs: Sequence[TensorSpec],
        options: Mapping[str, Any],
        kept: KeptGraphs | None,
    ) -> None:
        self._core = core
        self._read = read
        self._inputs = inputs
        self._options = options
        self._kept = kept
        self._model: Any = None
        self._compiled: dict[int, Any] = {}
        self._fresh: set[int] = set()  # compiled by this process

    def open(self, sizes: Sequence[int]) -> dict[int, Any]:
        """The graphs of these sizes, no others. Raises RuntimeError or MemoryError, and what `read` raises."""
        compiled = {size: self._graph(size) for size in sorted(set(sizes))}
        self._model, self._compiled = None, {}
        for size in self._fresh & compiled.keys():
            compiled[size] = self._kept_for_next(compiled[size], size)
        return compiled

    def choose(self, most: int, bound_s: float) -> Plan:
        """Which graphs to run batches on: beside that of one row those that pay, of at most `most` rows.

        None whose run takes longer than `bound_s`: no decision would take it.
        """
        took_s = {1: self._quickest_s([1], ROUNDS)[1]}
        light = took_s[1] < LIGHT_S
        for size in LIGHT_SIZES if light else SIZES:
            if size > most or 2 * took_s[1] > bound_s:
                break
            found_s = self._quickest_s([*took_s, size], LIGHT_ROUNDS if light else ROUNDS)
            if found_s[size] > bound_s or not pays(size, found_s):
                del self._compiled[size]
                break
            took_s = found_s
        return plan_of(took_s)

    def _quickest_s(self, sizes: Sequence[int], rounds: int) -> dict[int, float]:
        """The quickest run (s) of each."""
        requests = {size: self._ready(size) for size in sizes}
        took_s: dict[int, list[float]] = {size: [] for size in sizes}
        for _ in range(rounds):
            for size, request in requests.items():
                start_s = time.perf_counter()
                request.infer()
                took_s[size].append(time.perf_counter() - start_s)
        return {size: min(found) for size, found in took_s.items()}

    def _ready(self, size: int) -> Any:
        """A request of this graph that has run once, on rows of zeros."""
        if size not in self._compiled:
            self._compiled[size] = self._graph(size)
        return self._ran(self._compiled[size], size, np.zeros)

    def _graph(self, size: int) -> Any:
        return self._compiled.get(size) or self._from_before(size) or self._anew(size)

    def _from_before(self, size: int) -> Any:
        """The graph that is kept; None where there is none that holds."""
        content = self._kept.read(size) if self._kept is not None else None
        if self._kept is None or content is None:
            return None
        try:
            return self._imported(content)
        except RuntimeError as error:
            self._kept.reject(size, " ".join(str(error).split())[:200])
            return None

    def _anew(self, size: int) -> Any:
        """Compiled now."""
        if self._model is None:
            self._model = self._read()
        model = self._model.clone()
        model.reshape({spec.name: [size, *spec.shape[1:]] for spec in self._inputs})
        self._fresh.add(size)
        return self._core.compile_model(model, "CPU", self._options)

    def _kept_for_next(self, compiled: Any, size: int) -> Any:
        """What is to run: as it is imported at the next start, which takes less memory, where that can be."""
        if self._kept is None:
            return compiled
        try:
            content = _exported(compiled)
            again = self._imported(content)
            same = self._answers(again, size) == self._answers(compiled, size)
        except RuntimeError:  # this runtime cannot export what it made of the graph
            return compiled
        if not same:
            return compiled
        self._kept.write(size, content)
        return again

    def _imported(self, content: bytes) -> Any:
        return self._core.import_model(io.BytesIO(content), "CPU", self._options)

    def _answers(self, compiled: Any, size: int) -> list[bytes]:
        request = self._ran(compiled, size, _patterned)
        return [tensor.data.tobytes() for tensor in request.output_tensors]

    def _ran(self, compiled: Any, size: int, made: Callable[..., Any]) -> Any:
        request = compiled.create_infer_request()
        for spec in self._inputs:
            rows = made((size, *spec.shape[1:]), spec.dtype)
            request.set_tensor(spec.name, ov.Tensor(rows, shared_memory=False))
        request.infer()
        return request


def _patterned(shape: Sequence[int], dtype: Any) -> Any:
    """Rows whose numbers differ: 0 to 6 sevenths for floats, 0 or 1 for truths, 0 to 6 for the rest."""
    numbers = np.arange(int(np.prod(shape))) % 7
    scaled = numbers / 7 if np.issubdtype(dtype, np.floating) else numbers
    return scaled.astype(dtype).reshape(shape)


def _exported(compiled: Any) -> bytes:
    made = compiled.export_model()
    return made if isinstance(made, bytes) else made.getvalue()
