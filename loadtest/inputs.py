"""Requests made ready before the run: a pool of serialised bytes, so that sending one costs no
building."""

import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from loadtest.errors import BadOption, BadTarget
from loadtest.pictures import Album, crop
from loadtest.target import Input
from wire import inference_pb2 as pb

POOL = 32
"""How many different requests a run rotates through: enough that no cache can answer for the
model."""

Samples = Mapping[str, NDArray[np.generic]]
"""Input -> rows to send."""

BYTES = "BYTES"
"""Of rows that are given as texts or pictures."""
_DTYPES = {
    "BOOL": "bool",
    **{
        f"{kind}{bits}": f"{kind.lower()}{bits}"
        for kind in ("UINT", "INT")
        for bits in (8, 16, 32, 64)
    },
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
}


@dataclass(frozen=True, slots=True)
class Demand:
    """What each request asks for. `slo_s` None: the family's default holds and every answer
    counts as in time."""

    slo_s: float | None = None
    min_accuracy: float | None = None
    slo_class: str | None = None
    variant: str | None = None
    rows: int = 1


def is_picture(spec: Input) -> bool:
    """Whether this input takes pictures: UINT8 [-1, H, W, 3]."""
    return spec.datatype == "UINT8" and len(spec.shape) == 4 and spec.shape[3] == 3


def read_samples(path: Path) -> Samples:
    """Rows to send: an array for each input, under its name. Raises BadOption."""
    try:
        with np.load(path, allow_pickle=False) as file:
            found = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise BadOption(
            f"--samples {path} cannot be read: {error}; write it with numpy.savez"
        ) from error
    if not found or not all(a.ndim and len(a) for a in found.values()):
        raise BadOption(f"--samples {path} holds no rows")
    return found


def build_pool(  # noqa: PLR0913, PLR0917 - what is sent, and what it is made of
    model: str,
    inputs: Sequence[Input],
    demand: Demand,
    album: Album,
    seed: int,
    samples: Samples | None = None,
) -> list[bytes]:
    """POOL different serialised ModelInferRequests, of the `samples` where there are any.

    Raises BadTarget where the signature cannot be filled, BadOption where the samples do not fit it."""
    rng, inputs = np.random.default_rng(seed), _chosen(inputs, samples or {})
    if samples is not None:
        rows = [[(s, _sampled(s, demand.rows, samples, i)) for s in inputs] for i in range(POOL)]
        return [_request(model, tensors, demand) for tensors in rows]
    sets = (
        [(spec, _tensor(spec, demand.rows, album, index, rng)) for spec in inputs]
        for index in range(POOL)
    )
    return [_request(model, tensors, demand) for tensors in sets]


def _chosen(inputs: Sequence[Input], samples: Samples) -> Sequence[Input]:
    """Of a model that takes rows as bytes in place of its other inputs: those where there are
    samples of them, else the others."""
    coded = [spec for spec in inputs if spec.datatype == BYTES]
    given = [spec for spec in coded if spec.name in samples]
    return given[:1] or [spec for spec in inputs if spec not in coded] or coded


def _request(
    model: str,
    tensors: Sequence[tuple[Input, NDArray[np.generic]]],
    demand: Demand,
) -> bytes:
    request = pb.ModelInferRequest(model_name=model)
    _set_parameters(request, demand)
    for spec, tensor in tensors:
        request.inputs.add(name=spec.name, datatype=spec.datatype, shape=tensor.shape)
        request.raw_input_contents.append(
            _elements(tensor) if spec.datatype == BYTES else tensor.tobytes()
        )
    return request.SerializeToString()


def _elements(texts: NDArray[np.generic]) -> bytes:
    """Each as the protocol has BYTES: its length in four bytes, then its UTF-8."""
    rows = [str(one).encode() for one in texts.ravel()]
    return b"".join(len(row).to_bytes(4, "little") + row for row in rows)


def _set_parameters(request: pb.ModelInferRequest, demand: Demand) -> None:
    parameters = request.parameters
    if demand.slo_s is not None:
        parameters["slo_ms"].double_param = demand.slo_s * 1e3
    if demand.min_accuracy is not None:
        parameters["min_accuracy"].double_param = demand.min_accuracy
    if demand.slo_class is not None:
        parameters["slo_class"].string_param = demand.slo_class
    if demand.variant is not None:
        parameters["variant"].string_param = demand.variant


def _tensor(
    spec: Input, rows: int, album: Album, index: int, rng: np.random.Generator
) -> NDArray[np.generic]:
    shape = _shape(spec, rows)
    if is_picture(spec):
        size = (shape[1], shape[2])
        return np.stack([crop(album, index * rows + row, size, rng) for row in range(rows)])
    dtype = np.dtype(_DTYPES[spec.datatype])
    if dtype.kind == "f":
        return rng.standard_normal(shape).astype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(dtype)
    return rng.integers(0, min(np.iinfo(dtype).max, 255), shape, endpoint=True).astype(dtype)


def _sampled(spec: Input, rows: int, samples: Samples, index: int) -> NDArray[np.generic]:
    """The next rows of the samples, from the first again after the last."""
    array, dtype = samples.get(spec.name), _DTYPES.get(spec.datatype)
    if array is None:
        raise BadOption(
            f"--samples has no array for input {spec.name!r}; it has {', '.join(samples)}"
        )
    if spec.datatype == BYTES:
        if array.dtype.kind != "U" or array.ndim != 1:
            raise BadOption(
                f"--samples: array {spec.name!r} is {array.dtype} {list(array.shape)}, the model takes "
                "a text a row: numpy.array([...]) of str"
            )
        return array[np.arange(index * rows, (index + 1) * rows) % len(array)]
    dims = spec.shape[1:]
    fits = array.ndim == len(spec.shape) and all(
        want in (-1, got) for want, got in zip(dims, array.shape[1:], strict=True)
    )
    if array.dtype.name != dtype or not fits:
        raise BadOption(
            f"--samples: array {spec.name!r} is {array.dtype} {list(array.shape)}, the model takes "
            f"{spec.datatype} {list(spec.shape)}"
        )
    return array[np.arange(index * rows, (index + 1) * rows) % len(array)]


def _shape(spec: Input, rows: int) -> tuple[int, ...]:
    if spec.datatype not in _DTYPES:
        raise BadTarget(
            f"input {spec.name!r} has datatype {spec.datatype}, which cannot be made up"
        )
    batched = bool(spec.shape) and spec.shape[0] == -1
    if not batched and rows > 1:
        raise BadOption(f"--rows {rows}: input {spec.name!r} {list(spec.shape)} takes no batch")
    shape = ((rows, *spec.shape[1:])) if batched else spec.shape
    if any(size < 1 for size in shape):
        raise BadTarget(
            f"input {spec.name!r} has free dimensions beside the batch: {list(spec.shape)}; "
            "send rows of your own with --samples FILE.npz"
        )
    return shape
