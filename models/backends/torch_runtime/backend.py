"""torch on the CPU or an NVIDIA GPU: ONNX graphs read into its operators, and programs of torch.export.

Eager, under `inference_mode`. Compiling costs minutes and is not done here; scripts/gpu_check.py measures what it would
bring. float32 on a GPU follows torch's defaults: TF32 in convolutions, not in matrix products.
"""

import threading
import zipfile
from collections.abc import Callable, Sequence
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.backends.base import BackendError, Slot, Tensors, words
from models.backends.signature import check, check_batch
from models.backends.torch_runtime.program import Program, read_graph, read_program
from models.catalog import Family, TensorSpec, Variant

_CPU_FLAGS = {
    "fp32": frozenset[str](),
    "bf16": frozenset({"avx512_bf16", "amx_bf16", "bf16"}),
    "fp16": frozenset({"avx512_fp16", "amx_fp16", "asimdhp"}),
}
"""Precision -> processor features of which any one computes it; none needed for float32."""

_CUDA_CAPABILITY = {"fp32": (0, 0), "fp16": (7, 0), "bf16": (8, 0)}
"""Precision -> the compute capability that has tensor cores for it."""

_ERRORS = (
    AssertionError,
    AttributeError,
    IndexError,
    KeyError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
)
"""What reading a damaged or foreign file, or running it, raises: parsers and torch share no base."""


class Lane(Protocol):
    """One run at a time on a device, by one thread."""

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs for these inputs, both in the program's order; the outputs are the caller's own."""
        ...


class TorchBackend:
    """A module, and a lane for every thread that runs it: on a GPU a lane has its own stream and staging memory."""

    name = "torch"

    def __init__(
        self, program: Program, family: Family, label: str, lane: Callable[[], Lane]
    ) -> None:
        self._program: Program | None = program
        self._family = family
        self._label = label
        self._lane = lane
        self._mine = threading.local()

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Every output for these rows. Raises BackendError naming artefact and input."""
        program = self._program
        if program is None:
            raise BackendError(f"{self._label} is closed; open it again before running it")
        check_batch(self._label, self._family.inputs, inputs)
        try:
            results = self._own_lane().run([inputs[node.name] for node in program.inputs])
        except _ERRORS as error:
            raise BackendError(f"{self._label} failed on a batch: {words(error)}") from error
        return dict(zip((node.name for node in program.outputs), results, strict=True))

    def close(self) -> None:
        """Free weights, staging memory and captured graphs once no thread runs it."""
        self._program = None
        self._mine = threading.local()
        self._lane = _closed

    def _own_lane(self) -> Lane:
        lane = getattr(self._mine, "lane", None)
        if lane is None:
            lane = self._mine.lane = self._lane()
        return lane


class CpuLane:
    """Runs in the calling thread on `threads` intra-op threads; inputs are read in place.

    torch.set_num_threads is process-wide by its documentation, and its OpenMP keeps the number for each calling thread:
    so every lane sets its own before it runs, and a slot of another size does not disturb it. Only MKL's number is
    shared: float32 matrix products of a slot may run on the threads of the slot that started last.
    """

    def __init__(self, call: Callable[..., Sequence[Tensor]], threads: int) -> None:
        self._call = call
        self._threads = threads

    def run(self, inputs: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
        """Outputs for these inputs, in order."""
        if torch.get_num_threads() != self._threads:
            torch.set_num_threads(self._threads)
        with torch.inference_mode():
            tensors = [as_tensor(array) for array in inputs]
            results = self._call(*tensors)
            return [_own(result, tensors) for result in results]


def as_tensor(array: NDArray[Any]) -> Tensor:
    """The array's memory as a tensor; torch knows no read-only memory, so that is copied."""
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _own(result: Tensor, inputs: Sequence[Tensor]) -> NDArray[Any]:
    """An array whose memory no input holds: the caller will reuse theirs."""
    storage = result.untyped_storage().data_ptr()
    borrowed = any(t.untyped_storage().data_ptr() == storage for t in inputs)
    array: NDArray[Any] = result.contiguous().numpy()
    return array.copy() if borrowed else array


def devices() -> tuple[str, ...]:
    """The CPU, and a GPU where torch can use one; its own look takes longer, the driver's file answers at once."""
    has_gpu = Path("/dev/nvidiactl").exists() and torch.cuda.is_available()
    return ("cpu", "cuda") if has_gpu else ("cpu",)


def native(precision: str, device: str) -> bool:
    """Whether torch computes in `precision` there; it has no kernels for graphs that are quantised by nodes (int8)."""
    if device == "cuda":
        needed = _CUDA_CAPABILITY.get(precision)
        return needed is not None and torch.cuda.get_device_capability() >= needed
    wanted = _CPU_FLAGS.get(precision)
    return wanted is not None and (not wanted or bool(wanted & _cpu_flags()))


@cache
def _cpu_flags() -> frozenset[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return frozenset()
    lines = (line.partition(":") for line in text.splitlines())
    return frozenset(
        flag
        for name, _, value in lines
        if name.strip() in {"flags", "Features"}
        for flag in value.split()
    )


def open_artifact(path: Path, family: Family, variant: Variant, slot: Slot) -> TorchBackend:
    """Read the artefact, check its signature, move it to the device, run one row of zeros. Raises BackendError."""
    label = f"{variant.name} ({path}, torch {metadata.version('torch')} on {slot.device})"
    if slot.device not in {"cpu", "cuda"}:
        raise BackendError(f"{label}: no such device; known: cpu, cuda")
    if slot.device not in devices():
        raise BackendError(
            f"{label}: torch finds no such GPU; install its CUDA build, or leave this way out with the key `backends`"
        )
    program = _read(path, family, variant, slot.device, label)
    one_row = family.one_row
    check(label, "input", family.inputs, program.inputs, one_row=one_row)
    check(label, "output", family.outputs, program.outputs, one_row=one_row)
    backend = TorchBackend(program, family, label, _lanes(program, family, slot))
    _try(backend, family)
    return backend


def _read(path: Path, family: Family, variant: Variant, device: str, label: str) -> Program:
    try:
        if path.suffix == ".pt2":
            return read_program(path, [spec.name for spec in family.outputs], device)
        return read_graph(path, variant.precision, device)
    except BackendError as error:
        raise BackendError(f"{label}: {error}") from error
    except Exception as error:  # protobuf's DecodeError is not ours to import
        raise BackendError(
            f"{label} cannot be loaded by this runtime: {words(error)}; another may run it"
        ) from error


def _lanes(program: Program, family: Family, slot: Slot) -> Callable[[], Lane]:
    if slot.device == "cpu":
        return lambda: CpuLane(program.call, slot.threads)
    from models.backends.torch_runtime.cuda import CudaLane  # noqa: PLC0415 - only where there is a GPU

    return lambda: CudaLane(program.call, family.max_batch)


def _try(backend: TorchBackend, family: Family) -> None:
    """What an operator cannot do shows on its first run: better here than in front of a client."""
    try:
        backend.run({spec.name: _zeros(spec) for spec in family.typical.inputs})
    except BackendError:
        backend.close()
        raise


def _zeros(spec: TensorSpec) -> NDArray[Any]:
    return np.zeros((1, *spec.shape[1:]), spec.dtype)


def _closed() -> Lane:
    raise RuntimeError("closed")
