"""The parts of TensorRT's Python API that the backend uses, on the CPU: plans are bytes, ONNX Runtime computes.

It keeps the rules that a caller can break: profiles must cover the batch, inputs need shapes and addresses, a plan
loads only in the version that made it.
"""

import ctypes
import json
from enum import IntEnum
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray

Shape = tuple[int, ...]


class Flag(IntEnum):
    STRONGLY_TYPED = 1
    TF32 = 2
    FP16 = 3
    BF16 = 4
    WORKSPACE = 5


class Logger:
    WARNING = 1

    def __init__(self, severity: int) -> None:
        self.severity = severity


class Network:
    """What a parser fills."""

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.content = b""

    @property
    def num_inputs(self) -> int:
        return len(self._inputs())

    def get_input(self, index: int) -> Any:
        return self._inputs()[index]

    def _inputs(self) -> list[Any]:
        values = onnx.load_from_string(self.content).graph.input
        return [
            SimpleNamespace(
                name=v.name, shape=[d.dim_value or -1 for d in v.type.tensor_type.shape.dim]
            )
            for v in values
        ]


class OnnxParser:
    def __init__(self, network: Network, _logger: Logger) -> None:
        self._network = network
        self._errors: list[str] = []

    @property
    def num_errors(self) -> int:
        return len(self._errors)

    def get_error(self, index: int) -> str:
        return self._errors[index]

    def parse(self, content: bytes) -> bool:
        model = onnx.load_from_string(content)
        bytes_in = {i.name for i in model.graph.input if i.type.tensor_type.elem_type == 2}
        self._errors = [
            f"{n.op_type} of UINT8: only Cast is supported"
            for n in model.graph.node
            if n.op_type != "Cast" and bytes_in.intersection(n.input)
        ]
        self._network.content = content
        return not self._errors


class OptimizationProfile:
    def __init__(self) -> None:
        self.shapes: dict[str, tuple[Shape, Shape, Shape]] = {}

    def set_shape(self, name: str, low: Shape, best: Shape, high: Shape) -> None:
        if not all(a <= b <= c for a, b, c in zip(low, best, high, strict=True)):
            raise ValueError(f"profile of {name}: {low} {best} {high}")
        self.shapes[name] = low, best, high


class TimingCache:
    def __init__(self, content: bytes) -> None:
        self.content = content or b"timings"

    def serialize(self) -> bytes:
        return self.content


class BuilderConfig:
    def __init__(self) -> None:
        self.flags: list[str] = []
        self.profiles: list[OptimizationProfile] = []
        self._timings = TimingCache(b"")

    def set_memory_pool_limit(self, _pool: Flag, size_bytes: int) -> None:
        assert size_bytes > 0

    def set_flag(self, flag: Flag) -> None:
        self.flags.append(flag.name)

    def add_optimization_profile(self, profile: OptimizationProfile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, content: bytes) -> TimingCache:
        return TimingCache(content)

    def set_timing_cache(self, timings: TimingCache, _ignore_mismatch: bool) -> bool:
        self._timings = timings
        return True

    def get_timing_cache(self) -> TimingCache:
        return self._timings


class ExecutionContext:
    def __init__(self, content: bytes, profiles: list[dict[str, Any]]) -> None:
        self._session = ort.InferenceSession(content, providers=["CPUExecutionProvider"])
        self._profiles = profiles
        self._profile: dict[str, Any] = {}
        self._shapes: dict[str, Shape] = {}
        self._addresses: dict[str, int] = {}

    def set_optimization_profile_async(self, index: int, _stream: int) -> bool:
        self._profile = self._profiles[index]
        return True

    def set_input_shape(self, name: str, shape: Shape) -> bool:
        low, _, high = self._profile[name]
        self._shapes[name] = shape
        return all(a <= b <= c for a, b, c in zip(low, shape, high, strict=True))

    def set_tensor_address(self, name: str, address: int) -> bool:
        self._addresses[name] = address
        return True

    def execute_async_v3(self, _stream: int) -> bool:
        types = {"tensor(uint8)": np.uint8, "tensor(float)": np.float32}
        given = {
            i.name: _memory(self._addresses[i.name], np.empty(self._shapes[i.name], types[i.type]))
            for i in self._session.get_inputs()
        }
        names = [o.name for o in self._session.get_outputs()]
        results: Any = self._session.run(names, given)
        for name, result in zip(names, results, strict=True):
            ctypes.memmove(self._addresses[name], result.ctypes.data, result.nbytes)
        return True


def _memory(address: int, array: NDArray[Any]) -> NDArray[Any]:
    ctypes.memmove(array.ctypes.data, address, array.nbytes)
    return array


class HostStream:
    """Device memory that is the host's; what is queued is done at once."""

    handle = 1

    def __init__(self) -> None:
        self._held: dict[int, NDArray[np.uint8]] = {}

    def buffer(self, size_bytes: int) -> int:
        held = np.zeros(size_bytes, np.uint8)
        self._held[held.ctypes.data] = held
        return held.ctypes.data

    def upload(self, address: int, array: NDArray[Any]) -> None:
        assert array.nbytes <= self._held[address].nbytes
        ctypes.memmove(address, array.ctypes.data, array.nbytes)

    def download(self, array: NDArray[Any], address: int) -> None:
        ctypes.memmove(array.ctypes.data, address, array.nbytes)

    def wait(self) -> None:
        """Nothing is ever outstanding."""

    def close(self) -> None:
        self._held.clear()


class StandIn(ModuleType):
    """A module `tensorrt` of a given version that counts what it builds."""

    def __init__(self, version: str = "10.0.0") -> None:
        super().__init__("tensorrt")
        self.__spec__ = ModuleSpec("tensorrt", None)
        self.__version__ = version
        self.built: list[BuilderConfig] = []
        self.networks: list[Network] = []
        self.Logger, self.OnnxParser = Logger, OnnxParser
        self.BuilderFlag = self.MemoryPoolType = self.NetworkDefinitionCreationFlag = Flag

    def Builder(self, _logger: Logger) -> Any:
        return SimpleNamespace(
            create_network=Network,
            create_builder_config=BuilderConfig,
            create_optimization_profile=OptimizationProfile,
            build_serialized_network=self._build,
        )

    def Runtime(self, _logger: Logger) -> Any:
        return SimpleNamespace(deserialize_cuda_engine=self._load)

    def _build(self, network: Network, config: BuilderConfig) -> bytes:
        self.built.append(config)
        self.networks.append(network)
        head = {"version": self.__version__, "profiles": [p.shapes for p in config.profiles]}
        return json.dumps(head).encode() + b"\0" + network.content

    def _load(self, plan: bytes) -> Any:
        head, _, content = plan.partition(b"\0")
        found = json.loads(head)
        if found["version"] != self.__version__:
            return None
        return SimpleNamespace(
            create_execution_context=lambda: ExecutionContext(content, found["profiles"])
        )
