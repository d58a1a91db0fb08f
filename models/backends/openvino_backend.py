"""OpenVINO on the CPU: bf16 and int8 kernels where the processor has them, graphs of fixed batch sizes, a stream for
each run at a time."""

import threading
from collections.abc import Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from models.artifacts.external import data_files
from models.backends.base import BackendError, Refused, Slot, Tensors
from models.backends.memory import give_back
from models.backends.openvino_graphs.compiling import Graphs
from models.backends.openvino_graphs.kept import KeptGraphs, kept_graphs
from models.backends.openvino_graphs.sizes import Plan, is_plan, runs
from models.backends.openvino_types import foreign
from models.backends.signature import Node, check, check_names
from models.catalog import Family, TensorSpec, Variant
from models.datatypes import DATATYPES

_DATATYPES = {row.openvino: row.name for row in DATATYPES.values()}
"""OpenVINO's element type -> Open Inference Protocol datatype."""

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "bf16"}
"""Precision of the variant -> type of what is not quantised in it; a processor without bf16 takes fp32 instead."""

_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16", "int8": "INT8"}

BOUND_SLOS = 1.5
"""No graph is tried whose run takes longer than so many SLOs: batches of that length are not measured, nor run."""


class OpenvinoBackend:
    """Graphs for some numbers of rows; `graphs` says on which of them batches run. Every thread has requests of its
    own."""

    name = "openvino"

    def __init__(self, compiled: Mapping[int, Any], plan: Plan, family: Family, label: str) -> None:
        self.graphs = plan
        self._compiled = compiled
        self._label = label
        self._inputs = family.inputs
        self._types = {spec.name: spec.dtype for spec in family.inputs}
        self._outputs = [spec.name for spec in family.outputs]
        self._mine = threading.local()

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Every output for these rows. Raises BackendError naming artefact and input."""
        if not self._compiled:
            raise BackendError(f"{self._label} is closed; open it again before running it")
        self._check(inputs)
        rows = len(next(iter(inputs.values())))
        try:
            parts = [self._part(inputs, run) for run in runs(rows, self.graphs)]
        except (RuntimeError, ValueError, MemoryError) as error:
            raise BackendError(f"{self._label} failed on a batch: {last_words(error)}") from error
        if len(parts) == 1:
            return parts[0]
        return {name: np.concatenate([part[name] for part in parts]) for name in self._outputs}

    def close(self) -> None:
        """Free the graphs once no thread runs them. Idempotent."""
        self._compiled = {}
        self._mine = threading.local()

    def _part(self, inputs: Tensors, run: tuple[int, int, int]) -> dict[str, NDArray[np.generic]]:
        start, end, size = run
        request = self._request(size)
        given = {name: _filled(array[start:end], size) for name, array in inputs.items()}
        for name, rows in given.items():  # which stay alive until the run has ended
            # What a client sent is read-only; the runtime takes only what it could write to as it is, else a copy.
            request.set_tensor(name, ov.Tensor(rows, shared_memory=rows.flags.writeable))
        request.infer()
        # The request writes into the same memory next time: an answer must be its own.
        return {
            name: np.array(request.get_tensor(name).data[: end - start]) for name in self._outputs
        }

    def _request(self, size: int) -> Any:
        mine: dict[int, Any] = self._mine.__dict__.setdefault("requests", {})
        request = mine.get(size)
        if request is None:
            request = mine[size] = self._compiled[size].create_infer_request()
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


def _filled(rows: NDArray[np.generic], size: int) -> NDArray[np.generic]:
    """As many rows as the graph takes: copies of the last one where there are fewer."""
    lacking = size - len(rows)
    return np.concatenate([rows, np.repeat(rows[-1:], lacking, axis=0)]) if lacking else rows


def devices() -> tuple[str, ...]:
    """The CPU only: its GPU and NPU plug-ins are not for the devices that servers have."""
    return ("cpu",)


def native(precision: str, _device: str) -> bool:
    """Whether this processor computes in `precision`."""
    return _CAPABILITIES.get(precision) in _capabilities()


def open_artifact(path: Path, family: Family, variant: Variant, slot: Slot) -> OpenvinoBackend:
    """Read the graph, check its signature, compile it for this processor. Raises BackendError.

    What was checked and compiled at an earlier start, and is still the same, is taken from there.
    """
    label = f"{variant.name} ({path}, openvino {ov.__version__.split('-')[0]} on {slot.device})"
    if slot.device not in devices():
        raise BackendError(f"{label}: no such device; known: {', '.join(devices())}")
    options = _options(variant, slot)
    graphs = Graphs(
        _core(),
        partial(_read, path, family, label),
        family.inputs,
        options,
        _kept(path, family, variant, options) if slot.keeps else None,
    )
    try:
        most_s = BOUND_SLOS * family.slo.latency_s
        plan = slot.graphs if is_plan(slot.graphs) else graphs.choose(family.max_batch, most_s)
        compiled = graphs.open(plan)
    except (RuntimeError, MemoryError) as error:
        raise BackendError(
            f"{label} cannot be compiled for this processor: {last_words(error)}; "
            "free memory, or leave this runtime out with the key `backends`"
        ) from error
    give_back()
    return OpenvinoBackend(compiled, plan, family, label)


def _read(path: Path, family: Family, label: str) -> Any:
    """The graph, checked. Raises BackendError."""
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
    return model


def _kept(
    path: Path, family: Family, variant: Variant, options: Mapping[str, Any]
) -> KeptGraphs | None:
    """Where its graphs are kept; None for a graph whose weights are in other files."""
    if variant.data or data_files(path):
        return None
    runtime = f"{ov.__version__} {' '.join(sorted(_capabilities()))}"
    try:
        return kept_graphs(path, family, runtime, options)
    except OSError:
        return None


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
