"""Whether an ONNX graph keeps the rows of a batch apart, told by following where they are from operator to operator.

Rows tried beside each other show most of what runs over them, but not what begins at some value only. What is not known
to keep rows apart is taken for what does not.
"""

from collections import ChainMap
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from types import MappingProxyType
from typing import Any

import onnx
from numpy.typing import NDArray
from onnx import helper

from models.backends.graph_nodes import bodies_of, graph_inputs
from models.backends.rows.counts import Count, holds
from models.backends.rows.features import looked_up
from models.backends.rows.fused import BLOCKED, FUSED
from models.backends.rows.rules import ALIKE, LEARNT, ONNX
from models.backends.rows.shapes import ROWS, Dims, opset_of, shapes_of
from models.backends.rows.state import Rows, Rule, State, Step, Unproven

_RULES: Mapping[str, Mapping[str, Rule]] = {
    "": ONNX,
    "ai.onnx": ONNX,
    "ai.onnx.ml": LEARNT,
    "com.microsoft": FUSED,
    "com.microsoft.nchwc": BLOCKED,
}
"""By domain, what its operators do; of others nothing is known."""
_OLDEST_OPSET = 7
"""Before it, values were aligned by an attribute, and networks in training were told from others in other ways."""
_INVALID = (IndexError, KeyError, ValueError, ZeroDivisionError)
"""What comes of a graph that is not valid, or is read wrongly."""
_SHAPES_ONLY = {"Shape", "Size"}
_SHAPED = {"Expand": 1, "Reshape": 1, "Resize": 3}
"""Operators that may be told how many rows there are, and the input that says it."""
_RANDOM = {
    "Bernoulli",
    "Multinomial",
    "RandomNormal",
    "RandomNormalLike",
    "RandomUniform",
    "RandomUniformLike",
}
_SIZES = {"ConstantOfShape": (0,), "Expand": (1,)}
"""Operator -> its inputs that are lengths: with the number of rows among them, what it gives is alike for each row."""


_SCAN_SINCE = 9
"""Before it, Scan had an axis of batches of its own."""
_MOST_TURNS = 8
"""Until it is known where the rows are in what a loop carries."""


def across_rows(model: onnx.ModelProto, constants: Mapping[str, NDArray[Any]]) -> str:
    """The first operator that is not known to keep rows apart, in words; empty where all do. `model` is changed."""
    constants = looked_up(model, constants)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in model.graph.node]
    dims, known = shapes_of(model, constants)
    state = State(
        {v.name: Rows(0, len(v.type.tensor_type.shape.dim)) for v in graph_inputs(model.graph)},
        dims,
        known,
        opset_of(model),
    )
    for node in nodes:
        try:
            _follow(node, state)
        except Unproven as error:
            return _words(node.op_type, error)
        except _INVALID:
            return _words(node.op_type, Unproven())
    for output in model.graph.output:
        rows = state.rows.get(output.name, state.uniform.get(output.name))
        if output.name in state.counted or (rows and (rows.axis or not rows.are_bare)):
            return f"output {output.name!r} has not one row for each row of the inputs"
    return ""


def _words(operator: str, error: Unproven) -> str:
    if error.mixes:
        return f"its {operator} runs over the rows of a batch"
    return f"it is not known that its {operator} keeps the rows of a batch apart"


def _follow(node: onnx.NodeProto, state: State) -> None:
    """Add what is known of its outputs. Raises Unproven."""
    if node.op_type == "CastLike":  # of the second input only the type counts
        node = helper.make_node("Cast", node.input[:1], node.output)
    step = Step.of(node, state)
    if node.op_type in _SHAPES_ONLY:
        _measure(node, state)
    elif step.bodies and _takes_rows(node.input, step.bodies, state):
        _place(node, state, _run(step))
    elif step.content:
        _place(node, state, _ruled(step))
    else:
        _follow_plain(node, state)


def _place(node: onnx.NodeProto, state: State, found: Sequence[Rows | None]) -> None:
    """Note what was found of its outputs; nothing is known of the rest. Raises Unproven."""
    for name, rows in zip_longest(node.output, found[: len(node.output)]):
        if name and rows is not None:
            state.check_place(name, rows)
            state.rows[name] = rows
        elif name:
            state.counted.add(name)


def _ruled(step: Step) -> Sequence[Rows | None]:
    rule = _RULES.get(step.node.domain, {}).get(step.node.op_type)
    if rule is None or step.state.opset < _OLDEST_OPSET:
        raise Unproven
    if any(0 in (step.state.dims.get(name) or ()) for name in step.node.input):
        raise Unproven  # runtimes make something of what is empty
    for index, name in enumerate(step.node.input):
        if name not in step.state.rows:
            _check_beside(step, index, name)
    try:
        found = rule(step)
    except _INVALID as error:
        raise Unproven from error
    return [found] * len(step.node.output) if isinstance(found, Rows) else found


def _check_beside(step: Step, index: int, name: str) -> None:
    """Raises Unproven where an operator on rows does not take such an input without rows."""
    operator, state = step.node.op_type, step.state
    if name in state.uniform and operator not in ALIKE:
        raise Unproven
    if name in state.counted and not (_SHAPED.get(operator) == index and state.is_shape(name)):
        raise Unproven


def _takes_rows(names: Iterable[str], bodies: Sequence[onnx.GraphProto], state: State) -> bool:
    """Whether any of these values holds rows, or one that the bodies take from outside."""
    inside = [name for body in bodies for output in body.output if (name := output.name)]
    return any(name in state.rows for name in (*names, *inside)) or any(
        _takes_rows(node.input, bodies_of(node), state) for body in bodies for node in body.node
    )


def _run(step: Step) -> Sequence[Rows | None]:
    """Control flow: its bodies are followed with what they are given."""
    match step.node.op_type:
        case "If":
            _check_control(step, [0])
            ends = [_ends(body, _inside(body, step.state, {})) for body in step.bodies]
            if any(end != ends[0] for end in ends):
                raise Unproven
            return ends[0]
        case "Loop":
            _check_control(step, [0, 1])
            kept, made = _turns(step, list(step.node.input[2:]), [None, None], [], skip=1)
            return [*kept, *(None if m is None else m.moved(m.axis + 1, m.rank + 1) for m in made)]
        case "Scan":
            return _scan(step)
        case _:
            raise Unproven


def _check_control(step: Step, which: Sequence[int]) -> None:
    if not all(step.state.is_plain(step.input(i)) for i in which):
        raise Unproven


def _scan(step: Step) -> Sequence[Rows | None]:
    n = step.given["num_scan_inputs"]
    given, axes = list(step.node.input), step.given.get("scan_input_axes", [0] * n)
    if any(step.given.get("scan_output_axes", ())) or step.state.opset < _SCAN_SINCE:
        raise Unproven
    slices: list[Rows | None] = []
    for name, axis in zip(given[-n:], axes, strict=True):
        rows = step.state.rows.get(name)
        if rows is not None and rows.axis == axis % rows.rank:
            raise Unproven(mixes=True)
        at = rows and rows.axis - (rows.axis > axis % rows.rank)
        slices.append(None if rows is None or at is None else rows.moved(at, rows.rank - 1))
    kept, made = _turns(step, given[:-n], [], slices, skip=0)
    return [*kept, *(None if m is None else m.moved(m.axis + 1, m.rank + 1) for m in made)]


def _turns(
    step: Step,
    carried: Sequence[str],
    before: Sequence[None],
    after: Sequence[Rows | None],
    *,
    skip: int,
) -> tuple[Sequence[Rows | None], Sequence[Rows | None]]:
    """Where rows are in what a loop carries and in what each turn gives; the body takes `before`, these, `after`."""
    if not set(step.node.input).isdisjoint(step.state.counted | step.state.uniform.keys()):
        raise Unproven
    body, known = step.bodies[0], [step.state.rows.get(name) for name in carried]
    first: Mapping[str, Dims] = {
        value.name: dims
        for value, name in zip(body.input[len(before) :], carried, strict=False)
        if (dims := step.state.dims.get(name)) is not None
    }
    for turn in range(_MOST_TURNS):
        given = zip(body.input, [*before, *known, *after], strict=True)
        placed = {value.name: rows for value, rows in given if rows is not None}
        inner = _inside(body, step.state, placed, {} if turn else first)
        found = _ends(body, inner)
        kept, made = found[skip : skip + len(known)], found[skip + len(known) :]
        _check_carried(body, inner, skip, kept)
        if turn and list(kept) == known:
            return kept, made
        for name, old, new in zip(carried, known, kept, strict=True):
            if old is None and new is not None:
                step.check_plain([name], new)
            elif old != new:
                raise Unproven
        known = list(kept)
    raise Unproven


def _check_carried(
    body: onnx.GraphProto, inner: State, skip: int, kept: Sequence[Rows | None]
) -> None:
    """Raises Unproven where whether a loop goes on, or what it carries without rows, hangs on how many there are."""
    names = [value.name for value in body.output]
    if not all(map(inner.is_plain, names[:skip])):
        raise Unproven
    for name, rows in zip(names[skip:], kept, strict=False):
        if rows is None and not inner.is_plain(name):
            raise Unproven


def _inside(
    body: onnx.GraphProto,
    state: State,
    given: Mapping[str, Rows],
    dims: Mapping[str, Dims] = MappingProxyType({}),
) -> State:
    """What is known at a body's end, where it is given rows there, and values of these shapes."""
    inner = state.copy()
    inner.rows |= given
    inner.dims = ChainMap({**dims}, {**inner.dims}) if dims else inner.dims
    for node in body.node:
        _follow(node, inner)
    return inner


def _ends(body: onnx.GraphProto, inner: State) -> Sequence[Rows | None]:
    """Where rows are in what a body gives."""
    return [inner.rows.get(output.name) for output in body.output]


def _measure(node: onnx.NodeProto, state: State) -> None:
    """A shape: which of its numbers says how many rows there are."""
    rows, output = state.rows.get(node.input[0]), node.output[0]
    rows = rows or state.uniform.get(node.input[0])
    if rows is None:
        if node.input[0] in state.counted - state.exact:
            state.counted.add(output)
        return
    given = {a.name: a.i for a in node.attribute}
    places = list(range(rows.rank))[given.get("start", 0) : given.get("end", rows.rank)]
    if node.op_type == "Size" or rows.axis in places:
        _count(output, state, exactly=output in state.constants)
    if node.op_type == "Shape" and rows.axis in places:
        state.shape_of[output] = places.index(rows.axis), len(places)


def _count(name: str, state: State, *, exactly: bool) -> None:
    """Note a value that follows from how many rows there are, and whether it is told for any number of them."""
    count = Count.read(state.constants[name]) if exactly else None
    if count is None or not count.is_constant:
        state.counted.add(name)
    if count is not None and not count.is_constant:
        state.exact.add(name)


def _follow_plain(node: onnx.NodeProto, state: State) -> None:
    """An operator that takes nothing of what rows hold. Raises Unproven."""
    if node.op_type in _RANDOM:
        raise Unproven
    sizes = {node.input[i] for i in _SIZES.get(node.op_type, ()) if i < len(node.input)}
    taken = set(node.input)
    if bodies_of(node) and (state.counted or state.uniform):
        state.counted.update(filter(None, node.output))
    if not taken & (state.counted | state.uniform.keys()) or _passes_by(node, state):
        return
    if _is_worked_out(node, state):
        _count(node.output[0], state, exactly=True)
        return
    found = None if (taken - sizes) & state.counted else _alike(node, state, sizes)
    if found is None:
        state.counted.update(filter(None, node.output))
    else:
        state.uniform |= dict.fromkeys(filter(None, node.output), found)


def _is_worked_out(node: onnx.NodeProto, state: State) -> bool:
    """Whether it computes numbers from how many rows there are that are told for any number of them."""
    names, constants = list(node.input), state.constants
    if len(node.output) != 1 or not all(name in constants for name in (*names, node.output[0])):
        return False
    counted = [name in state.counted for name in names]
    if not state.exact.issuperset(n for n, on_rows in zip(names, counted, strict=True) if on_rows):
        return False
    return holds(node, [constants[n] for n in names], counted, constants[node.output[0]])


def _alike(node: onnx.NodeProto, state: State, sizes: Collection[str]) -> Rows | None:
    """Where something as long as the rows, and alike for each, has them; None where that is not known."""
    if sizes:
        if set(node.input) & state.uniform.keys() or not all(map(state.is_shape, sizes)):
            return None
        dims = state.dims.get(node.output[0]) or ()
        along = [(axis, n // ROWS) for axis, n in enumerate(dims) if n and n % ROWS == 0]
        return Rows(along[0][0], len(dims), along[0][1]) if len(along) == 1 else None
    inner = replace(state, rows=state.uniform, uniform={})
    try:
        found = _ruled(Step.of(node, inner))
        if len(found) != len(node.output) or any(one is None or one != found[0] for one in found):
            return None
        for name in filter(None, node.output):
            state.check_place(name, found[0] or Rows(0, 0))
    except Unproven:
        return None
    return found[0]


def _passes_by(node: onnx.NodeProto, state: State) -> bool:
    """Whether it takes lengths out of a shape that do not say how many rows there are."""
    place, length = state.shape_of.get(node.input[0], (None, 0)) if node.input else (None, 0)
    if place is None:
        return False
    values = [state.constants.get(name) for name in node.input[1:]]
    if any(
        v is None or name in state.counted for v, name in zip(values, node.input[1:], strict=True)
    ):
        return False
    numbers = [[int(n) for n in value.ravel()] for value in values if value is not None]
    if node.op_type == "Gather":
        return place not in [n % length for n in numbers[0]]
    if node.op_type == "Slice" and len(numbers) > 1 and len(numbers[0]) == 1:
        pace = numbers[3][0] if len(numbers) > 3 else 1
        return place not in range(length)[numbers[0][0] : numbers[1][0] : pace]
    return False
