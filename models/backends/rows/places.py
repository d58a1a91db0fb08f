"""What operators that move, choose, repeat or join entries do to the rows of a batch: a part of `rules`. Pure."""

from collections.abc import Mapping, Sequence

from models.backends.rows.axes import without
from models.backends.rows.state import Rows, Rule, Step, Unproven


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
    return without(rows, axes, keep=False)


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
    return without(rows, [step.given["axis"]], keep=True)


def _cut(step: Step) -> Rows:
    rows = step.first
    keep = bool(step.given.get("keepdims", 1)) or bool(step.input(1))
    return without(rows, [step.axis(0, rows.rank)], keep=keep)


PLACES: Mapping[str, Rule] = {
    **dict.fromkeys(("Resize", "Upsample"), _resize),
    **dict.fromkeys(("GatherElements", "ScatterElements", "Scatter"), _elements(0)),
    **dict.fromkeys(("Flatten", "Reshape"), _reshape),
    "Concat": _concat,
    "ConcatFromSequence": _joined,
    "Expand": _expand,
    "Gather": _gather,
    "GatherND": _gather_nd,
    "OneHot": _one_hot,
    "Pad": _pad,
    "SequenceConstruct": _in_order,
    "Slice": _slice,
    "SplitToSequence": _cut,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
