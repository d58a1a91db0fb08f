"""ONNX Runtime on the CPU, or a GPU through its CUDA and TensorRT providers: one session per variant."""

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

from models.backends.base import BackendError, Slot, Tensors, words
from models.backends.cache import engine_cache
from models.backends.signature import Node, check, check_names
from models.catalog import Family, Variant
from models.datatypes import DATATYPES
from models.exact_int8 import EXACT_INT8

_DATATYPES = {f"tensor({row.onnxruntime})": row.name for row in DATATYPES.values()}
"""ONNX Runtime's type -> Open Inference Protocol datatype."""

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

_UNREADABLE: tuple[type[Exception], ...] = (ort_errors.InvalidProtobuf, ort_errors.NoSuchFile)
"""Those that speak of the file, not of what the runtime can do with it;"""
_NO_GRAPH = "No graph was found"  # and so does this


_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
}
"""Device -> execution provider."""

_NATIVE = {
    "cpu": {"fp32", "int8"},
    "cuda": {"fp32", "fp16"},
    "tensorrt": {"fp32", "fp16", "bf16", "int8"},
}
"""What each computes as it stands: the CPU widens narrower floats first, CUDA has no kernels for quantised graphs."""


_ONLY_FATAL = (
    4  # of the runtime's own lines: errors are raised, and its warnings are not for operators
)
ort.set_default_logger_severity(_ONLY_FATAL)


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
        session = self._session
        if session is None:
            raise BackendError(f"{self._label} is closed; open it again before running it")
        check_names(self._label, self._inputs, inputs)
        try:
            arrays: Any = session.run(self._outputs, inputs)
        except _ORT_ERRORS as error:
            raise BackendError(f"{self._label} failed on a batch: {words(error)}") from error
        return dict(zip(self._outputs, arrays, strict=True))

    def close(self) -> None:
        """Free the session and its arena."""
        self._session = None


def devices() -> tuple[str, ...]:
    """Those whose execution provider this build of the runtime has, and where there is a GPU for it."""
    built = set(ort.get_available_providers())
    has_gpu = Path("/dev/nvidiactl").exists()
    return tuple(d for d, p in _PROVIDERS.items() if p in built and (d == "cpu" or has_gpu))


def native(precision: str, device: str) -> bool:
    """Whether a variant of this precision is computed in it there."""
    return precision in _NATIVE[device]


def open_artifact(path: Path, family: Family, variant: Variant, slot: Slot) -> OnnxBackend:
    """Load the graph, optimise it, check its signature and that it runs where asked. Raises BackendError."""
    label = f"{variant.name} ({path}, onnxruntime {ort.__version__} on {slot.device})"
    if slot.device not in _PROVIDERS:
        raise BackendError(f"{label}: no such device; known: {', '.join(_PROVIDERS)}")
    session = open_session(path, label, slot, provider_options(slot.device, variant.precision))
    _check_provider(session, label, _PROVIDERS[slot.device])
    one = family.one_row
    check(label, "input", family.inputs, _nodes(session.get_inputs()), one_row=one)
    check(label, "output", family.outputs, _nodes(session.get_outputs()), one_row=one)
    return OnnxBackend(session, label)


def open_session(
    source: Path | bytes, label: str, slot: Slot, options: dict[str, str]
) -> ort.InferenceSession:
    """A session over a graph, in a file or in memory, with `options` for its provider. Raises BackendError."""
    wanted = _PROVIDERS[slot.device]
    if wanted not in ort.get_available_providers():
        raise BackendError(
            f"{label}: this onnxruntime has no {wanted}; `pip install 'gearshift[gpu]'` brings it, "
            "or leave this way out with the key `backends`"
        )
    providers: list[Any] = [(wanted, options)]
    if slot.device == "cpu":
        _share_arena()
    try:
        return ort.InferenceSession(source, _options(slot), providers=providers)
    except _ORT_ERRORS as error:
        if _is_out_of_memory(error):
            raise BackendError(
                f"{label} cannot be loaded, out of memory: {words(error)}; free some"
            ) from error
        if isinstance(error, _UNREADABLE) or _NO_GRAPH in str(error):
            raise BackendError(
                f"{label} is not there, or no whole ONNX model: {words(error)}; publish it again"
            ) from error
        raise BackendError(
            f"{label} cannot be loaded by this runtime: {words(error)}; another may run it"
        ) from error


def provider_options(device: str, precision: str) -> dict[str, str]:
    """What the execution provider of `device` is told; TensorRT keeps engines and timings on disk between starts."""
    if device != "tensorrt":
        return {}
    folder = str(engine_cache())
    return {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": folder,
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": folder,
        "trt_fp16_enable": str(int(precision == "fp16")),
        "trt_bf16_enable": str(int(precision == "bf16")),
        "trt_int8_enable": str(int(precision == "int8")),
    }


def _check_provider(session: ort.InferenceSession, label: str, wanted: str) -> None:
    """The runtime goes on with another provider where one cannot start, and only logs it: that would be another arm."""
    got = session.get_providers()
    if got[0] != wanted:
        raise BackendError(
            f"{label}: asked for {wanted}, the runtime fell back to {got[0]}; check the driver and its libraries"
        )


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error).lower()
    return isinstance(error, MemoryError) or "allocate memory" in text or "bad_alloc" in text


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


def _options(slot: Slot) -> Any:
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = slot.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = _ONLY_FATAL
    if slot.device == "cpu":
        options.add_session_config_entry("session.use_env_allocators", "1")
    # A spinning thread takes the core that the front or a second arm needs (benchmarks/serving/threads.py).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.add_session_config_entry(*EXACT_INT8)
    return options


def _nodes(found: Sequence[Any]) -> list[Node]:
    return [
        Node(
            str(n.name),
            _DATATYPES.get(str(n.type), str(n.type)),
            tuple(d if isinstance(d, int) else None for d in n.shape),
        )
        for n in found
    ]
