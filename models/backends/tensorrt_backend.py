"""TensorRT on an NVIDIA GPU: an engine per variant, an execution context, stream and memory for each run at a time.

Unproven on a GPU as yet: see models/backends/tensorrt_engine.py.
"""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorrt as trt  # pyright: ignore[reportMissingImports] - installed on GPU machines only
from google.protobuf.message import DecodeError, EncodeError
from numpy.typing import NDArray

from models.artifacts.external import data_files
from models.backends.base import BackendError, Slot, Tensors
from models.backends.cuda_memory import Stream, gpu, open_stream
from models.backends.graph_nodes import input_nodes, output_nodes
from models.backends.signature import check, check_batch
from models.backends.tensorrt_engine import Gpu, engine, profile_for, ranges
from models.catalog import Family, TensorSpec, Variant

_CAPABILITY = {"fp32": (0, 0), "fp16": (7, 0), "int8": (7, 5), "bf16": (8, 0)}
"""Precision -> the compute capability that has tensor cores for it."""


class TensorrtLane:
    """One run at a time on one stream, with a context for each optimisation profile: switching one costs more."""

    def __init__(self, built: Any, family: Family) -> None:
        self._built = built
        self._family = family
        self._ranges = ranges(family.max_batch)
        self._stream: Stream = open_stream()
        specs = (*family.inputs, *family.outputs)
        self._memory = {
            s.name: self._stream.buffer(_size_bytes(s, family.max_batch)) for s in specs
        }
        self._contexts = [self._context(i) for i in range(len(self._ranges))]

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Every output for these rows; the arrays are the caller's own."""
        rows = len(inputs[self._family.inputs[0].name])
        context = self._contexts[profile_for(rows, self._ranges)]
        for name, array in inputs.items():
            if not context.set_input_shape(name, tuple(array.shape)):
                raise BackendError(f"TensorRT refuses {name!r} of shape {list(array.shape)}")
            self._stream.upload(self._memory[name], np.ascontiguousarray(array))
        outputs = {s.name: _empty(s, rows) for s in self._family.outputs}
        if not context.execute_async_v3(self._stream.handle):
            raise BackendError("TensorRT could not queue the batch; see its log for the cause")
        for name, array in outputs.items():
            self._stream.download(array, self._memory[name])
        self._stream.wait()
        return outputs

    def close(self) -> None:
        """Free contexts, memory and stream."""
        self._contexts.clear()
        self._stream.close()

    def _context(self, index: int) -> Any:
        context = self._built.create_execution_context()
        if context is None:
            raise BackendError(
                "TensorRT has no memory for an execution context; free some GPU memory"
            )
        context.set_optimization_profile_async(index, self._stream.handle)
        for name, address in self._memory.items():
            context.set_tensor_address(name, address)
        self._stream.wait()
        return context


class TensorrtBackend:
    """An engine; every thread that runs it has a lane of its own."""

    name = "tensorrt"

    def __init__(self, built: Any, family: Family, label: str) -> None:
        self._built: Any = built
        self._family = family
        self._label = label
        self._lock = threading.Lock()
        self._lanes: dict[int, TensorrtLane] = {}

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Every output for these rows. Raises BackendError naming artefact and input."""
        if self._built is None:
            raise BackendError(f"{self._label} is closed; open it again before running it")
        check_batch(self._label, self._family.inputs, inputs)
        try:
            return self._lane().run(inputs)
        except (BackendError, RuntimeError) as error:
            raise BackendError(f"{self._label} failed on a batch: {error}") from error

    def close(self) -> None:
        """Free engine, contexts and memory; no thread may be running it."""
        with self._lock:
            lanes, self._lanes = self._lanes, {}
            self._built = None
        for lane in lanes.values():
            lane.close()

    def _lane(self) -> TensorrtLane:
        mine = threading.get_ident()
        with self._lock:
            if mine not in self._lanes:
                self._lanes[mine] = TensorrtLane(self._built, self._family)
            return self._lanes[mine]


def devices() -> tuple[str, ...]:
    """A GPU where the driver has one."""
    return ("cuda",) if Path("/dev/nvidiactl").exists() else ()


def native(precision: str, _device: str) -> bool:
    """Whether this GPU has tensor cores for `precision`."""
    needed = _CAPABILITY.get(precision)
    try:
        return needed is not None and gpu()[1] >= needed
    except BackendError:  # a driver without a usable GPU: no way to run anything
        return False


def open_artifact(path: Path, family: Family, variant: Variant, slot: Slot) -> TensorrtBackend:
    """Take the engine from the cache or build it (seconds to minutes), check its signature. Raises BackendError."""
    label = f"{variant.name} ({path}, tensorrt {trt.__version__} on {slot.device})"
    if slot.device != "cuda":
        raise BackendError(f"{label}: no such device; known: cuda")
    if not devices():
        raise BackendError(f"{label}: no GPU here; leave this way out with the key `backends`")
    try:
        outside = data_files(
            path
        )  # weights; they must be in the content that the engine's cache goes by
        content = onnx.load(path).SerializeToString() if outside else path.read_bytes()
        _check(content, family, label)
        built = engine(content, variant.precision, Gpu(*gpu()), family.max_batch)
    except (BackendError, RuntimeError, OSError, DecodeError, EncodeError, ValueError) as error:
        raise BackendError(f"{label} cannot be loaded: {error}") from error
    return TensorrtBackend(built, family, label)


def _check(content: bytes, family: Family, label: str) -> None:
    """Before minutes go into building it."""
    graph = onnx.load_from_string(content).graph
    check(label, "input", family.inputs, input_nodes(graph))
    check(label, "output", family.outputs, output_nodes(graph))


def _size_bytes(spec: TensorSpec, rows: int) -> int:
    return rows * int(np.prod(spec.shape[1:])) * spec.dtype.itemsize


def _empty(spec: TensorSpec, rows: int) -> NDArray[Any]:
    return np.empty((rows, *spec.shape[1:]), spec.dtype)
