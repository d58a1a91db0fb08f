"""TensorRT engines: built from ONNX for ranges of batch sizes, and kept on disk between starts.

Engines hold for one TensorRT version, one GPU model and one artefact: all three are in the cache entry's name, its
content has a digest of its own, and an entry that is damaged or does not load is set aside and built anew. Written
against the documented API of TensorRT 10 and proved on a stand-in only (tensorrt_stand_in.py): the parsing, the
kernels chosen, how long a build takes and what the engines cost are unproven until scripts/gpu_check.sh runs on a GPU.

Engines are not refittable: a candidate's new weights are another artefact and get another engine. Refitting
(BuilderFlag.REFIT, trt.OnnxParserRefitter) would spare that build and costs speed, as fewer weights can be folded.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import onnx
import tensorrt as trt  # pyright: ignore[reportMissingImports] - installed on GPU machines only

from models.backends.base import BackendError
from models.backends.cache import engine_cache, read_entry, set_aside, write_entry

_WORKSPACE_BYTES = 1 << 30
"""Scratch memory a kernel may ask for: what convolutional networks use stays far below."""

_RECIPE = 1
"""Rises when the same artefact comes to be built differently."""

_RANGES = ((1, 1, 1), (2, 4, 8), (9, 16, 32), (33, 64, 1 << 30))
"""Batch sizes (least, tuned for, most) of the optimisation profiles: one kernel choice does not suit 1 and 32."""

_KEPT_TIMINGS = "timings.bin"


@dataclass(frozen=True, slots=True)
class Gpu:
    """What an engine is built for: the card's name and its compute capability."""

    name: str
    capability: tuple[int, int]


def ranges(max_batch: int) -> tuple[tuple[int, int, int], ...]:
    """(least, tuned for, most) rows of each optimisation profile, up to `max_batch`; they leave no gap."""
    cut = [(low, best, min(high, max_batch)) for low, best, high in _RANGES if low <= max_batch]
    return tuple((low, min(best, high), high) for low, best, high in cut)


def cache_key(content: bytes, precision: str, gpu: Gpu, max_batch: int) -> str:
    """The cache entry's name, without suffix: 32 hexadecimal digits that change with anything the engine depends on."""
    parts = (
        hashlib.sha256(content).hexdigest(),
        precision,
        trt.__version__,
        gpu.name,
        f"{gpu.capability[0]}.{gpu.capability[1]}",
        repr(ranges(max_batch)),
        f"{_WORKSPACE_BYTES} {_RECIPE}",
    )
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]


def engine(content: bytes, precision: str, gpu: Gpu, max_batch: int) -> Any:
    """The engine for this ONNX file, from the cache or newly built. Raises BackendError without naming the artefact."""
    path = engine_cache() / f"{cache_key(content, precision, gpu, max_batch)}.engine"
    kept = read_entry(path)
    if kept is not None:
        loaded = _loaded(kept)
        if loaded is not None:
            return loaded
        set_aside(path, "this TensorRT does not load it")
    plan = build(content, precision, max_batch)
    loaded = _loaded(plan)
    if loaded is None:
        raise BackendError(
            "TensorRT built an engine that it cannot load; see its log for the cause"
        )
    write_entry(path, plan)
    return loaded


def build(content: bytes, precision: str, max_batch: int) -> bytes:
    """Compile; takes seconds to minutes. Raises BackendError where the graph cannot be parsed or built."""
    builder = trt.Builder(logger())
    network = builder.create_network(_network_flags(precision))
    parser = trt.OnnxParser(network, logger())
    if not parser.parse(floats_first(onnx.load_from_string(content)).SerializeToString()):
        errors = "; ".join(str(parser.get_error(i)) for i in range(parser.num_errors))
        raise BackendError(f"TensorRT cannot parse the graph: {errors or 'no reason given'}")
    config = _config(builder, network, precision, max_batch)
    timings = _timings(config)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BackendError("TensorRT built no engine; see its log for the cause (often GPU memory)")
    write_entry(timings, bytes(config.get_timing_cache().serialize()))
    return bytes(plan)


_MOVES = frozenset(
    {"Transpose", "Gather", "Slice", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity"}
)
"""Operators that move values and change none: they do the same to floats as to bytes."""


def floats_first(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same graph with its uint8 inputs cast at once, where they would be moved first: TensorRT wants it so."""
    graph = model.graph
    for given in graph.input:
        if given.type.tensor_type.elem_type == onnx.TensorProto.UINT8 and _only_moved(
            graph, given.name
        ):
            _cast_at_once(graph, given.name)
    return model


def _only_moved(graph: onnx.GraphProto, name: str) -> bool:
    """Whether the bytes of `name` are moved and then cast, nothing else."""
    users = [n for n in graph.node if name in n.input]
    return bool(users) and all(
        n.op_type == "Cast"
        or (n.op_type in _MOVES and n.input[0] == name and _only_moved(graph, n.output[0]))
        for n in users
    )


def _cast_at_once(graph: onnx.GraphProto, name: str) -> None:
    floats = f"{name}.at_once"
    for node in graph.node:
        for i, used in enumerate(node.input):
            if used == name:
                node.input[i] = floats
    cast = onnx.helper.make_node("Cast", [name], [floats], to=onnx.TensorProto.FLOAT)
    graph.node.insert(0, cast)
    del graph.value_info[:]  # they state the old types


def _network_flags(precision: str) -> int:
    """int8 graphs are strongly typed: their QDQ nodes say what is int8, and the INT8 flag is deprecated since 10.1.

    The others are weakly typed: their flag lets the builder choose the narrow type where it is faster, float32 else.
    """
    strongly = precision == "int8"
    return int(strongly) << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def _config(builder: Any, network: Any, precision: str, max_batch: int) -> Any:
    config = builder.create_builder_config()
    config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, _WORKSPACE_BYTES)
    flag = {"fp32": "TF32", "fp16": "FP16", "bf16": "BF16"}.get(precision)
    if flag:
        config.set_flag(getattr(trt.BuilderFlag, flag))
    for low, best, high in ranges(max_batch):
        profile = builder.create_optimization_profile()
        for i in range(network.num_inputs):
            given = network.get_input(i)
            rest = tuple(given.shape)[1:]
            profile.set_shape(given.name, (low, *rest), (best, *rest), (high, *rest))
        config.add_optimization_profile(profile)
    return config


def _timings(config: Any) -> Path:
    """Lay what earlier builds measured of kernels into `config`; TensorRT ignores it if it is another card's."""
    path = engine_cache() / f"{trt.__version__}-{_KEPT_TIMINGS}"
    config.set_timing_cache(config.create_timing_cache(read_entry(path) or b""), False)
    return path


def _loaded(plan: bytes) -> Any:
    """The engine, or None: TensorRT tells its log why."""
    return _runtime().deserialize_cuda_engine(plan)


@cache
def logger() -> Any:
    """TensorRT's own log, warnings and above on its stderr: one per process by its nature."""
    return trt.Logger(trt.Logger.WARNING)


@cache
def _runtime() -> Any:
    """One per process: engines live no longer than their runtime."""
    return trt.Runtime(logger())


def profile_for(rows: int, profiles: Sequence[tuple[int, int, int]]) -> int:
    """The index of the optimisation profile that covers `rows`. Raises BackendError where none does."""
    for i, (low, _, high) in enumerate(profiles):
        if low <= rows <= high:
            return i
    raise BackendError(
        f"batch {rows} exceeds the engine's largest, {profiles[-1][2]}; raise the family's max_batch"
    )
