"""ONNX Runtime on the CPU: one session per variant, its graph checked against the family."""

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray
from onnxruntime.capi import (
    onnxruntime_pybind11_state as ort_errors,  # pyright: ignore[reportAttributeAccessIssue] - native
)

from models.backends.base import BackendError, Tensors
from models.catalog import Family, TensorSpec, Variant

_ORT_TYPES = {
    "BOOL": "bool", "UINT8": "uint8", "UINT16": "uint16", "UINT32": "uint32", "UINT64": "uint64",
    "INT8": "int8", "INT16": "int16", "INT32": "int32", "INT64": "int64",
    "FP16": "float16", "FP32": "float", "FP64": "double",
}  # fmt: skip
"""Open Inference Protocol datatype -> the word inside ONNX Runtime's `tensor(...)`."""

_ORT_ERRORS: tuple[type[Exception], ...] = (
    ort_errors.Fail,
    ort_errors.InvalidArgument,
    ort_errors.InvalidGraph,
    ort_errors.InvalidProtobuf,
    ort_errors.NoSuchFile,
    ort_errors.NotImplemented,
    ort_errors.RuntimeException,
    ort_errors.EPFail,
    RuntimeError,
    MemoryError,
)
"""What the runtime raises; its classes share no base of their own."""


class OnnxBackend:
    """A session and its tensors' names. Inputs are read in place, outputs handed on as is."""

    name = "onnxruntime"

    def __init__(self, session: ort.InferenceSession, label: str) -> None:
        self._session: ort.InferenceSession | None = session
        self._label = label
        self._inputs: AbstractSet[str] = frozenset(str(i.name) for i in session.get_inputs())
        self._outputs = [str(o.name) for o in session.get_outputs()]

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Every output for these rows. Raises BackendError naming artefact and input."""
        if self._session is None:
            raise BackendError(f"{self._label} is closed; open it again before running it")
        if inputs.keys() != self._inputs:
            raise BackendError(_wrong_names(self._label, self._inputs, inputs))
        try:
            arrays: Any = self._session.run(self._outputs, inputs)
        except _ORT_ERRORS as error:
            raise BackendError(f"{self._label} failed on a batch: {error}") from error
        return dict(zip(self._outputs, arrays, strict=True))

    def close(self) -> None:
        """Free the session and its arena."""
        self._session = None


def open_artifact(path: Path, family: Family, variant: Variant, threads: int) -> OnnxBackend:
    """Load the graph, optimise it, check its signature. Raises BackendError."""
    label = f"{variant.name} ({path}, onnxruntime {ort.__version__})"
    _share_arena()
    try:
        session = ort.InferenceSession(path, _options(threads), providers=["CPUExecutionProvider"])
    except _ORT_ERRORS as error:
        raise BackendError(
            f"{label} cannot be loaded, the artefact is damaged or foreign: {error}; "
            "rebuild it with `gearshift models build`"
        ) from error
    _check(label, "input", family.inputs, session.get_inputs())
    _check(label, "output", family.outputs, session.get_outputs())
    return OnnxBackend(session, label)


@cache
def _share_arena() -> None:
    """Give the runtime one arena for all sessions: few run at a time, so they need not each keep their largest batch's.

    The eight sessions of the embedded family then take 385 MiB after batches of 8 instead of 990, at the same speed.
    The runtime has one environment per process, so this is process-wide by its nature; hence the cache.
    """
    memory = ort.OrtMemoryInfo(
        "Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT
    )
    ort.create_and_register_allocator(memory, None)


def _options(threads: int) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3  # errors are raised; its warnings are not for operators
    options.add_session_config_entry("session.use_env_allocators", "1")
    # A spinning thread takes the core that the front or a second arm needs (benchmarks/threads.py).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _check(label: str, kind: str, wanted: tuple[TensorSpec, ...], found: Sequence[Any]) -> None:
    by_name = {node.name: node for node in found}
    if by_name.keys() != {spec.name for spec in wanted}:
        raise BackendError(
            f"{label}: its {kind}s are {sorted(by_name)}, "
            f"the family's {sorted(s.name for s in wanted)}; rebuild the artefact for this family"
        )
    for spec in wanted:
        node = by_name[spec.name]
        if node.type != f"tensor({_ORT_TYPES[spec.datatype]})" or not _fits(spec.shape, node.shape):
            raise BackendError(
                f"{label}: {kind} {spec.name!r} is {node.type} {node.shape}, the family says "
                f"{spec.datatype} {list(spec.shape)} with rows of any number; rebuild the artefact"
            )


def _fits(wanted: tuple[int, ...], found: list[int | str | None]) -> bool:
    """Whether the rows are free and every other dimension is as declared, or free too."""
    if len(wanted) != len(found) or isinstance(found[0], int):
        return False
    return all(not isinstance(f, int) or f == w for w, f in zip(wanted[1:], found[1:], strict=True))


def _wrong_names(label: str, wanted: AbstractSet[str], got: Tensors) -> str:
    missing, extra = sorted(wanted - got.keys()), sorted(got.keys() - wanted)
    return (
        f"{label}: missing inputs {missing}, unexpected inputs {extra}; expected {sorted(wanted)}"
    )
