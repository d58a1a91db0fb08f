"""A stem's hash changes with whatever its activation depends on, and with nothing else."""

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from models.stems import CutError, stem_hashes
from tests.support.sharing.packages import SHAPE, a_network, tensor

LAYERS = 4
TENSORS = [tensor(k) for k in range(LAYERS + 1)]


def hashes(model: onnx.ModelProto, names: list[str] | None = None) -> tuple[str, ...]:
    return stem_hashes(model, names or TENSORS, SHAPE)


def changed_from(model: onnx.ModelProto) -> int | None:
    """The first point whose hash is not the original's; all after it must have changed too."""
    same = [a == b for a, b in zip(hashes(a_network(LAYERS)), hashes(model), strict=True)]
    assert same == sorted(same, reverse=True)
    return same.index(False) if False in same else None


def weight(model: onnx.ModelProto, name: str) -> onnx.TensorProto:
    return next(i for i in model.graph.initializer if i.name == name)


def node(model: onnx.ModelProto, output: str) -> onnx.NodeProto:
    return next(n for n in model.graph.node if output in n.output)


def test_every_point_has_a_hash_of_its_own():
    found = hashes(a_network(LAYERS))

    assert len(set(found)) == LAYERS + 1
    assert all(len(h) == 64 and int(h, 16) >= 0 for h in found)


@given(layer=st.integers(1, LAYERS), bit=st.integers(0, 31))
def test_any_bit_of_a_weight_counts_from_its_layer_on(layer: int, bit: int):
    model = a_network(LAYERS)
    found = weight(model, "white" if layer == 1 else f"layer{layer}.weight")
    raw = bytearray(found.raw_data)
    raw[bit // 8] ^= 1 << bit % 8
    found.raw_data = bytes(raw)

    assert changed_from(model) == layer


@given(layer=st.integers(2, LAYERS), pad=st.integers(1, 3))
def test_an_attribute_counts_from_its_layer_on(layer: int, pad: int):
    model = a_network(LAYERS)
    node(model, f"layer{layer}.conv").attribute.append(
        helper.make_attribute("pads", [0, 0, pad, 0])
    )

    assert changed_from(model) == layer


@given(layer=st.integers(2, LAYERS), op=st.sampled_from(["Neg", "Abs", "Sigmoid"]))
def test_an_operator_counts_from_its_layer_on(layer: int, op: str):
    model = a_network(LAYERS)
    node(model, f"layer{layer}.residue").op_type = op

    assert changed_from(model) == layer


@given(layer=st.integers(2, LAYERS))
def test_what_is_connected_to_what_counts(layer: int):
    model = a_network(LAYERS)
    node(model, f"layer{layer}").input[0] = f"layer{layer}.residue"

    assert changed_from(model) == layer


def rename(model: onnx.ModelProto, prefix: str, kept: tuple[str, ...] = ()) -> onnx.ModelProto:
    """Every tensor and node with other names."""
    for made in model.graph.node:
        made.name = f"{prefix}{made.name}"
        for names in (made.input, made.output):
            names[:] = [name if name in kept else f"{prefix}{name}" for name in names]
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.name = value.name if value.name in kept else f"{prefix}{value.name}"
    return model


@given(prefix=st.text("abz/.:_", min_size=1))
def test_names_do_not_count(prefix: str):
    renamed = rename(a_network(LAYERS), prefix)

    assert hashes(renamed, [f"{prefix}{t}" for t in TENSORS]) == hashes(a_network(LAYERS))


def move_constants_into_nodes(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Constant", [], [w.name], value=w) for w in model.graph.initializer]
    rest = list(model.graph.node)
    model.graph.ClearField("initializer")
    model.graph.ClearField("node")
    model.graph.node.extend([*nodes, *rest])


def write_a_weight_twice(model: onnx.ModelProto) -> None:
    node(model, "layer3.conv").input[1] = "again"
    model.graph.node.insert(0, helper.make_node("Identity", ["layer2.weight"], ["again"]))


def store_weights_as_numbers(model: onnx.ModelProto) -> None:
    for found in model.graph.initializer:
        values = numpy_helper.to_array(found).ravel().tolist()
        found.ClearField("raw_data")
        found.float_data.extend(values)


def add_documentation(model: onnx.ModelProto) -> None:
    model.doc_string = model.producer_name = model.graph.name = "another day"
    for made in model.graph.node:
        made.doc_string = "a stack trace"


@pytest.mark.parametrize(
    "change",
    [move_constants_into_nodes, write_a_weight_twice, store_weights_as_numbers, add_documentation],
)
def test_how_a_network_is_written_down_does_not_count(change: Callable[[onnx.ModelProto], None]):
    model = a_network(LAYERS)
    change(model)

    assert changed_from(model) is None


def test_a_weights_type_counts():
    model = a_network(LAYERS)
    found = weight(model, "layer3.weight")
    found.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(found).astype("f8"), found.name))

    assert changed_from(model) == 3


def test_the_inputs_shape_and_type_and_the_operators_versions_count():
    model, other = a_network(LAYERS), a_network(LAYERS)
    other.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE
    newer = a_network(LAYERS)
    newer.opset_import[0].version = 18

    assert set(stem_hashes(model, TENSORS, (1, 8, 9))).isdisjoint(hashes(model))
    assert set(hashes(other)).isdisjoint(hashes(model))
    assert set(hashes(newer)[1:]).isdisjoint(hashes(model))


def test_operands_that_change_places_count():
    def quotient(*inputs: str) -> onnx.ModelProto:
        ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["N", 1]) for n in ("x", "y")]
        two = numpy_helper.from_array(np.array([2], np.float32), "two")
        nodes = [helper.make_node("Div", list(inputs), ["y"])]
        return helper.make_model(helper.make_graph(nodes, "q", ends[:1], ends[1:], [two]))

    half, double = quotient("x", "two"), quotient("two", "x")

    assert stem_hashes(half, ["y"], (1,)) != stem_hashes(double, ["y"], (1,))


def test_an_unknown_tensor_is_named():
    with pytest.raises(CutError, match="'layer9' is unknown"):
        hashes(a_network(LAYERS), ["frames", "layer9"])
