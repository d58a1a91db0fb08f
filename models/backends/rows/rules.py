"""What each ONNX operator does to the rows of a batch: where they are in what it gives, if it keeps them apart. Pure.

An operator that is not here is not known to. Those of ONNX Runtime are in `fused`.
"""

from collections.abc import Callable, Mapping, Sequence

from models.backends.base import operators
from models.backends.rows.state import Rows, Step, Unproven

Rule = Callable[[Step], Sequence[Rows | None] | Rows]
"""Where rows are in its outputs: in each (nothing is known of None), or in all at the same place. Raises Unproven."""

ENTRY_BY_ENTRY = operators("""
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr
    BitwiseXor Cast Ceil Celu Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual
    HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish
    Mod Mul Neg Not Or Pow PRelu Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh
    Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Where Xor
""")
ALIKE = ENTRY_BY_ENTRY | operators("""
    Concat GatherElements Gemm GRU LSTM QLinearAdd QLinearMul RNN Scatter ScatterElements
""")
"""Operators that take what is as long as the rows, and alike for each, beside them; their rules look at it."""
_BY_PICTURE = operators("""
    AveragePool Conv ConvInteger ConvTranspose DepthToSpace GlobalAveragePool GlobalLpPool
    GlobalMaxPool GroupNormalization InstanceNormalization LpPool LRN QLinearConv SpaceToDepth
""")
"""They take a batch of pictures, rows first; what else they take is learnt."""
_BY_TABLE = operators("""
    ArrayFeatureExtractor Imputer LinearRegressor Normalizer Scaler SVMRegressor TreeEnsemble
    TreeEnsembleRegressor
""")
"""A table, rows first."""
_REDUCTIONS = operators("""
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare
""")


def _entries(step: Step) -> Rows:
    return step.broadcast()


def _clipped(step: Step) -> Rows:
    step.check_single(1, 2)
    return step.first


def first_of_many(step: Step) -> Rows:
    """Rows first, in the first input alone. Raises Unproven."""
    rows = step.first
    if rows.axis or rows.rank < 2:
        raise Unproven(mixes=True)
    return rows


def _batch_normalised(step: Step) -> Sequence[Rows]:
    """In training it normalises by the batch, and gives more than one value."""
    if step.given.get("training_mode") or any(step.node.output[1:]):
        raise Unproven(mixes=True)
    return [first_of_many(step)]


def _dropped_out(step: Step) -> Rows:
    training = step.constant(2)
    if training is not None and training.any():
        raise Unproven
    return step.first


def pool(step: Step) -> Sequence[Rows]:
    """Its second output, where the largest are, counts from the batch's beginning. Raises Unproven."""
    return [first_of_many(step)]


def _table(step: Step) -> Rows:
    rows = step.first
    if rows.axis or rows.rank != 2:
        raise Unproven
    return rows


def _classes(step: Step) -> Sequence[Rows]:
    rows = _table(step)
    return rows.moved(0, 1), rows


def matmul(step: Step) -> Rows:
    """The product of the first two inputs. Raises Unproven."""
    left, right = step.content.get(0), step.content.get(1)
    if step.given.get("transA") or step.given.get("transBatchA") or step.given.get("transBatchB"):
        raise Unproven
    if len(step.content) > 2 or (step.given.get("transB") and left is None):
        raise Unproven
    if left is not None and right is not None:
        return _product_of_rows(left, right)
    if left is not None:
        return product_with(step, left, 1, left.rank - 1)
    assert right is not None
    return product_with(step, right, 0, max(0, right.rank - 2))


def _whole_matmul(step: Step) -> Rows:
    """Zero points of a matrix may be as many as it has rows, or columns."""
    step.check_single(2)
    step.check_few(3)
    return matmul(step)


def product_with(step: Step, rows: Rows, other: int, contracted: int) -> Rows:
    """Of one side that holds rows, which loses the axis `contracted`, and an input that holds none. Raises Unproven."""
    if rows.axis == contracted:
        raise Unproven(mixes=True)
    dims = step.plain_dims(other)
    if rows.rank < 2 or not dims:
        raise Unproven
    rank = max(rows.rank, len(dims))
    if len(dims) == 1:
        return rows.moved(rows.axis - (rows.axis > contracted), rows.rank - 1)
    axis = rows.axis + rank - rows.rank
    if axis < rank - 2:
        step.check_plain([step.input(other)], rows.moved(axis, rank))
    return rows.moved(axis, rank)


def _product_of_rows(left: Rows, right: Rows) -> Rows:
    rank = max(left.rank, right.rank)
    places = {one.moved(one.axis + rank - one.rank, rank) for one in (left, right)}
    rows = next(iter(places))
    if len(places) != 1 or min(left.rank, right.rank) < 3 or rows.axis >= rank - 2:
        raise Unproven(mixes=True)
    return rows


def gemm(step: Step) -> Rows:
    """A product, and a third input added to it. Raises Unproven."""
    rows = step.content.get(0)
    if rows is None or not step.state.is_plain(step.input(1)):
        raise Unproven
    if rows.axis != (1 if step.given.get("transA") else 0):
        raise Unproven(mixes=True)
    found = rows.moved(0, 2)
    added = step.content.get(2)
    if added is not None and added != found:
        raise Unproven
    if added is None:
        step.check_plain([step.input(2)], found)
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


def normalised_to_the_end(step: Step) -> Rows:
    """Normalised over all axes from one on, then scaled and shifted. Raises Unproven."""
    rows = step.first
    if step.axis(-1, rows.rank) <= rows.axis:
        raise Unproven(mixes=True)
    step.check_plain(step.node.input[1:], rows)
    return rows


def quantised(step: Step) -> Rows:
    """One scale and zero point, or one for each place of an axis without rows. Raises Unproven."""
    rows = step.first
    for dims in (step.plain_dims(i) for i in (1, 2) if step.input(i)):
        along_rows = step.axis(1, rows.rank) == rows.axis
        if len(dims) > 1 or (dims and dims[0] != 1 and along_rows):
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
    if step.given["axis"] % rows.rank == rows.axis:
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
    """Scales, and sizes, are in the order of `axes`."""
    rows = step.first
    if step.given.get("coordinate_transformation_mode") == b"tf_crop_and_resize":
        raise Unproven
    axes = [axis % rows.rank for axis in step.given.get("axes", range(rows.rank))]
    if rows.axis not in axes:
        return rows
    scales = _scales(step)
    if scales is not None:
        if len(scales) != len(axes):
            raise Unproven
        if scales[axes.index(rows.axis)] != 1:
            raise Unproven(mixes=True)
        return rows
    dims = step.state.dims.get(step.node.output[0])
    if not dims or dims[rows.axis] != rows.length or step.given.get("keep_aspect_ratio_policy"):
        raise Unproven
    return rows


def _scales(step: Step) -> Sequence[float] | None:
    """None where sizes are given in their place. Raises Unproven."""
    if "scales" in step.given:
        return list(step.given["scales"])
    by_place = step.node.op_type == "Resize" and step.state.opset >= 11
    found = step.constant(2 if by_place else 1)
    return None if found is None or not found.size else [float(n) for n in found.ravel()]


def _recurrent(step: Step) -> Sequence[Rows]:
    rows = step.first
    layout = bool(step.given.get("layout"))
    if rows.rank != 3 or rows.axis != (0 if layout else 1):
        raise Unproven(mixes=True)
    last = rows.moved(0 if layout else 1, 3)
    step.check_plain([step.input(i) for i in (5, 6)], last)
    if step.input(4) or not all(step.state.is_plain(step.input(i)) for i in (1, 2, 3, 7)):
        raise Unproven
    return rows.moved(0 if layout else 2, 4), last, last


def _grid(step: Step) -> Rows:
    rows = step.together()
    if rows.axis or len(step.content) != 2:
        raise Unproven
    return rows


def _quantised_matmul(step: Step) -> Rows:
    """Scales and zero points of a matrix may be as many as it has rows, or columns."""
    rows = step.first
    step.check_single(1, 2, 6, 7)
    step.check_few(4)
    step.check_few(5)
    return product_with(step, rows, 3, rows.rank - 1)


def _triangle(step: Step) -> Rows:
    rows = step.first
    if rows.axis >= rows.rank - 2:
        raise Unproven(mixes=True)
    return rows


def _one_of(step: Step) -> Rows:
    return step.first


def _in_order(step: Step) -> Rows:
    """A sequence; each of it is taken for what holds rows."""
    rows = step.together()
    if len(step.content) != len(step.node.input):
        raise Unproven
    return rows


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


def mixes(_: Step) -> Rows:
    """Of operators that look at the whole batch."""
    raise Unproven(mixes=True)


def _attention(step: Step) -> Sequence[Rows]:
    """Queries, keys, values and what came before them by rows; a mask that is aligned with the scores from the back."""
    rows = step.by_rows((0, 1, 2), ranks=(3, 4), optional=(4, 5, 6))
    mask, scores = step.content.get(3), Rows(0, 4)
    if mask is not None and mask != scores:
        raise Unproven
    step.check_plain([step.input(3)], scores)
    return [rows]


def _rotated(step: Step) -> Rows:
    """Angles are looked up by positions, or given for each row."""
    if step.input(3):
        rows = step.by_rows((0, 3), ranks=(3, 4))
        step.check_learnt(1, 2)
    else:
        rows = step.by_rows((0, 1, 2), ranks=(3, 4))
    return rows


ONNX: Mapping[str, Rule] = {
    **dict.fromkeys(ENTRY_BY_ENTRY, _entries),
    **dict.fromkeys(_BY_PICTURE, first_of_many),
    **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(("Hardmax", "LogSoftmax", "Softmax"), _softmax),
    **dict.fromkeys(
        ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"),
        normalised_to_the_end,
    ),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), quantised),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("GatherElements", "ScatterElements", "Scatter"), _elements(0)),
    **dict.fromkeys(("TopK", "LpNormalization"), _along(-1)),
    **dict.fromkeys(("Flatten", "Reshape"), _reshape),
    "Attention": _attention,
    "BatchNormalization": _batch_normalised,
    "Clip": _clipped,
    "Concat": _concat,
    "ConcatFromSequence": _joined,
    "CumSum": _cumsum,
    "Dropout": _dropped_out,
    "DynamicQuantizeLinear": mixes,
    "Einsum": _einsum,
    "Expand": _expand,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "Gemm": gemm,
    "GridSample": _grid,
    "MatMul": matmul,
    "MatMulInteger": _whole_matmul,
    "MaxPool": pool,
    "MeanVarianceNormalization": _normalised,
    "OneHot": _one_hot,
    "Pad": _pad,
    "QLinearMatMul": _quantised_matmul,
    "RotaryEmbedding": _rotated,
    "SequenceAt": _one_of,
    "SequenceConstruct": _in_order,
    "Slice": _slice,
    "Split": _along(0),
    "SplitToSequence": _cut,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Trilu": _triangle,
    "Unsqueeze": _unsqueeze,
}
"""What ONNX's own operators do, and what runtimes define beside them."""

LEARNT: Mapping[str, Rule] = {
    **dict.fromkeys(_BY_TABLE, _table),
    **dict.fromkeys(("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"), _classes),
    **dict.fromkeys(("Binarizer", "CategoryMapper", "LabelEncoder"), _one_of),
}
"""Those of ai.onnx.ml."""
