"""What each ONNX operator does to the rows of a batch: where they are in what it gives, if it keeps them apart. Pure.

An operator that is not here is not known to. Many are in tables of their own, by what they do: `products`, `axes` and
`places`; those of ONNX Runtime are in `fused`.
"""

from collections.abc import Mapping, Sequence

from models.backends.base import operators
from models.backends.rows.axes import ALONG_AXES
from models.backends.rows.places import PLACES
from models.backends.rows.products import PRODUCTS
from models.backends.rows.state import Rows, Rule, Step, Unproven

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


def _one_hot(step: Step) -> Rows:
    rows = step.first
    return rows.moved(rows.axis, rows.rank + 1)


def _classes(step: Step) -> Sequence[Rows]:
    rows = _table(step)
    return rows.moved(0, 1), rows


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


def _one_of(step: Step) -> Rows:
    return step.first


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
    **PRODUCTS,
    **ALONG_AXES,
    **PLACES,
    **dict.fromkeys(ENTRY_BY_ENTRY, _entries),
    **dict.fromkeys(_BY_PICTURE, first_of_many),
    **dict.fromkeys(("GRU", "LSTM", "RNN"), _recurrent),
    "Attention": _attention,
    "BatchNormalization": _batch_normalised,
    "Clip": _clipped,
    "Dropout": _dropped_out,
    "DynamicQuantizeLinear": mixes,
    "GridSample": _grid,
    "MaxPool": pool,
    "RotaryEmbedding": _rotated,
    "SequenceAt": _one_of,
}
"""What ONNX's own operators do, and what runtimes define beside them."""

LEARNT: Mapping[str, Rule] = {
    **dict.fromkeys(_BY_TABLE, _table),
    **dict.fromkeys(("LinearClassifier", "SVMClassifier", "TreeEnsembleClassifier"), _classes),
    **dict.fromkeys(("Binarizer", "CategoryMapper", "LabelEncoder"), _one_of),
    "OneHotEncoder": _one_hot,
}
"""Those of ai.onnx.ml."""
