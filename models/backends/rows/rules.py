"""What each ONNX operator does to the rows of a batch: where they are in what it gives, if it keeps them apart. Pure.

An operator that is not here is not known to.
"""

from collections.abc import Callable, Mapping, Sequence

from models.backends.base import operators
from models.backends.rows.state import Rows, Step, Unproven

Rule = Callable[[Step], Sequence[Rows] | Rows]
"""Where rows are in its outputs: in each, or in all at the same place. Raises Unproven."""

ENTRY_BY_ENTRY = operators("""
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr
    BitwiseXor Cast Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual
    HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod
    Mul Neg Not Or Pow PRelu Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus
    Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor
""")
_BY_PICTURE = operators("""
    AveragePool BatchNormalization Conv ConvInteger ConvTranspose DepthToSpace GlobalAveragePool
    GlobalLpPool GlobalMaxPool GroupNormalization InstanceNormalization LpPool LRN QLinearConv
    SpaceToDepth FusedConv NhwcConv NhwcFusedConv QLinearAveragePool QLinearGlobalAveragePool
""")
"""They take a batch of pictures, rows first; what else they take is learnt."""
_BY_TABLE = operators("""
    ArrayFeatureExtractor Imputer LinearClassifier LinearRegressor Normalizer Scaler SVMClassifier
    SVMRegressor TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor
""")
"""Of ai.onnx.ml: a table, rows first."""
_FUSED = operators("""
    Attention BiasAdd BiasGelu BiasSplitGelu EmbedLayerNormalization FastGelu GroupNorm
    GroupQueryAttention MatMulNBits MultiHeadAttention QAttention QEmbedLayerNormalization
    QLinearAdd QLinearLeakyRelu QLinearMul QLinearSigmoid QOrderedAttention QuickGelu
    RotaryEmbedding SimplifiedLayerNormalization SkipLayerNormalization
    SkipSimplifiedLayerNormalization
""")
"""Of ONNX Runtime: rows first in all that hold any."""


def rule_of(operator: str) -> Rule | None:
    """What this operator does; None where that is not known."""
    if operator.startswith("Reduce"):
        return _reduce
    return _RULES.get(operator)


def _entries(step: Step) -> Rows:
    return step.broadcast()


def _first_of_many(least_rank: int) -> Callable[[Step], Rows]:
    def rule(step: Step) -> Rows:
        rows = step.first
        if rows.axis or rows.rank < least_rank:
            raise Unproven(mixes=True)
        if step.given.get("training_mode"):
            raise Unproven(mixes=True)
        return rows

    return rule


def _leading(step: Step) -> Sequence[Rows]:
    """Of their outputs only the first is looked at."""
    rows = [one for one in step.content.values() if one.axis == 0 and one.are_bare]
    if len(rows) != len(step.content):
        raise Unproven
    return rows[:1]


def _pool(step: Step) -> Sequence[Rows]:
    """Its second output, where the largest are, counts from the batch's beginning."""
    return [_first_of_many(2)(step)]


def _table(step: Step) -> Rows:
    rows = step.first
    if rows.axis or rows.rank != 2:
        raise Unproven
    return rows


def _classes(step: Step) -> Sequence[Rows]:
    rows = _table(step)
    return rows.moved(0, 1), rows


def _matmul(step: Step) -> Rows:
    left, right = step.content.get(0), step.content.get(1)
    if step.given.get("transA") or step.given.get("transBatchA") or step.given.get("transBatchB"):
        raise Unproven
    if step.given.get("transB") and left is None:
        raise Unproven
    if left is not None and right is not None:
        return _product_of_rows(left, right)
    if left is not None:
        return _product(step, left, 1, left.rank - 1)
    assert right is not None
    return _product(step, right, 0, max(0, right.rank - 2))


def _product(step: Step, rows: Rows, other: int, contracted: int) -> Rows:
    """Of one side that holds rows and one that holds none."""
    if rows.axis == contracted:
        raise Unproven(mixes=True)
    dims = step.state.dims.get(step.input(other))
    if dims is None or rows.rank < 2 or step.input(other) in step.state.counted:
        raise Unproven
    rank = max(rows.rank, len(dims))
    if len(dims) == 1:
        return rows.moved(rows.axis - (rows.axis > contracted), rows.rank - 1)
    axis = rows.axis + rank - rows.rank
    if axis < rank - 2:
        step.check_plain([step.input(other)], rank, axis)
    return rows.moved(axis, rank)


def _product_of_rows(left: Rows, right: Rows) -> Rows:
    rank = max(left.rank, right.rank)
    places = {one.moved(one.axis + rank - one.rank, rank) for one in (left, right)}
    rows = next(iter(places))
    if len(places) != 1 or min(left.rank, right.rank) < 3 or rows.axis >= rank - 2:
        raise Unproven(mixes=True)
    return rows


def _gemm(step: Step) -> Rows:
    rows = step.content.get(0)
    if rows is None or 1 in step.content:
        raise Unproven
    if rows.axis != (1 if step.given.get("transA") else 0):
        raise Unproven(mixes=True)
    found = rows.moved(0, 2)
    added = step.content.get(2)
    if added is not None and added != found:
        raise Unproven
    if added is None:
        step.check_plain([step.input(2)], 2, 0)
    return found


def _einsum(step: Step) -> Rows:
    equation = step.given["equation"].decode().replace(" ", "")
    terms, arrow, result = equation.partition("->")
    if not arrow or "." in equation:
        raise Unproven
    letters = terms.split(",")
    found = {(letters[i][rows.axis], rows.moved(0, 1)) for i, rows in step.content.items()}
    plain = [term for i, term in enumerate(letters) if i not in step.content]
    letter, rows = next(iter(found))
    if len(found) != 1 or letter not in result or any(letter in term for term in plain):
        raise Unproven(mixes=True)
    if any(letters[i].count(letter) != 1 for i in step.content):
        raise Unproven(mixes=True)
    return rows.moved(result.index(letter), len(result))


def _along(default: int) -> Callable[[Step], Rows]:
    """Of operators that run along one axis."""

    def rule(step: Step) -> Rows:
        rows = step.first
        if step.axis(default, rows.rank) == rows.axis:
            raise Unproven(mixes=True)
        return rows

    return rule


def _softmax(step: Step) -> Rows:
    rows = step.first
    if step.state.opset >= 13:
        return _along(-1)(step)
    if step.axis(1, rows.rank) <= rows.axis:
        raise Unproven(mixes=True)
    return rows


def _to_the_end(default: int) -> Rule:
    """Of operators that run along all axes from one on."""

    def rule(step: Step) -> Rows:
        rows = step.first
        if step.axis(default, rows.rank) <= rows.axis:
            raise Unproven(mixes=True)
        return rows

    return rule


def _quantised(step: Step) -> Rows:
    rows = step.first
    scale = step.state.dims.get(step.input(1))
    if scale is None or (len(scale) and step.axis(1, rows.rank) == rows.axis and scale[0] != 1):
        raise Unproven
    return rows


def _reduce(step: Step) -> Rows:
    rows = step.first
    axes = step.numbers(1, "axes")
    if not axes:
        if step.given.get("noop_with_empty_axes"):
            return rows
        raise Unproven(mixes=True)
    return _without(rows, axes, keep=bool(step.given.get("keepdims", 1)))


def _arg(step: Step) -> Rows:
    rows = step.first
    return _without(rows, [step.axis(0, rows.rank)], keep=bool(step.given.get("keepdims", 1)))


def _without(rows: Rows, axes: Sequence[int], *, keep: bool) -> Rows:
    gone = {axis % rows.rank for axis in axes}
    if rows.axis in gone:
        raise Unproven(mixes=True)
    if keep:
        return rows
    return rows.moved(rows.axis - sum(axis < rows.axis for axis in gone), rows.rank - len(gone))


def _normalised(step: Step) -> Rows:
    rows = step.first
    return _without(rows, step.given.get("axes", [0, 2, 3]), keep=True)


def _cumsum(step: Step) -> Rows:
    rows = step.first
    axes = step.numbers(1)
    if axes is None:
        raise Unproven
    return _without(rows, axes, keep=True)


def _concat(step: Step) -> Rows:
    rows = step.together()
    if step.axis(0, rows.rank) == rows.axis:
        raise Unproven(mixes=True)
    step.check_alike(rows)
    return rows


def _slice(step: Step) -> Rows:
    rows = step.first
    starts, ends = step.numbers(1, "starts"), step.numbers(2, "ends")
    axes = step.numbers(3, "axes")
    steps = step.numbers(4) if len(step.node.input) > 4 else None
    if starts is None or ends is None:
        raise Unproven
    axes = list(range(len(starts))) if axes is None else axes
    for start, end, axis, pace in zip(starts, ends, axes, steps or [1] * len(starts), strict=True):
        if axis % rows.rank == rows.axis and (start or pace != 1 or end < (1 << 31) - 1):
            raise Unproven(mixes=True)
    return rows


def _gather(step: Step) -> Rows:
    data, indices = step.content.get(0), step.content.get(1)
    if indices is not None and data is not None:
        raise Unproven(mixes=True)
    if indices is not None:
        rank = len(step.plain_dims(0))
        return indices.moved(step.axis(0, rank) + indices.axis, rank - 1 + indices.rank)
    assert data is not None
    axis = step.axis(0, data.rank)
    if axis == data.axis:
        raise Unproven(mixes=True)
    rank = len(step.plain_dims(1))
    return data.moved(data.axis + (rank - 1) * (data.axis > axis), data.rank - 1 + rank)


def _elements(default: int) -> Rule:
    """GatherElements and ScatterElements: all that they take has as many axes."""

    def rule(step: Step) -> Rows:
        rows = step.together()
        if step.axis(default, rows.rank) == rows.axis:
            raise Unproven(mixes=True)
        step.check_alike(rows)
        return rows

    return rule


def _gather_nd(step: Step) -> Rows:
    data, indices = step.content.get(0), step.content.get(1)
    if data is None and indices is not None and not step.given.get("batch_dims"):
        shape, widths = step.plain_dims(0), step.state.dims.get(step.input(1))
        width = widths[-1] if widths else None
        if width is None or indices.axis == indices.rank - 1:
            raise Unproven
        return indices.moved(indices.axis, indices.rank - 1 + len(shape) - width)
    raise Unproven(mixes=data is not None)


def _one_hot(step: Step) -> Rows:
    rows = step.first
    axis = int(step.given.get("axis", -1)) % (rows.rank + 1)
    return rows.moved(rows.axis + (axis <= rows.axis), rows.rank + 1)


def _transpose(step: Step) -> Rows:
    rows = step.first
    order = list(step.given.get("perm", range(rows.rank)[::-1]))
    if len(order) != rows.rank:
        raise Unproven
    return rows.moved(order.index(rows.axis), rows.rank)


def _squeeze(step: Step) -> Rows:
    rows = step.first
    axes = step.numbers(1, "axes")
    if axes is None:
        raise Unproven(mixes=True)  # a batch of one row loses its axis
    return _without(rows, axes, keep=False)


def _unsqueeze(step: Step) -> Rows:
    rows = step.first
    axes = step.numbers(1, "axes")
    if axes is None:
        raise Unproven
    rank = rows.rank + len(axes)
    new = {axis % rank for axis in axes}
    kept = [axis for axis in range(rank) if axis not in new]
    return rows.moved(kept[rows.axis], rank)


def _reshape(step: Step) -> Rows:
    return step.reshaped(step.first)


def _expand(step: Step) -> Rows:
    rows = step.first
    dims = step.state.dims.get(step.node.output[0])
    if dims is None:
        raise Unproven
    axis = rows.axis + len(dims) - rows.rank
    if dims[axis] != rows.length:
        raise Unproven(mixes=True)
    return rows.moved(axis, len(dims))


def _tile(step: Step) -> Rows:
    rows = step.first
    repeats = step.numbers(1)
    if repeats is None or len(repeats) != rows.rank or repeats[rows.axis] != 1:
        raise Unproven
    return rows


def _pad(step: Step) -> Rows:
    rows = step.first
    pads, axes = step.numbers(1, "pads"), step.numbers(3)
    if pads is None:
        raise Unproven
    axes = list(range(rows.rank)) if axes is None else [axis % rows.rank for axis in axes]
    half = len(pads) // 2
    padded = {
        axis
        for axis, before, after in zip(axes, pads[:half], pads[half:], strict=True)
        if before or after
    }
    if rows.axis in padded:
        raise Unproven(mixes=True)
    return rows


def _resize(step: Step) -> Rows:
    rows = step.first
    scales = step.given.get("scales")
    for name in map(step.input, (2, 1)):
        scales = step.state.constants.get(name) if scales is None else scales
    if scales is not None and len(scales) == rows.rank:
        if scales[rows.axis] != 1:
            raise Unproven(mixes=True)
        return rows
    axes, dims = step.given.get("axes"), step.state.dims.get(step.node.output[0])
    by_axes = axes is not None and rows.axis not in {axis % rows.rank for axis in axes}
    if by_axes or (dims and dims[rows.axis] == rows.length):
        return rows
    raise Unproven


def _recurrent(step: Step) -> Sequence[Rows]:
    rows = step.first
    layout = bool(step.given.get("layout"))
    if rows.rank != 3 or rows.axis != (0 if layout else 1):
        raise Unproven(mixes=True)
    step.check_plain([step.input(i) for i in (5, 6)], 3, 0 if layout else 1)
    if step.input(4):
        raise Unproven
    last = rows.moved(0 if layout else 1, 3)
    return rows.moved(0 if layout else 2, 4), last, last


def _grid(step: Step) -> Rows:
    rows = step.together()
    if rows.axis or len(step.content) != 2:
        raise Unproven
    return rows


def _quantised_matmul(step: Step) -> Rows:
    rows = step.first
    return _product(step, rows, 3, rows.rank - 1)


def _triangle(step: Step) -> Rows:
    rows = step.first
    if rows.axis >= rows.rank - 2:
        raise Unproven(mixes=True)
    return rows


def _one_of(step: Step) -> Rows:
    if step.input(1) in step.state.counted:
        raise Unproven
    return step.first


def _joined(step: Step) -> Rows:
    rows = step.first
    if step.given.get("new_axis"):
        axis = int(step.given["axis"]) % (rows.rank + 1)
        return rows.moved(rows.axis + (axis <= rows.axis), rows.rank + 1)
    return _without(rows, [step.given["axis"]], keep=True)


def _cut(step: Step) -> Rows:
    rows = step.first
    keep = bool(step.given.get("keepdims", 1)) or bool(step.input(1))
    return _without(rows, [step.axis(0, rows.rank)], keep=keep)


def _mixes(_: Step) -> Rows:
    raise Unproven(mixes=True)


_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(ENTRY_BY_ENTRY, _entries),
    **dict.fromkeys(_BY_PICTURE, _first_of_many(2)),
    **dict.fromkeys(_BY_TABLE, _table),
    **dict.fromkeys(_FUSED, _leading),
    **dict.fromkeys(("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"), _classes),
    **dict.fromkeys(
        ("Binarizer", "LabelEncoder", "CategoryMapper", "Dropout"), lambda step: step.first
    ),
    **dict.fromkeys(("MatMul", "MatMulInteger", "FusedMatMul"), _matmul),
    **dict.fromkeys(("Gemm", "FusedGemm"), _gemm),
    **dict.fromkeys(("Hardmax", "LogSoftmax", "Softmax"), _softmax),
    **dict.fromkeys(("LayerNormalization", "RMSNormalization"), _to_the_end(-1)),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), _quantised),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("GatherElements", "ScatterElements", "Scatter"), _elements(0)),
    **dict.fromkeys(("DynamicQuantizeLinear", "DynamicQuantizeMatMul"), _mixes),
    "LpNormalization": _along(-1),
    "TopK": _along(-1),
    "Split": _along(0),
    "MeanVarianceNormalization": _normalised,
    "CumSum": _cumsum,
    "Concat": _concat,
    "Einsum": _einsum,
    "Expand": _expand,
    "Flatten": _reshape,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "GridSample": _grid,
    "OneHot": _one_hot,
    "Pad": _pad,
    "QLinearMatMul": _quantised_matmul,
    "Reshape": _reshape,
    "SequenceAt": _one_of,
    "SequenceConstruct": Step.together,
    "ConcatFromSequence": _joined,
    "SplitToSequence": _cut,
    "Slice": _slice,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "MaxPool": _pool,
    "NhwcMaxPool": _pool,
    "Trilu": _triangle,
    "Unsqueeze": _unsqueeze,
}
