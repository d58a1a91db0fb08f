"""Checkpoints in torch's legacy format, read without torch and without trusting the pickle.

Format: five pickles (magic number, protocol, system, the state dict, the storage keys in order), then for each storage
its element count (int64) and its elements. A pickle may name three constructors here; anything else is refused.
"""

import io
import math
import pickle
import struct
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.build.errors import BuildError

StateDict = dict[str, NDArray[np.generic]]

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_STORAGES = {("torch", "FloatStorage"): "<f4", ("torch", "LongStorage"): "<i8"}
_DAMAGE = (
    AttributeError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)
"""What reading a damaged file raises."""


@dataclass(frozen=True, slots=True)
class _Storage:
    key: str
    dtype: str
    count: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A view into a storage that comes later in the file; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_rest: Any) -> _Tensor:
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


class _Unpickler(pickle.Unpickler):
    """Knows a state dict's constructors and no other name."""

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        name = (module_name, global_name)
        if name == ("collections", "OrderedDict"):
            return OrderedDict
        if name == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if name in _STORAGES:
            return _STORAGES[name]
        raise BuildError(
            f"checkpoint refused: it asks for {module_name}.{global_name}, and only tensors are read; "
            "use a checkpoint that holds a plain state dict"
        )

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:
            case ("storage", str(dtype), str(key), str(), int(count), None) if count >= 0:
                return _Storage(key, dtype, count)
            case _:
                raise BuildError(
                    f"checkpoint refused: it holds {pid!r:.80} where a storage must be"
                )


def read_checkpoint(content: bytes) -> StateDict:
    """Parameter name -> array. Raises BuildError for anything but a whole legacy state dict of float32 and int64."""
    file = io.BytesIO(content)
    try:
        header = [_Unpickler(file).load() for _ in range(2)]
        if header != [_MAGIC, _PROTOCOL]:
            raise BuildError(
                "checkpoint refused: it is not in torch's legacy format (protocol 1001)"
            )
        _Unpickler(file).load()  # who wrote it; the elements are little-endian by _STORAGES
        tensors: Any = _Unpickler(file).load()
        keys: Any = _Unpickler(file).load()
        storages = _read_storages(file, tensors, keys)
        return {name: _view(name, tensor, storages) for name, tensor in tensors.items()}
    except _DAMAGE as error:
        raise BuildError(f"checkpoint refused: it is damaged ({error})") from error


def _read_storages(
    file: io.BytesIO, tensors: Mapping[str, _Tensor], keys: list[str]
) -> dict[str, NDArray[np.generic]]:
    declared = {t.storage.key: t.storage for t in tensors.values()}
    storages: dict[str, NDArray[np.generic]] = {}
    for key in keys:
        storage = declared[key]
        (count,) = struct.unpack("<q", file.read(8))
        if count != storage.count:
            raise ValueError(f"storage {key} has {count} elements, its tensors say {storage.count}")
        dtype = np.dtype(storage.dtype)
        storages[key] = np.frombuffer(file.read(count * dtype.itemsize), dtype, count)
    return storages


def _view(name: str, tensor: _Tensor, storages: Mapping[str, NDArray[Any]]) -> NDArray[np.generic]:
    flat = storages[tensor.storage.key][tensor.offset :]
    reach = sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
    if min((tensor.offset, *tensor.shape, *tensor.strides)) < 0 or reach >= flat.size:
        raise ValueError(f"{name} reaches outside its storage")
    if math.prod(tensor.shape) > flat.size:
        raise ValueError(f"{name} has more elements than its storage")
    strides = [s * flat.itemsize for s in tensor.strides]
    return np.lib.stride_tricks.as_strided(flat, tensor.shape, strides).copy()
