"""ONNX's operators as functions of torch tensors: inputs by position, attributes by name, as ONNX defines both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper
from torch import Tensor
from torch.nn import functional

from models.backends.torch_runtime.pictures import average_pool, conv, max_pool, resize

CORE, FOLLOWS, WIDE, SUMS = "core", "follows", "wide", "sums"
"""What an operator does in a narrow model: computes in the narrow type, keeps its input's, needs float32, or takes
the narrow type and gives float32 (long sums)."""


@dataclass(frozen=True, slots=True)
class Op:
    """How an operator runs: `static` are the inputs that must be constants, handed over as Python numbers."""

    run: Callable[..., Tensor]
    width: str = FOLLOWS
    static: tuple[int, ...] = ()


def torch_type(element: int) -> torch.dtype:
    """ONNX's element type -> torch's. Raises KeyError for those that torch has not."""
    if element == TensorProto.BFLOAT16:
        return torch.bfloat16
    return getattr(torch, np.dtype(helper.tensor_dtype_to_np_dtype(element)).name)


def attribute(found: onnx.AttributeProto) -> Any:
    """An attribute's value, text as str."""
    value: Any = helper.get_attribute_value(found)
    return value.decode() if isinstance(value, bytes) else value


def _gemm(  # noqa: PLR0913 - ONNX's own attributes
    a: Tensor,
    b: Tensor,
    c: Tensor | None = None,
    *,
    alpha: float = 1.0,
    beta: float = 1.0,
    transA: int = 0,
    transB: int = 0,
) -> Tensor:
    a, b = a.t() if transA else a, b.t() if transB else b
    if c is None:
        return alpha * (a @ b)
    return torch.addmm(c, a, b, beta=beta, alpha=alpha)


def _reduce(reduce: Callable[..., Tensor], *, widens: bool) -> Callable[..., Tensor]:
    """Over `axes` (an attribute in old opsets, an input in new ones), all where none are named."""

    def run(
        x: Tensor,
        axes: Sequence[int] | None = None,
        *,
        keepdims: int = 1,
        noop_with_empty_axes: int = 0,
    ) -> Tensor:
        if not axes and noop_with_empty_axes:
            return x
        over = [int(a) for a in axes] if axes else list(range(x.dim()))
        wide = {"dtype": _at_least_float(x)} if widens and x.is_floating_point() else {}
        return reduce(x, over, bool(keepdims), **wide)

    return run


def _at_least_float(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


def _global_average_pool(x: Tensor) -> Tensor:
    return x.mean(list(range(2, x.dim())), keepdim=True, dtype=_at_least_float(x))


def _batch_norm(  # noqa: PLR0913 - ONNX's own inputs
    x: Tensor,
    scale: Tensor,
    bias: Tensor,
    mean: Tensor,
    variance: Tensor,
    *,
    epsilon: float = 1e-5,
    momentum: float = 0.9,
    training_mode: int = 0,
) -> Tensor:
    del momentum
    if training_mode:
        raise ValueError("BatchNormalization in training mode is not for serving")
    return functional.batch_norm(x, mean, variance, scale, bias, eps=epsilon)


def _reshape(x: Tensor, shape: Sequence[int], *, allowzero: int = 0) -> Tensor:
    return x.reshape(
        [x.shape[i] if n == 0 and not allowzero else int(n) for i, n in enumerate(shape)]
    )


def _flatten(x: Tensor, *, axis: int = 1) -> Tensor:
    return x.flatten(axis) if axis == 1 else x.reshape(int(np.prod(x.shape[:axis])), -1)


def _transpose(x: Tensor, *, perm: Sequence[int] = ()) -> Tensor:
    return x.permute(list(perm) or list(range(x.dim()))[::-1])


def _squeeze(x: Tensor, axes: Sequence[int] | None = None) -> Tensor:
    return x.squeeze(tuple(int(a) for a in axes)) if axes else x.squeeze()


def _unsqueeze(x: Tensor, axes: Sequence[int]) -> Tensor:
    rank = x.dim() + len(axes)
    for axis in sorted(int(a) % rank for a in axes):
        x = x.unsqueeze(axis)
    return x


Bound = float | list[float] | None


def _clip(x: Tensor, low: Bound = None, high: Bound = None) -> Tensor:
    """Bounds are scalars; some exporters write them as lists of one."""
    least, most = (b[0] if isinstance(b, list) else b for b in (low, high))
    return x if least is None and most is None else x.clamp(least, most)


def _cast(x: Tensor, *, to: int, saturate: int = 1) -> Tensor:
    del saturate
    return x.to(torch_type(to))


def _divide(a: Tensor, b: Tensor) -> Tensor:
    return torch.div(a, b, rounding_mode=None if a.is_floating_point() else "trunc")


def _softmax(x: Tensor, *, axis: int = -1) -> Tensor:
    return x.softmax(axis)


def _gather(x: Tensor, indices: Tensor, *, axis: int = 0) -> Tensor:
    """Places along `axis`, counted from the end where negative; their shape takes the axis's place."""
    places = (indices % x.shape[axis]).reshape(-1)
    shape = [*x.shape[: axis % x.dim()], *indices.shape, *x.shape[axis % x.dim() + 1 :]]
    return x.index_select(axis, places).reshape(shape)


def _concat(*parts: Tensor, axis: int) -> Tensor:
    return torch.cat(parts, axis)


def _same(x: Tensor, *_unused: object, seed: int = 0) -> Tensor:
    del seed
    return x


def _leaky(x: Tensor, *, alpha: float = 0.01) -> Tensor:
    return functional.leaky_relu(x, alpha)


def _hard_sigmoid(x: Tensor, *, alpha: float = 0.2, beta: float = 0.5) -> Tensor:
    return (alpha * x + beta).clamp(0.0, 1.0)


def _gelu(x: Tensor, *, approximate: str = "none") -> Tensor:
    return functional.gelu(x, approximate=approximate)


OPS: dict[str, Op] = {
    "Conv": Op(conv, CORE),
    "Gemm": Op(_gemm, CORE),
    "MatMul": Op(torch.matmul, CORE),
    "GlobalAveragePool": Op(_global_average_pool, SUMS),
    "ReduceMean": Op(_reduce(torch.mean, widens=True), SUMS, (1,)),
    "ReduceSum": Op(_reduce(torch.sum, widens=True), SUMS, (1,)),
    "ReduceMax": Op(_reduce(torch.amax, widens=False), FOLLOWS, (1,)),
    "ReduceMin": Op(_reduce(torch.amin, widens=False), FOLLOWS, (1,)),
    "Resize": Op(resize, WIDE, (1, 2, 3)),
    "Softmax": Op(_softmax, WIDE),
    "BatchNormalization": Op(_batch_norm, WIDE),
    "Cast": Op(_cast, WIDE),
    "Pow": Op(torch.pow, WIDE),
    "Exp": Op(torch.exp, WIDE),
    "Log": Op(torch.log, WIDE),
    "Sqrt": Op(torch.sqrt, WIDE),
    "Erf": Op(torch.erf, WIDE),
    "Clip": Op(_clip, FOLLOWS, (1, 2)),
    "Relu": Op(torch.relu),
    "LeakyRelu": Op(_leaky),
    "Sigmoid": Op(torch.sigmoid),
    "HardSigmoid": Op(_hard_sigmoid),
    "HardSwish": Op(functional.hardswish),
    "Tanh": Op(torch.tanh),
    "Gelu": Op(_gelu),
    "Neg": Op(torch.neg),
    "Abs": Op(torch.abs),
    "Add": Op(torch.add),
    "Sub": Op(torch.sub),
    "Mul": Op(torch.mul),
    "Div": Op(_divide),
    "MaxPool": Op(max_pool),
    "AveragePool": Op(average_pool),
    "Concat": Op(_concat),
    "Gather": Op(_gather),
    "Flatten": Op(_flatten),
    "Reshape": Op(_reshape, FOLLOWS, (1,)),
    "Transpose": Op(_transpose),
    "Squeeze": Op(_squeeze, FOLLOWS, (1,)),
    "Unsqueeze": Op(_unsqueeze, FOLLOWS, (1,)),
    "Identity": Op(_same),
    "Dropout": Op(_same),
}
