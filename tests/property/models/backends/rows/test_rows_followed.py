"""Random graphs: one that is known to keep the rows of a batch apart answers each row as it does alone."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper, printer

from models.backends.rows.hazards import hazards_of

ort: Any = pytest.importorskip("onnxruntime")

GRAPHS = 400
"""Of each seed; about a third can be run, and about half of these keep rows apart."""
LONGEST = 6
LONGEST_BODY = 3
ROW = (2, 3)
BATCHES = (2, 3, 5, 8)
STEP = 0.05
"""Of what is quantised: which way a value between two is rounded may hang on where it is in the batch."""
MICROSOFT = "com.microsoft"


class Maker:
    """A graph that grows by random operators, on one value of those before."""

    def __init__(self, rng: np.random.Generator, last: str = "x", depth: int = 0) -> None:
        self.rng = rng
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.last, self.before = last, [last]
        self.depth = depth

    def make(self) -> onnx.ModelProto:
        """The model; it need not be valid."""
        self.grow(LONGEST)
        ends = [a_value("x", ["N", *ROW]), a_value(self.last)]
        graph = helper.make_graph(self.nodes, "random", ends[:1], ends[1:], self.constants)
        opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def grow(self, longest: int) -> None:
        for _ in range(self.rng.integers(1, longest + 1)):
            self._add()

    def _add(self) -> None:
        kinds = [
            self._transpose,
            self._reshape,
            self._along,
            self._reduce,
            self._slice,
            self._concat,
            self._gather,
            self._matmul,
            self._flatten,
            self._unsqueeze,
            self._add_earlier,
            self._like,
            self._counted,
            self._pool,
            self._entry,
            self._back,
            self._quantised,
            self._sequence,
            self._resize,
            self._normalised,
            self._told,
        ]
        if self.depth < 2:
            kinds += [self._loop, self._scan, self._branch]
        kinds[self.rng.integers(len(kinds))]()

    def _body(self, last: str, around: bool = True) -> "Maker":
        """A graph inside: its names are those of other bodies, and its constants may be other ones."""
        inner = Maker(self.rng, last, self.depth + 1)
        inner.before += self.before if around else []
        inner.grow(LONGEST_BODY)
        return inner

    def closed(self, ins: list[str], outs: list[str]) -> onnx.GraphProto:
        """As a body that takes and gives these."""
        ends = [[a_value(n, *CONTROL.get(n[:4], (None,))) for n in names] for names in (ins, outs)]
        return helper.make_graph(self.nodes, "body", *ends, self.constants)

    def node(self, kind: str, *names: str, **given: Any) -> str:
        output = self._name("v", len(self.nodes))
        self.nodes.append(helper.make_node(kind, list(names), [output], **given))
        return output

    def _name(self, letter: str, number: int) -> str:
        """The same in all bodies of the same depth."""
        return f"{letter}{self.depth}_{number}"

    def _then(self, kind: str, *names: str, **given: Any) -> None:
        self.last = self.node(kind, self.last, *names, **given)
        self.before.append(self.last)

    def constant(self, value: Any, dtype: Any = np.int64) -> str:
        name = self._name("c", len(self.constants))
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def _axis(self) -> int:
        return int(self.rng.integers(-2, 3))

    def _any(self, *choices: Any) -> Any:
        return choices[self.rng.integers(len(choices))]

    def _transpose(self) -> None:
        rank = self._any(2, 3, 3, 4)
        self._then("Transpose", perm=[int(n) for n in self.rng.permutation(rank)])

    def _reshape(self) -> None:
        shape = self._any(
            [-1, 6],
            [-1, 3],
            [-1, 2, 3],
            [-1, 3, 2],
            [0, -1],
            [1, -1],
            [2, -1],
            [2, -1, 3],
            [-1],
            [6, -1],
            [0, 0, -1],
            [3, -1],
            [-1, 2],
            [3, -1, 2],
            [-1, 1, 6],
        )
        self._then("Reshape", self.constant(shape))

    def _back(self) -> None:
        self._then("Reshape", self.node("Shape", self._any(*self.before)))

    def _along(self) -> None:
        kind = self._any("Softmax", "CumSum", "LpNormalization", "Hardmax")
        if kind == "CumSum":
            self._then(kind, self.constant(self._axis()))
        else:
            self._then(kind, axis=self._axis())

    def _reduce(self) -> None:
        keepdims = int(self.rng.integers(2))
        axes = self._any([self._axis()], [1, 2], [0], [1])
        kind = self._any("ReduceMax", "ReduceMean")
        self._then(kind, self.constant(axes), keepdims=keepdims)

    def _slice(self) -> None:
        start, end, pace = self._any((0, 1, 1), (1, 9, 1), (0, 2**40, 1), (-1, -(2**40), -1))
        self._then("Slice", *(self.constant([n]) for n in (start, end, self._axis(), pace)))

    def _concat(self) -> None:
        self._then("Concat", self._any(*self.before), axis=self._axis())

    def _gather(self) -> None:
        self._then("Gather", self.constant(self._any(0, [0], [1, 0], -1)), axis=self._axis())

    def _matmul(self) -> None:
        if self.rng.integers(2):
            width = self._any(2, 3, 6)
            self._then("MatMul", self.constant(self.rng.standard_normal((width, 3)), np.float32))
        else:
            perm = [int(n) for n in self.rng.permutation(self._any(2, 3))]
            self._then("MatMul", self.node("Transpose", self._any(*self.before), perm=perm))

    def _flatten(self) -> None:
        self._then("Flatten", axis=int(self.rng.integers(0, 3)))

    def _unsqueeze(self) -> None:
        kind = self._any("Unsqueeze", "Squeeze")
        self._then(kind, self.constant([self._axis()]))

    def _add_earlier(self) -> None:
        self._then("Add", self._any(*self.before))

    def _like(self) -> None:
        """Something as long as the rows, and alike for each."""
        two = numpy_helper.from_array(np.array([2], np.float32))
        made = self.node("ConstantOfShape", self.node("Shape", self._any(*self.before)), value=two)
        self._then(self._any("Add", "Mul"), made)

    def _counted(self) -> None:
        """A length of something before, as a number."""
        at = self.constant(int(self.rng.integers(-3, 3)))
        length = self.node("Gather", self.node("Shape", self._any(*self.before)), at)
        self._then("Mul", self.node("Cast", length, to=TensorProto.FLOAT))

    def _pool(self) -> None:
        self._then(
            "MaxPool", **self._any({"kernel_shape": [1]}, {"kernel_shape": [2], "pads": [0, 1]})
        )

    def _entry(self) -> None:
        self._then(self._any("Sin", "Exp", "Neg", "Sigmoid"))

    def _quantised(self) -> None:
        """Two in eight bits, which are aligned from the back."""
        scale, zero = self.constant(STEP, np.float32), self.constant(128, np.uint8)
        eight = [
            self.node("QuantizeLinear", name, scale, zero)
            for name in (self.last, self._any(*self.before))
        ]
        kind, one, two = self._any("QLinearAdd", "QLinearMul", ""), *eight
        if kind:
            given = (one, scale, zero, two, scale, zero, scale, zero)
            one = self.node(kind, *given, domain=MICROSOFT)
        self.last = self.node("DequantizeLinear", one, scale, zero)
        self.before.append(self.last)

    def _sequence(self) -> None:
        if self.rng.integers(2):
            cut = self.node("SplitToSequence", self.last, axis=self._axis())
        else:
            beside = self._any(*self.before, self.constant(1.5, np.float32))
            cut = self.node("SequenceConstruct", self.last, beside)
        if self.rng.integers(2):
            self.last = self.node("SequenceAt", cut, self.constant(self._any(0, 1, -1)))
        else:
            self.last = self.node("ConcatFromSequence", cut, axis=self._axis())
        self.before.append(self.last)

    def _resize(self) -> None:
        axes = [int(n) for n in self.rng.permutation(self._any(2, 3))[:2]]
        scales = [self._any(1.0, 2.0, 0.5), self._any(1.0, 1.0, 2.0)]
        self._then("Resize", "", self.constant(scales, np.float32), axes=axes, mode="linear")

    def _normalised(self) -> None:
        scale = self.constant(np.ones(self._any((1,), (3,), (2, 3))), np.float32)
        kind = self._any("LayerNormalization", "SimplifiedLayerNormalization")
        self._then(kind, scale, axis=self._axis())

    def _told(self) -> None:
        """In a shape that is computed from how many rows there are, rightly or not."""
        zero, number = self.constant([0]), self.constant([self._any(1, 2, 3, 5)])
        rows = self.node("Gather", self.node("Shape", self._any(*self.before)), zero)
        other = self.node(self._any("Add", "Mul", "Div", "Min", "Max", "Sub"), rows, number)
        is_so = self.node(self._any("Equal", "Less"), rows, number)
        either = self.node("Where", is_so, self._any(number, other, rows), self._any(rows, other))
        rest = self.constant(self._any([-1], [2, 3], [6], [1, 6], [3, -1]))
        parts = [self._any(either, rows, other, number), rest]
        if self.rng.integers(3) == 0:
            parts.reverse()
        target = self.node("Concat", *parts, axis=0)
        self._then(self._any("Reshape", "Reshape", "Expand"), target)

    def _loop(self) -> None:
        """What it carries: the value at hand and a number, which may come to hang on the batch."""
        inner, depth = self._body("given"), self.depth
        more = self._any("number", "number", inner.last, *inner.before)
        if self.rng.integers(4) == 0:
            length = inner.node("Shape", "given", start=0, end=1)
            more = inner.node("Cast", length, to=TensorProto.FLOAT)
        made = inner.node(self._any("Mul", "Add"), inner.last, "number")
        ends = {f"cond{depth}": f"cond{depth}_out", more: "more"}
        inner.nodes += [helper.make_node("Identity", [a], [b]) for a, b in ends.items()]
        ins = [f"turn{depth}", f"cond{depth}", "given", "number"]
        body = inner.closed(ins, [f"cond{depth}_out", made, "more"])
        turns, true = self.constant(self._any(1, 2, 3)), self.constant(True, np.bool_)
        one = self.constant(self._any(1.0, [1.5]), np.float32)
        output = self._name("v", len(self.nodes))
        outputs = [output, f"{output}_n"]
        self.nodes.append(
            helper.make_node("Loop", [turns, true, self.last, one], outputs, body=body)
        )
        self.last = output
        self.before += outputs

    def _scan(self) -> None:
        inner = self._body("given", around=bool(self.rng.integers(2)))
        body = inner.closed(["given"], [inner.last])
        self._then("Scan", body=body, num_scan_inputs=1, scan_input_axes=[self._axis()])
        if self.rng.integers(2):
            self._then("Transpose", perm=[1, 0, *range(2, self._any(3, 3, 2, 4))])

    def _branch(self) -> None:
        both = [self._body(self.last) for _ in range(2)]
        bodies = [inner.closed([], [inner.last]) for inner in both]
        true = self.constant(self._any(True, False), np.bool_)
        self._then("If", then_branch=bodies[0], else_branch=bodies[1])
        self.nodes[-1].input[:] = [true]


CONTROL = {"turn": ([], TensorProto.INT64), "cond": ([], TensorProto.BOOL)}
"""Names of what a loop is told and tells, by how they begin -> shape and type."""


def a_value(name: str, shape: Any = None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def answers(model: onnx.ModelProto) -> "list[tuple[NDArray[Any], NDArray[Any]]]":
    """For rows together, and each alone, in each size that can be run and gives a row for each."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    x = np.random.default_rng(7).standard_normal((max(BATCHES), *ROW)).astype(np.float32)
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        alone = [session.run(None, {"x": x[i : i + 1]})[0] for i in range(len(x))]
    except Exception:  # noqa: BLE001 - it is no valid graph, or not for one row
        return []
    if any(a.shape[:1] != (1,) or a.shape != alone[0].shape for a in alone):
        return []
    found = [(together(session, x[:rows]), np.concatenate(alone[:rows])) for rows in BATCHES]
    return [(a, b) for a, b in found if a is not None and a.shape == b.shape]


def together(session: Any, x: NDArray[Any]) -> "NDArray[Any] | None":
    try:
        return session.run(None, {"x": x})[0]
    except Exception:  # noqa: BLE001 - it does not run with so many rows
        return None


@pytest.mark.parametrize("seed", range(3))
def test_what_is_known_to_keep_rows_apart_does(seed: int, tmp_path: Path):
    kept, mixed = 0, 0
    for number in range(GRAPHS):
        model = Maker(np.random.default_rng(seed * GRAPHS + number)).make()
        found = answers(model)
        if not found:
            continue
        onnx.save(model, tmp_path / "model.onnx")
        coarse = any(node.op_type == "QuantizeLinear" for node in model.graph.node)
        atol = 5 * STEP if coarse else 1e-6
        alike = all(np.allclose(*both, rtol=1e-4, atol=atol, equal_nan=True) for both in found)
        hangs = hazards_of(tmp_path / "model.onnx").hangs
        assert alike or hangs, printer.to_text(model)
        kept += not hangs
        mixed += not alike

    assert kept > GRAPHS // 20
    assert mixed > 0
