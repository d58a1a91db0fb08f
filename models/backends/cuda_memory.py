"""Device memory, streams and copies for runtimes that bring none: by cuda-python, or torch without that."""

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from models.backends.base import BackendError


class Stream(Protocol):
    """A queue of work on the device, with memory that belongs to it. One thread at a time."""

    handle: int
    """cudaStream_t, as a number."""

    def buffer(self, size_bytes: int) -> int:
        """The address of new device memory, held until `close`. Raises BackendError where there is none left."""
        ...

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Queue a copy to the device. `array` (C-contiguous) must stay as it is until `wait`."""
        ...

    def download(self, array: NDArray[Any], address: int) -> None:
        """Queue a copy from the device into `array`, which is whole after `wait`."""
        ...

    def wait(self) -> None:
        """Until everything queued is done. Raises BackendError where any of it failed."""
        ...

    def close(self) -> None:
        """Give stream and memory back. Idempotent."""
        ...


def open_stream() -> Stream:
    """A stream on the first GPU. Raises BackendError where neither cuda-python nor torch can reach one."""
    if find_spec("cuda") is not None and find_spec("cuda.bindings") is not None:
        return RuntimeStream()
    if find_spec("torch") is not None:
        return TorchStream()
    raise BackendError("neither cuda-python nor torch is installed; `pip install cuda-python`")


class RuntimeStream:
    """By cuda-python's binding of the CUDA runtime."""

    def __init__(self) -> None:
        self._cuda = _binding()
        self._stream: Any = self._done(self._cuda.cudaStreamCreate())
        self.handle = int(self._stream)
        self._held: list[int] = []

    def buffer(self, size_bytes: int) -> int:
        """The address of new device memory."""
        address = int(self._done(self._cuda.cudaMalloc(max(1, size_bytes))))
        self._held.append(address)
        return address

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Queue a copy to the device."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._copy(address, array.ctypes.data, array.nbytes, kind)

    def download(self, array: NDArray[Any], address: int) -> None:
        """Queue a copy from the device."""
        kind = self._cuda.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._copy(array.ctypes.data, address, array.nbytes, kind)

    def wait(self) -> None:
        """Until everything queued is done."""
        self._done(self._cuda.cudaStreamSynchronize(self._stream))

    def close(self) -> None:
        """Give stream and memory back."""
        held, self._held = self._held, []
        for address in held:
            self._cuda.cudaFree(address)
        if self._stream is not None:
            self._cuda.cudaStreamDestroy(self._stream)
            self._stream = None

    def _copy(self, target: int, source: int, size_bytes: int, kind: Any) -> None:
        self._done(self._cuda.cudaMemcpyAsync(target, source, size_bytes, kind, self._stream))

    def _done(self, answer: tuple[Any, ...]) -> Any:
        """The value of a call, which comes after its status. Raises BackendError."""
        status, *values = answer
        if int(status) != 0:
            _, text = self._cuda.cudaGetErrorString(status)
            raise BackendError(f"CUDA: {text.decode() if isinstance(text, bytes) else text}")
        return values[0] if values else None


class TorchStream:
    """By torch's allocator and streams."""

    def __init__(self) -> None:
        self._torch: Any = import_module("torch")
        self._stream: Any = self._torch.cuda.Stream()
        self.handle = int(self._stream.cuda_stream)
        self._held: dict[int, Any] = {}

    def buffer(self, size_bytes: int) -> int:
        """The address of new device memory."""
        try:
            held = self._torch.empty(max(1, size_bytes), dtype=self._torch.uint8, device="cuda")
        except RuntimeError as error:
            raise BackendError(f"CUDA: {error}") from error
        self._held[held.data_ptr()] = held
        return held.data_ptr()

    def upload(self, address: int, array: NDArray[Any]) -> None:
        """Queue a copy to the device."""
        flat = _as_bytes(array)
        source = self._torch.from_numpy(flat if flat.flags.writeable else flat.copy())
        with self._torch.cuda.stream(self._stream):
            self._held[address][: array.nbytes].copy_(source, non_blocking=True)

    def download(self, array: NDArray[Any], address: int) -> None:
        """Queue a copy from the device."""
        target = self._torch.from_numpy(_as_bytes(array))
        with self._torch.cuda.stream(self._stream):
            target.copy_(self._held[address][: array.nbytes], non_blocking=True)

    def wait(self) -> None:
        """Until everything queued is done."""
        self._stream.synchronize()

    def close(self) -> None:
        """Give the memory back to torch, which keeps its streams."""
        self._held.clear()


@cache
def gpu() -> tuple[str, tuple[int, int]]:
    """Name and compute capability of the first GPU. Raises BackendError where it cannot be asked."""
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        cuda: Any = import_module("torch").cuda
        return str(cuda.get_device_name(0)), tuple(cuda.get_device_capability(0))
    status, found = _binding().cudaGetDeviceProperties(0)
    if int(status) != 0:
        raise BackendError(
            f"CUDA does not answer for the GPU (status {int(status)}); check the driver"
        )
    name = found.name.decode() if isinstance(found.name, bytes) else str(found.name)
    return name.rstrip("\0"), (int(found.major), int(found.minor))


@cache
def _binding() -> Any:
    return import_module("cuda.bindings.runtime")


def _as_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.reshape(-1).view(np.uint8)
