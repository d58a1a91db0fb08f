"""What ONNX Runtime's own operators do to the rows of a batch, as `rules` tells it of ONNX's. Pure.

Most are several of ONNX's in one. In another form than the one that exporters write, they are not known to keep rows
apart.
"""

from collections.abc import Collection, Mapping, Sequence

from models.backends.rows.axes import normalised_to_the_end, quantised
from models.backends.rows.products import gemm, matmul, product_with
from models.backends.rows.rules import first_of_many, mixes, pool
from models.backends.rows.state import Rows, Rule, Step, Unproven

_HIDDEN = (
    3,
)  # the rank of what lies between the parts of a transformer: rows, positions, features


def _entry_by_entry(step: Step) -> Rows:
    return step.first


def _biased(step: Step) -> Rows:
    """The second input is added along the last axis."""
    rows = step.first
    if step.input(1):
        if rows.axis == rows.rank - 1:
            raise Unproven
        step.check_few(1)
    return rows


def _scaled(step: Step) -> Rows:
    """All but the first are one scale or zero point each."""
    step.check_single(*range(1, len(step.node.input)))
    return step.first


def _pair(step: Step) -> Rows:
    """Two, each with its scale and zero point; they are aligned from the back."""
    step.check_single(1, 2, 4, 5, 6, 7)
    return step.broadcast((0, 3))


def _without_sum(step: Step) -> Rows:
    """A convolution to which nothing else is added."""
    step.check_absent(3)
    return first_of_many(step)


def _with_skip(step: Step) -> Sequence[Rows | None]:
    """Normalised over the last axis after another was added to it; the fourth output is their sum."""
    rows, skip = step.content.get(0), step.content.get(1)
    if rows is None or rows.axis >= rows.rank - 1 or skip not in (None, rows):
        raise Unproven
    step.check_plain([step.input(1)], rows)
    step.check_learnt(*range(2, len(step.node.input)))
    return [rows, None, None, rows]


def _bias_added(step: Step) -> Rows:
    rows = step.by_rows((0, 2), ranks=_HIDDEN)
    step.check_few(1)
    return rows


def _embedded(step: Step) -> Sequence[Rows]:
    """Words by rows and positions, and segments; places may be given too, for each row or for all."""
    rows = step.by_rows((0,), ranks=(2,), optional=(1, 7))
    step.check_learnt(*(i for i in range(2, len(step.node.input)) if i not in (7, 8)))
    _check_places(step, 8, rows)
    return [rows.moved(0, 3)]


def _embedded_quantised(step: Step) -> Sequence[Rows]:
    rows = step.by_rows((0,), ranks=(2,), optional=(1, 7))
    step.check_learnt(*(i for i in range(2, len(step.node.input)) if i != 7))
    return [rows.moved(0, 3)]


def _check_places(step: Step, index: int, rows: Rows) -> None:
    if step.content.get(index, rows) != rows:
        raise Unproven
    step.check_plain([step.input(index)], rows)


def _attention(step: Step) -> Sequence[Rows]:
    rows = step.by_rows((0,), ranks=_HIDDEN, optional=(3,))
    _check_added(step, 5)
    _check_rest(step, (0, 3, 5), learnt=(1, 2))
    return [rows]


def _attention_quantised(step: Step) -> Sequence[Rows]:
    rows = step.by_rows((0,), ranks=_HIDDEN, optional=(5,))
    _check_rest(step, (0, 5), learnt=(1, 2, 3, 4, 6, 7))
    return [rows]


def _attention_of_heads(step: Step) -> Sequence[Rows]:
    """Keys and values may be packed into the queries, or be those of another sequence."""
    rows = step.by_rows((0,), ranks=(3, 5), optional=(1, 2, 4, 6, 7))
    _check_added(step, 5)
    _check_rest(step, (0, 1, 2, 4, 5, 6, 7), learnt=(3,))
    return [rows.moved(0, 3)]


def _attention_of_groups(step: Step) -> Sequence[Rows]:
    """`seqlens_k` is for each row, how long the longest is for all."""
    rows = step.by_rows((0, 5), ranks=_HIDDEN, optional=(1, 2, 3, 4, 9))
    step.check_single(6)
    _check_added(step, 10)
    _check_rest(step, (0, 1, 2, 3, 4, 5, 9, 10), learnt=(6, 7, 8))
    return [rows]


def _check_added(step: Step, index: int) -> None:
    """Raises Unproven unless what is added to the scores is so by rows, or to all of them alike."""
    scores = Rows(0, 4)
    if step.content.get(index, scores) != scores:
        raise Unproven
    if step.input(index) and index not in step.content:
        dims = step.plain_dims(index)
        if len(dims) != scores.rank or dims[0] != 1:
            raise Unproven


def _check_rest(step: Step, known: Collection[int], learnt: Collection[int]) -> None:
    """Raises Unproven where one of the others is given that is not learnt, or a learnt one has to do with rows."""
    rest = [i for i in range(len(step.node.input)) if i not in known and i not in learnt]
    step.check_absent(*rest)
    step.check_learnt(*learnt)


def _rotated(step: Step) -> Rows:
    """Positions are given for each row, or the first alone."""
    rows = step.by_rows((0,), ranks=(3, 4))
    if step.given.get("is_packed_batching"):
        raise Unproven
    if 1 in step.content:
        step.by_rows((1,), ranks=(2,))
    else:
        step.check_single(1)
    step.check_learnt(2, 3)
    return rows


def _by_few_bits(step: Step) -> Rows:
    rows = step.first
    if rows.axis == rows.rank - 1:
        raise Unproven(mixes=True)
    return rows


def _to_floats(step: Step) -> Rows:
    """A product of whole numbers, each matrix with its scale and zero point."""
    rows = step.first
    step.check_single(2, 4)
    for index in (3, 5, 6):
        step.check_few(index)
    return product_with(step, rows, 1, rows.rank - 1)


FUSED: Mapping[str, Rule] = {
    **dict.fromkeys(("Gelu", "QuickGelu"), _entry_by_entry),
    **dict.fromkeys(("BiasGelu", "BiasSplitGelu", "FastGelu"), _biased),
    **dict.fromkeys(("QLinearLeakyRelu", "QLinearSigmoid"), _scaled),
    **dict.fromkeys(("QLinearAdd", "QLinearMul"), _pair),
    **dict.fromkeys(("FusedConv", "NhwcFusedConv"), _without_sum),
    **dict.fromkeys(
        ("GroupNorm", "NhwcConv", "QLinearAveragePool", "QLinearConv", "QLinearGlobalAveragePool"),
        first_of_many,
    ),
    **dict.fromkeys(("SkipLayerNormalization", "SkipSimplifiedLayerNormalization"), _with_skip),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), quantised),
    "Attention": _attention,
    "BiasAdd": _bias_added,
    "DynamicQuantizeMatMul": mixes,
    "EmbedLayerNormalization": _embedded,
    "FusedGemm": gemm,
    "FusedMatMul": matmul,
    "GroupQueryAttention": _attention_of_groups,
    "MatMulIntegerToFloat": _to_floats,
    "MatMulNBits": _by_few_bits,
    "MultiHeadAttention": _attention_of_heads,
    "NhwcMaxPool": pool,
    "QAttention": _attention_quantised,
    "QEmbedLayerNormalization": _embedded_quantised,
    "RotaryEmbedding": _rotated,
    "SimplifiedLayerNormalization": normalised_to_the_end,
}
"""Those of com.microsoft."""

BLOCKED: Mapping[str, Rule] = {
    **dict.fromkeys(("AveragePool", "GlobalAveragePool", "GlobalMaxPool"), first_of_many),
    "Conv": _without_sum,
    "MaxPool": pool,
}
"""Those of com.microsoft.nchwc, on pictures whose channels are in blocks."""
