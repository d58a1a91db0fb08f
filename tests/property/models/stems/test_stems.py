"""Cuts of any network: allowed exactly where no path leads past, and what runs in parts is what runs as a whole."""

from itertools import pairwise

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from models.stems import CutError, cut, stem_hashes
from tests.support.sessions import first_output
from tests.support.sharing.cutting import cut_points

UNARY = ("Relu", "Neg", "Abs", "Sigmoid")
BINARY = ("Add", "Sub", "Mul")


@st.composite
def networks(draw: st.DrawFn) -> onnx.ModelProto:
    """Up to ten nodes, each of one or two of the last few tensors before it; the last is the output."""
    nodes: list[onnx.NodeProto] = []
    for i in range(draw(st.integers(1, 10))):
        recent = [f"t{j}" for j in range(max(0, i - 2), i + 1)]
        inputs = draw(st.lists(st.sampled_from(recent), min_size=1, max_size=2))
        op = draw(st.sampled_from(UNARY if len(inputs) == 1 else BINARY))
        nodes.append(helper.make_node(op, inputs, [f"t{i + 1}"]))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 3])
        for name in ("t0", nodes[-1].output[0])
    ]
    graph = helper.make_graph(nodes, "any", ends[:1], ends[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def leads_past(model: onnx.ModelProto, tensor: str) -> bool:
    """Whether the output can be reached from the input without going through `tensor`."""
    reached = {"t0"} - {tensor}
    for node in model.graph.node:
        if reached.intersection(node.input):
            reached |= set(node.output) - {tensor}
    return model.graph.output[0].name in reached


def depends_on(model: onnx.ModelProto, tensor: str) -> set[str]:
    needed = {tensor}
    for node in reversed(model.graph.node):
        if needed.intersection(node.output):
            needed.update(node.input)
    return needed


@given(networks())
def test_a_tensor_is_a_point_exactly_where_no_path_leads_past_it(model: onnx.ModelProto):
    tensors = ["t0", *(n.output[0] for n in model.graph.node)]

    assert list(cut_points(model)) == [t for t in tensors if not leads_past(model, t)]


@given(networks())
@settings(max_examples=25)
def test_the_segments_between_all_points_are_the_network(model: onnx.ModelProto):
    points = cut_points(model)
    batch = np.array([[-1.5, 0.25, 2.0]] * 2, np.float32)

    found: object = batch
    for segment in cut(model, points):
        found = first_output(segment, found)

    np.testing.assert_allclose(np.asarray(found), first_output(model, batch), rtol=1e-5, atol=1e-6)


@given(networks())
def test_points_can_be_cut_in_their_order_only(model: onnx.ModelProto):
    for earlier, later in pairwise(cut_points(model)):
        with pytest.raises(CutError, match=rf"'{earlier}' does not come after '{later}'"):
            cut(model, [later, earlier])


@given(networks(), st.integers(0, 9))
def test_a_hash_changes_exactly_where_the_changed_node_is_needed(
    model: onnx.ModelProto, index: int
):
    tensors = ["t0", *(n.output[0] for n in model.graph.node)]
    other = onnx.ModelProto()
    other.CopyFrom(model)
    node = other.graph.node[index % len(other.graph.node)]
    node.op_type = "Exp" if len(node.input) == 1 else "Div"

    points = list(cut_points(model))
    before, after = (stem_hashes(m, points, (3,)) for m in (model, other))

    assert tensors[0] == points[0]
    for point, old, new in zip(points, before, after, strict=True):
        assert (old != new) == (node.output[0] in depends_on(model, point))
