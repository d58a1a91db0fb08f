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
ROW = (2, 3)
SHAPES = (
    *([-1, 6], [-1, 3], [-1, 2, 3], [-1, 3, 2]),
    *([0, -1], [1, -1], [2, -1], [2, -1, 3]),
    *([-1], [6, -1], [0, 0, -1], [3, -1]),
    *([-1, 2], [3, -1, 2], [-1, 1, 6]),
)
"""What values are reshaped to."""


class Maker:
    """A graph that grows by random operators, on one value of those before."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.last, self.before = "x", ["x"]

    def make(self) -> onnx.ModelProto:
        """The model; it need not be valid."""
        for _ in range(self.rng.integers(1, LONGEST + 1)):
            self._add()
        ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *ROW])]
        ends += [helper.make_tensor_value_info(self.last, TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "random", ends[:1], ends[1:], self.constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

    def _add(self) -> None:
        kinds = (
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
        )
        kinds[self.rng.integers(len(kinds))]()

    def _node(self, kind: str, *names: str, **given: Any) -> str:
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(names), [output], **given))
        return output

    def _then(self, kind: str, *names: str, **given: Any) -> None:
        self.last = self._node(kind, self.last, *names, **given)
        self.before.append(self.last)

    def _constant(self, value: Any, dtype: Any = np.int64) -> str:
        name = f"c{len(self.constants)}"
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
        self._then("Reshape", self._constant(self._any(*SHAPES)))

    def _back(self) -> None:
        self._then("Reshape", self._node("Shape", self._any(*self.before)))

    def _along(self) -> None:
        kind = self._any("Softmax", "CumSum", "LpNormalization", "Hardmax")
        if kind == "CumSum":
            self._then(kind, self._constant(self._axis()))
        else:
            self._then(kind, axis=self._axis())

    def _reduce(self) -> None:
        keepdims = int(self.rng.integers(2))
        axes = self._any([self._axis()], [1, 2], [0], [1])
        self._then(self._any("ReduceMax", "ReduceMean"), axes=axes, keepdims=keepdims)

    def _slice(self) -> None:
        start, end, pace = self._any((0, 1, 1), (1, 9, 1), (0, 2**40, 1), (-1, -(2**40), -1))
        self._then("Slice", *(self._constant([n]) for n in (start, end, self._axis(), pace)))

    def _concat(self) -> None:
        self._then("Concat", self._any(*self.before), axis=self._axis())

    def _gather(self) -> None:
        self._then("Gather", self._constant(self._any(0, [0], [1, 0], -1)), axis=self._axis())

    def _matmul(self) -> None:
        if self.rng.integers(2):
            width = self._any(2, 3, 6)
            self._then("MatMul", self._constant(self.rng.standard_normal((width, 3)), np.float32))
        else:
            perm = [int(n) for n in self.rng.permutation(self._any(2, 3))]
            self._then("MatMul", self._node("Transpose", self._any(*self.before), perm=perm))

    def _flatten(self) -> None:
        self._then("Flatten", axis=int(self.rng.integers(0, 3)))

    def _unsqueeze(self) -> None:
        kind = self._any("Unsqueeze", "Squeeze")
        self._then(kind, self._constant([self._axis()]))

    def _add_earlier(self) -> None:
        self._then("Add", self._any(*self.before))

    def _like(self) -> None:
        """Something as long as the rows, and alike for each."""
        two = numpy_helper.from_array(np.array([2], np.float32))
        made = self._node(
            "ConstantOfShape", self._node("Shape", self._any(*self.before)), value=two
        )
        self._then(self._any("Add", "Mul"), made)

    def _counted(self) -> None:
        """A length of something before, as a number."""
        at = self._constant(int(self.rng.integers(-3, 3)))
        length = self._node("Gather", self._node("Shape", self._any(*self.before)), at)
        self._then("Mul", self._node("Cast", length, to=TensorProto.FLOAT))

    def _pool(self) -> None:
        self._then("MaxPool", kernel_shape=[self._any(1, 2)])

    def _entry(self) -> None:
        self._then(self._any("Sin", "Exp", "Neg", "Sigmoid"))


def answers(model: onnx.ModelProto) -> "tuple[NDArray[Any], NDArray[Any]] | None":
    """For five rows together, and each alone; None where the graph cannot be run, or gives no row for each."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    x = np.random.default_rng(7).standard_normal((5, *ROW)).astype(np.float32)
    try:
        session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        together = session.run(None, {"x": x})[0]
        alone = [session.run(None, {"x": x[i : i + 1]})[0] for i in range(len(x))]
    except Exception:  # noqa: BLE001 - it is no valid graph, or not for one row
        return None
    if together.shape[:1] != (5,) or any(a.shape != (1, *together.shape[1:]) for a in alone):
        return None
    return together, np.concatenate(alone)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_known_to_keep_rows_apart_does(seed: int, tmp_path: Path):
    kept, mixed = 0, 0
    for number in range(GRAPHS):
        model = Maker(seed * GRAPHS + number).make()
        found = answers(model)
        if found is None:
            continue
        onnx.save(model, tmp_path / "model.onnx")
        alike = np.allclose(*found, rtol=1e-4, atol=1e-6, equal_nan=True)
        hangs = hazards_of(tmp_path / "model.onnx").hangs
        assert alike or hangs, printer.to_text(model)
        kept += not hangs
        mixed += not alike

    assert kept > GRAPHS // 20
    assert mixed > 0
