"""OpenVINO on the CPU: bf16 and int8 kernels where the processor has them, a stream for each run at a time."""

import threading
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from models.backends.base import BackendError, Slot, Tensors
from models.backends.signature import Node, check, check_names
from models.catalog import DATATYPES, Family, Variant

_DATATYPES = {
    "boolean": "BOOL", "u8": "UINT8", "u16": "UINT16", "u32": "UINT32", "u64": "UINT64",
    "i8": "INT8", "i16": "INT16", "i32": "INT32", "i64": "INT64", "f16": "FP16", "f32": "FP32", "f64": "FP64",
}  # fmt: skip
"""OpenVINO's element type -> Open Inference Protocol datatype."""

_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "bf16"}
"""Precision of the variant -> type of what is not quantised in it; a processor without bf16 takes fp32 instead."""

_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16", "int8": "INT8"}


class OpenvinoBackend:
    """A compiled graph; every thread that runs it has an inference request of its own."""

    name = "openvino"

    def __init__(self, compiled: Any, family: Family, label: str) -> None:
        self._compiled: Any = compiled
        self._label = label
        self._types = {spec.name: np.dtype(DATATYPES[spec.datatype]) for spec in family.inputs}
        self._outputs = [spec.name for spec in family.outputs]
        self._mine = threading.local()

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Every output for these rows. Raises BackendError naming artefact and input."""
        if self._compiled is None:
            raise BackendError(f"{self._label} is closed; open it again before running it")
        check_names(self._label, self._types.keys(), inputs)
        request = self._request()
        try:
            for name, array in inputs.items():
                if array.dtype != self._types[name]:
                    raise BackendError(
                        f"{self._label}: input {name!r} is {array.dtype}, not {self._types[name]}"
                    )
                request.set_tensor(name, ov.Tensor(array, shared_memory=True))
            request.infer()
        except RuntimeError as error:
            raise BackendError(f"{self._label} failed on a batch: {error}") from error
        # The request writes into the same memory next time: an answer must be its own.
        return {name: np.array(request.get_tensor(name).data) for name in self._outputs}

    def close(self) -> None:
        """Free the compiled graph once no thread runs it."""
        self._compiled = None
        self._mine = threading.local()

    def _request(self) -> Any:
        request = getattr(self._mine, "request", None)
        if request is None:
            request = self._mine.request = self._compiled.create_infer_request()
        return request


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
        check(label, "input", family.inputs, _nodes(model.inputs))
        check(label, "output", family.outputs, _nodes(model.outputs))
        compiled = _core().compile_model(model, "CPU", _options(variant, slot))
    except (RuntimeError, MemoryError) as error:
        cause = (
            "out of memory" if isinstance(error, MemoryError) or "bad_alloc" in str(error) else ""
        )
        raise BackendError(
            f"{label} cannot be loaded, {cause or 'the artefact is damaged or foreign'}: {_first_words(error)}; "
            "rebuild it with `gearshift models build`"
        ) from error
    return OpenvinoBackend(compiled, family, label)


@cache
def _core() -> Any:
    """The runtime: one per process by its nature."""
    return ov.Core()


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


def _nodes(found: Sequence[Any]) -> list[Node]:
    return [
        Node(
            n.get_any_name(),
            _DATATYPES.get(str(n.element_type.get_type_name()), str(n.element_type)),
            _shape(n),
        )
        for n in found
    ]


def _shape(node: Any) -> tuple[int | None, ...]:
    return tuple(None if d.is_dynamic else int(d.get_length()) for d in node.partial_shape)


def _first_words(error: Exception) -> str:
    """The runtime's messages run over many lines: the last one names the cause."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
