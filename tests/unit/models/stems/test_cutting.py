"""A network is cut only where everything goes through one tensor, and its segments together are the network."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.stems import CutError, cut
from tests.support.sessions import first_output
from tests.support.sharing.cutting import cut_points
from tests.support.sharing.packages import a_network, flat_frames, tensor

LAYERS = 4
FRAMES = flat_frames(3, 90, 255)


def a_model(nodes: list[onnx.NodeProto], *, rows: object = "N", outputs: tuple[str, ...] = ("y",)):
    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [rows, 4])

    graph = helper.make_graph(nodes, "made", [value("x")], [value(o) for o in outputs])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_segments_in_turn_are_the_network():
    model = a_network(LAYERS)
    tensors = [*(tensor(k) for k in range(LAYERS + 1)), "scores"]

    segments = cut(model, tensors)

    assert len(segments) == LAYERS + 1
    found: object = FRAMES
    for segment in segments:
        onnx.checker.check_model(segment, full_check=True)
        found = first_output(segment, found)
    np.testing.assert_allclose(found, first_output(model, FRAMES), rtol=1e-6)


def test_one_segment_may_span_several_layers():
    model = a_network(LAYERS)

    whole, *steps = (
        *cut(model, [tensor(1), tensor(4)]),
        *cut(model, [tensor(k) for k in (1, 2, 4)]),
    )

    assert len(steps) == 2
    activation = np.ones((2, 1, 8, 8), np.float32)
    np.testing.assert_array_equal(
        first_output(whole, activation), first_output(steps[1], first_output(steps[0], activation))
    )


def test_the_points_are_the_input_the_blocks_ends_and_the_output():
    points = cut_points(a_network(3))

    assert points == ("frames", "layer1", "layer2", "layer3", "mean", "scores")


@pytest.mark.parametrize("inside", ["layer2.conv", "layer2.residue"])
def test_a_cut_inside_a_block_names_what_crosses_it(inside: str):
    with pytest.raises(CutError, match=rf"'{inside}' lies inside a block: 1 other .*: layer1; cut"):
        cut(a_network(3), ["frames", inside])


def test_of_many_tensors_that_cross_three_are_named():
    branches = [helper.make_node("Relu", ["x"], [f"b{i}"]) for i in range(5)]
    total = helper.make_node("Sum", [f"b{i}" for i in range(5)], ["y"])

    with pytest.raises(CutError, match=r"'b4'.*1 other tensors cross it: x;"):
        cut(a_model([*branches, total]), ["x", "b4"])
    late = [helper.make_node("Sum", ["b0", "b1", "b2", "b3", "b4"], ["s"])]
    late += [helper.make_node("Max", ["s", *(f"b{i}" for i in range(5))], ["y"])]
    with pytest.raises(CutError, match=r"'s'.*5 other tensors cross it: b0, b1, b2, \.\.\.;"):
        cut(a_model([*branches, *late]), ["x", "s"])


def test_a_tensor_beside_the_cut_from_the_same_node_crosses_it():
    split = helper.make_node("Split", ["x"], ["left", "right"], axis=1)
    joined = helper.make_node("Concat", ["left", "right"], ["y"], axis=1)

    with pytest.raises(CutError, match=r"'left'.*: right;"):
        cut(a_model([split, joined]), ["x", "left"])


def test_what_the_output_does_not_need_crosses_nothing():
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["x"], ["unused"])]
    nodes += [helper.make_node("Neg", ["a"], ["y"])]

    assert cut_points(a_model(nodes)) == ("x", "a", "y")


def test_an_output_inside_crosses_what_comes_after():
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["y"], ["z"])]

    with pytest.raises(CutError, match=r"outputs \['y', 'z'\]; only one of each"):
        cut(a_model(nodes, outputs=("y", "z")), ["x", "y"])


def test_constants_made_by_nodes_go_with_the_segments_that_use_them():
    two = numpy_helper.from_array(np.full((1, 4), 2, np.float32), "")
    nodes = [
        helper.make_node("Constant", [], ["two"], value=two),
        helper.make_node("Identity", ["two"], ["again"]),
        helper.make_node("Constant", [], ["half"], value_floats=[0.5]),
        helper.make_node("Mul", ["x", "two"], ["a"]),
        helper.make_node("Mul", ["a", "again"], ["b"]),
        helper.make_node("Mul", ["b", "half"], ["y"]),
    ]
    x = np.ones((3, 4), np.float32)

    for segment in cut(a_model(nodes), ["x", "a", "b", "y"]):
        x = first_output(segment, x)

    np.testing.assert_array_equal(x, np.full((3, 4), 2, np.float32))


@pytest.mark.parametrize(
    ("tensors", "said"),
    [
        (["frames", "layer9"], "'layer9' is unknown"),
        (["frames", "layer2.weight"], "'layer2.weight' is constant"),
        (["layer2", "layer1"], "'layer1' does not come after 'layer2'"),
        (["layer1", "layer1"], "'layer1' does not come after 'layer1'"),
        (["layer1", "frames"], "'frames' does not come after 'layer1'"),
    ],
)
def test_what_cannot_be_cut_is_named(tensors: list[str], said: str):
    with pytest.raises(CutError, match=said):
        cut(a_network(3), tensors)


def test_a_fixed_batch_is_refused():
    with pytest.raises(CutError, match=r"'x' must have a free batch"):
        cut(a_model([helper.make_node("Relu", ["x"], ["y"])], rows=1), ["x", "y"])


def test_control_flow_is_refused():
    inner = a_model([helper.make_node("Relu", ["a"], ["y"])]).graph
    inner.ClearField("input")
    condition = numpy_helper.from_array(np.array(True), "")
    nodes = [
        helper.make_node("Neg", ["x"], ["a"]),
        helper.make_node("Constant", [], ["condition"], value=condition),
        helper.make_node("If", ["condition"], ["y"], "fork", then_branch=inner, else_branch=inner),
    ]

    with pytest.raises(CutError, match="'fork' has a graph of its own"):
        cut(a_model(nodes), ["x", "y"])
