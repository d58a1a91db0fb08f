"""OpenVINO on the CPU: bf16 and int8 kernels where the processor has them, graphs of fixed batch sizes, a stream for
each run at a time."""

import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from models.backends.base import BackendError, Refused, Slot, Tensors
from models.backends.openvino_types import foreign
from models.backends.signature import Node, check, check_names
from models.catalog import Family, TensorSpec, Variant
from models.datatypes import DATATYPES

_DATATYPES = {row.openvino: row.name for row in DATATYPES.values()}
"""OpenVINO's element type -> Open Inference Protocol datatype."""

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "bf16"}
"""Precision of the variant -> type of what is not quantised in it; a processor without bf16 takes fp32 instead."""

_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16", "int8": "INT8"}


SIZES = (4, 3, 2, 1)
"""Rows a compiled graph may take; larger batches run as several of the largest. A graph for any number of rows adapts
itself at every change, which costs a millisecond; time per row hardly falls beyond four (benchmarks: shapes.py)."""
LIGHT_SIZES = (32, 16, 8, *SIZES)
"""The same where a row takes less than LIGHT_S: there a run's own cost is worth sharing among more rows."""
LIGHT_S = 1e-3


class OpenvinoBackend:
    """A graph, compiled for each of SIZES when that is first needed; every thread has inference requests of its own."""

    name = "openvino"

    def __init__(self, model: Any, family: Family, options: Mapping[str, Any], label: str) -> None:
        self._model: Any = model
        self._options = options
        self._label = label
        self._inputs = family.inputs
        self._types = {spec.name: spec.dtype for spec in family.inputs}
        self._outputs = [spec.name for spec in family.outputs]
        self._sizes = SIZES
        self._compiled: dict[int, Any] = {}
        self._compiling = threading.Lock()
        self._mine = threading.local()

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Every output for these rows. Raises BackendError naming artefact and input."""
        if self._model is None:
            raise BackendError(f"{self._label} is closed; open it again before running it")
        self._check(inputs)
        rows = len(next(iter(inputs.values())))
        try:
            parts = [self._part(inputs, start, end) for start, end in _parts(rows, self._sizes)]
        except (RuntimeError, ValueError, MemoryError) as error:
            raise BackendError(f"{self._label} failed on a batch: {last_words(error)}") from error
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def close(self) -> None:
        """Free the graphs once no thread runs them. Idempotent."""
        self._model = None
        self._compiled = {}
        self._mine = threading.local()

    def prepare(self) -> None:
        """Compile for one row and see how long that takes. Raises RuntimeError or MemoryError where it cannot."""
        rows = {s.name: np.zeros((1, *s.shape[1:]), self._types[s.name]) for s in self._inputs}
        self._part(rows, 0, 1)
        start_s = time.perf_counter()
        self._part(rows, 0, 1)
        if time.perf_counter() - start_s < LIGHT_S:
            self._sizes = LIGHT_SIZES

    def compile(self, rows: int) -> Any:
        """The graph for so many rows, compiled now if it was not yet. Raises RuntimeError where the runtime cannot."""
        with self._compiling:
            if rows not in self._compiled:
                model = self._model.clone()
                model.reshape({spec.name: [rows, *spec.shape[1:]] for spec in self._inputs})
                self._compiled[rows] = _core().compile_model(model, "CPU", self._options)
            return self._compiled[rows]

    def _part(self, inputs: Tensors, start: int, end: int) -> dict[str, NDArray[np.generic]]:
        request = self._request(end - start)
        for name, array in inputs.items():
            rows = array[start:end]
            # What a client sent is read-only; the runtime takes only what it could write to as it is, else a copy.
            request.set_tensor(name, ov.Tensor(rows, shared_memory=rows.flags.writeable))
        request.infer()
        # The request writes into the same memory next time: an answer must be its own.
        return {name: np.array(request.get_tensor(name).data) for name in self._outputs}

    def _request(self, rows: int) -> Any:
        mine: dict[int, Any] = self._mine.__dict__.setdefault("requests", {})
        request = mine.get(rows)
        if request is None:
            request = mine[rows] = self.compile(rows).create_infer_request()
        return request

    def _check(self, inputs: Tensors) -> None:
        check_names(self._label, self._types.keys(), inputs)
        for spec in self._inputs:
            array = inputs[spec.name]
            if array.dtype != self._types[spec.name] or array.shape[1:] != spec.shape[1:]:
                raise BackendError(
                    f"{self._label}: input {spec.name!r} is {array.dtype} {array.shape}, "
                    f"expected {spec.datatype} {list(spec.shape)}"
                )


def _parts(rows: int, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """(start, end) of each run that a batch of `rows` is made of, as few as there can be."""
    parts: list[tuple[int, int]] = []
    start = 0
    while start < rows:
        size = next(s for s in sizes if s <= rows - start)
        parts.append((start, start + size))
        start += size
    return parts


def devices() -> tuple[str, ...]:
    """The CPU only: its GPU and NPU plug-ins are not for the devices that servers have."""
    return ("cpu",)


def native(precision: str, _device: str) -> bool:
    """Whether this processor computes in `precision`."""
    return _CAPABILITIES.get(precision) in _capabilities()


def open_artifact(path: Path, family: Family, variant: Variant, slot: Slot) -> OpenvinoBackend:
    """Read the graph, check its signature, compile it for this processor. Raises BackendError."""
    label = f"{variant.name} ({path}, openvino {ov.__version__.split('-')[0]} on {slot.device})"
    if slot.device not in devices():
        raise BackendError(f"{label}: no such device; known: {', '.join(devices())}")
    try:
        model = _core().read_model(path)
    except RuntimeError as error:
        raise BackendError(
            f"{label} cannot be loaded by this runtime: {last_words(error)}; another may run it"
        ) from error
    if reason := foreign(model):
        raise Refused(f"{label}: {reason}")
    check(label, "input", family.inputs, _nodes(model.inputs, family.inputs))
    check(label, "output", family.outputs, _nodes(model.outputs, family.outputs))
    backend = OpenvinoBackend(model, family, _options(variant, slot), label)
    try:
        backend.prepare()
    except (RuntimeError, MemoryError) as error:
        raise BackendError(
            f"{label} cannot be compiled for this processor: {last_words(error)}; "
            "free memory, or leave this runtime out with the key `backends`"
        ) from error
    return backend


@cache
def _core() -> Any:
    """The runtime: one per process by its nature.

    It reads weights once. Mapped, they would be whatever their file holds when the next batch size is compiled, and a
    file cut short meanwhile would end the process.
    """
    core: Any = ov.Core()
    core.set_property({"ENABLE_MMAP": False})
    return core


@cache
def _capabilities() -> frozenset[str]:
    return frozenset(_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def _options(variant: Variant, slot: Slot) -> dict[str, Any]:
    hint = _HINTS.get(variant.precision, "f32")
    capability = {"bf16": "BF16", "f16": "FP16"}.get(hint)
    return {
        "NUM_STREAMS": slot.instances,
        "INFERENCE_NUM_THREADS": slot.threads * slot.instances,
        "INFERENCE_PRECISION_HINT": hint if capability in {None, *_capabilities()} else "f32",
        # The system places the threads: it knows which cores are ours now, a pinned one stays where it was.
        "ENABLE_CPU_PINNING": False,
    }


def _nodes(found: Sequence[Any], wanted: Sequence[TensorSpec]) -> list[Node]:
    """A tensor may have several names, as where a graph hands an input on: the family's is meant."""
    names = {spec.name for spec in wanted}
    return [
        Node(
            min(n.get_names(), key=lambda name: (name not in names, name)),
            _DATATYPES.get(str(n.element_type.get_type_name()), str(n.element_type)),
            _shape(n),
        )
        for n in found
    ]


def _shape(node: Any) -> tuple[int | None, ...]:
    return tuple(None if d.is_dynamic else int(d.get_length()) for d in node.partial_shape)


def last_words(error: Exception) -> str:
    """The runtime's messages run over many lines: the last one names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
