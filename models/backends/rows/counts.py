"""Whole numbers that count the rows of a batch, told for every batch from what they are in one of a telling size. Pure.

Each is a * N + b with N rows. Of what is computed from them in another way (whether there are just five rows, say)
nothing is known but for the one size.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from models.backends.rows.shapes import ROWS

Numbers = NDArray[Any]

_MOST = {"b": 2, "i": ROWS << 30, "f": ROWS * 1_000}
"""By kind of number: those beyond it are not told apart into rows and the rest, or are rounded."""


@dataclass(frozen=True, slots=True)
class Count:
    """`each` times the number of rows and `rest`, entry by entry."""

    each: Numbers
    rest: Numbers

    @staticmethod
    def read(value: Numbers) -> "Count | None":
        """What a batch of ROWS rows gave; None where that is not whole, or too large. Truths do not count rows."""
        if value.dtype.kind == "b":
            return Count.plain(value)
        plain = Count.plain(value)
        if plain is None:
            return None
        each = (plain.rest + ROWS // 2) // ROWS
        return Count(each, plain.rest - each * ROWS)

    @staticmethod
    def plain(value: Numbers) -> "Count | None":
        """What is the same in every batch; None where that is not whole, or too large."""
        most = _MOST.get(value.dtype.kind)
        if most is None or not np.all(np.abs(value.astype(float)) < most):
            return None
        whole = value.astype(np.int64)
        return Count(np.zeros_like(whole), whole) if np.array_equal(whole, value) else None

    @property
    def is_constant(self) -> bool:
        """Whether rows do not count in any of them."""
        return not self.each.any()

    @property
    def is_shape(self) -> bool:
        """Whether each may stand in a shape: a length without rows, or so many times all of them."""
        return bool(np.all((self.each == 0) | ((self.each > 0) & (self.rest == 0))))


_MOVING: Mapping[str, Sequence[int]] = {
    "Cast": (0,),
    "Ceil": (0,),
    "Floor": (0,),
    "Gather": (0,),
    "Identity": (0,),
    "Reshape": (0,),
    "Round": (0,),
    "Slice": (0,),
    "Squeeze": (0,),
    "Unsqueeze": (0,),
    "Where": (1, 2),
}
"""Operators that hand numbers on, and the inputs that these are in; Concat has them in all."""
_EXACT = {TensorProto.INT32, TensorProto.INT64, TensorProto.FLOAT, TensorProto.DOUBLE}
"""Types that hold them as they are."""


def holds(
    node: onnx.NodeProto, given: Sequence[Numbers], counted: Sequence[bool], result: Numbers
) -> bool:
    """Whether what this operator gave for ROWS rows tells what it gives for any number of them.

    `given`: its inputs in that batch; `counted`: which of them hang on the number of rows, as told by `Count.read`.
    """
    if node.op_type == "Concat":
        return Count.read(result) is not None
    if (data := _MOVING.get(node.op_type)) is not None:
        well = not any(on_rows for i, on_rows in enumerate(counted) if i not in data)
        return well and (node.op_type != "Cast" or _to(node) in _EXACT) and _reads(result)
    if node.op_type == "ReduceProd" and len(given) == 1:
        return _all_multiplied(Count.read(given[0]), result)
    rule = _COMPUTED.get(node.op_type)
    if rule is None or len(given) != 2:
        return False
    counts = [Count.read(v) if on else Count.plain(v) for v, on in zip(given, counted, strict=True)]
    left, right = counts
    return left is not None and right is not None and rule(left, right, result)


def _reads(result: Numbers) -> bool:
    return Count.read(result) is not None


def _to(node: onnx.NodeProto) -> int:
    return next((int(helper.get_attribute_value(a)) for a in node.attribute if a.name == "to"), 0)


def _is(each: Numbers, rest: Numbers, result: Numbers) -> bool:
    """Whether a result is read as what it is known to be."""
    found = Count.read(result)
    return (
        found is not None and np.array_equal(found.each, each) and np.array_equal(found.rest, rest)
    )


def _sum(left: Count, right: Count, result: Numbers) -> bool:
    return _is(left.each + right.each, left.rest + right.rest, result)


def _difference(left: Count, right: Count, result: Numbers) -> bool:
    return _is(left.each - right.each, left.rest - right.rest, result)


def _product(left: Count, right: Count, result: Numbers) -> bool:
    if np.any(left.each * right.each):
        return False
    return _is(
        left.each * right.rest + right.each * left.rest,
        left.rest * right.rest,
        result,
    )


def _all_multiplied(count: Count | None, result: Numbers) -> bool:
    """Where one of them counts rows at most, and all are multiplied."""
    if count is None or result.size != 1 or np.count_nonzero(count.each) > 1:
        return False
    each, rest = count.each.ravel(), count.rest.ravel()
    others = int(np.prod(rest[each == 0]))
    found = others * each.sum(), others * (rest[each != 0].sum() if each.any() else 1)
    return _is(np.full(result.shape, found[0]), np.full(result.shape, found[1]), result)


def _quotient(left: Count, right: Count, result: Numbers) -> bool:
    """Without a remainder, whatever the number of rows; of so many rows and so many others, where neither has more."""
    if right.is_constant:
        by, each, rest = right.rest, left.each, left.rest
    elif left.rest.any() or right.rest.any():
        return False
    else:
        by, each, rest = right.each, np.zeros_like(left.each), left.each
    if np.any(by == 0) or np.any(each % by) or np.any(rest % by):
        return False
    return _is(each // by, rest // by, result)


def _never_crosses(left: Count, right: Count, _: Numbers) -> bool:
    """Whether which of the two is larger, or that they are equal, is so with any number of rows."""
    each, rest = left.each - right.each, left.rest - right.rest
    first = each + rest  # with one row
    return bool(np.all((each == 0) | ((each > 0) & (first > 0)) | ((each < 0) & (first < 0))))


_COMPUTED: Mapping[str, Callable[[Count, Count, Numbers], bool]] = {
    "Add": _sum,
    "Sub": _difference,
    "Mul": _product,
    "Div": _quotient,
    "Equal": _never_crosses,
    "Greater": _never_crosses,
    "GreaterOrEqual": _never_crosses,
    "Less": _never_crosses,
    "LessOrEqual": _never_crosses,
}
