"""What operators along axes do to the rows of a batch: apart unless theirs is among them. A part of `rules`. Pure."""

from collections.abc import Callable, Mapping, Sequence

from models.backends.base import operators
from models.backends.rows.state import Rows, Rule, Step, Unproven

_REDUCTIONS = operators("""
    ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd
    ReduceSum ReduceSumSquare
""")


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
    return without(rows, axes, keep=bool(step.given.get("keepdims", 1)))


def _arg(step: Step) -> Rows:
    rows = step.first
    return without(rows, [step.axis(0, rows.rank)], keep=bool(step.given.get("keepdims", 1)))


def without(rows: Rows, axes: Sequence[int], *, keep: bool) -> Rows:
    """Without these axes, or with one place left of each (`keep`). Raises Unproven."""
    gone = {axis % rows.rank for axis in axes}
    if rows.axis in gone:
        raise Unproven(mixes=True)
    if keep:
        return rows
    return rows.moved(rows.axis - sum(axis < rows.axis for axis in gone), rows.rank - len(gone))


def _normalised(step: Step) -> Rows:
    rows = step.first
    return without(rows, step.given.get("axes", [0, 2, 3]), keep=True)


def _cumsum(step: Step) -> Rows:
    rows = step.first
    axes = step.numbers(1)
    if axes is None:
        raise Unproven
    return without(rows, axes, keep=True)


def _triangle(step: Step) -> Rows:
    rows = step.first
    if rows.axis >= rows.rank - 2:
        raise Unproven(mixes=True)
    return rows


ALONG_AXES: Mapping[str, Rule] = {
    **dict.fromkeys(_REDUCTIONS, _reduce),
    **dict.fromkeys(("Hardmax", "LogSoftmax", "Softmax"), _softmax),
    **dict.fromkeys(
        ("LayerNormalization", "RMSNormalization", "SimplifiedLayerNormalization"),
        normalised_to_the_end,
    ),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), quantised),
    **dict.fromkeys(("ArgMax", "ArgMin"), _arg),
    **dict.fromkeys(("TopK", "LpNormalization"), _along(-1)),
    "CumSum": _cumsum,
    "MeanVarianceNormalization": _normalised,
    "Split": _along(0),
    "Trilu": _triangle,
}
