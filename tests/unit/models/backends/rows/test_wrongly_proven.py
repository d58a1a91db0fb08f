"""Graphs whose rows mix though each operator by itself seems to keep them apart: none is known to."""

from pathlib import Path

import onnx
import pytest
from onnx import parser

from models.backends.rows.hazards import hazards_of

HEAD = '<ir_version: 8, opset_import: ["" : {opset}, "com.microsoft" : 1]>\n'
CONSTANTS = (
    "<int64 one = {1}, int64 two = {2}, bool true = {1}, int64[1] zeroth = {0}, int64[1] first = {1}, "
    "int64[1] five = {5}, int64[1] four = {4}, float scale = {0.01}, uint8 nought = {0}, float plain = {0.0}>"
)
COUNTED = "s = Shape(x) n = Gather(s, zeroth) is = Equal(n, five) "
NARROW = (
    "r0 = ReduceMax<keepdims=1>(x, first) a = QuantizeLinear(r0, scale, nought) "
    "r1 = ReduceMax<keepdims=0>(x, first) b = QuantizeLinear(r1, scale, nought) "
    "q = com.microsoft.{kind}(a, scale, nought, b, scale, nought, scale, nought) "
    "d = DequantizeLinear(q, scale, nought) m = ReduceMax<keepdims=1>(d, first) y = Add(x, m)"
)


def reducing(name: str, given: str, axis: int) -> str:
    """A loop whose body has a constant of the same name as others have."""
    return (
        f"{name} = Loop (two, true, {given}) <body = l (int64 i, bool c, float[N,4] v) => (bool go, float[N,4] w) "
        f"{{ axes = Constant<value = int64[1] {{{axis}}}>() m = ReduceMax<keepdims=1>(v, axes) w = Add(v, m) "
        "go = Identity(c) }> "
    )


def summing(name: str, given: str, axis: int) -> str:
    """A loop whose body has an initialiser of the same name as others have."""
    return (
        f"{name} = Loop (two, true, {given}) <body = l (int64 i, bool c, float[N,4] v) => (bool go, float[N,4] w) "
        f"<int64 axis = {{{axis}}}> {{ w = CumSum(v, axis) go = Identity(c) }}> "
    )


def scanning(name: str, given: str, axis: int) -> str:
    return (
        f"{name} = Scan <num_scan_inputs=1, body = b (float[N,4] v) => (float[N,4] w) "
        f"{{ axes = Constant<value = int64[1] {{{axis}}}>() m = ReduceMax<keepdims=1>(v, axes) w = Add(v, m) }}>"
        f"({given}) "
    )


MIXING = {
    "loops_with_the_same_names": reducing("o", "x", 0) + reducing("y", "o", 1),
    "loops_with_initialisers_of_the_same_name": summing("o", "x", 0) + summing("y", "o", 1),
    "scans_with_the_same_names": "u = Unsqueeze(x, zeroth) "
    + scanning("o", "u", 0)
    + scanning("p", "o", 1)
    + "y = Squeeze(p, zeroth)",
    "a_constant_in_a_sequence": (
        "u = Unsqueeze(x, zeroth) s = SequenceConstruct(u, plain) c = SequenceAt(s, one) a = Add(x, c) "
        "m = ReduceMax<keepdims=0>(a, zeroth) y = Add(x, m)"
    ),
    "scales_in_the_order_of_axes": (
        "up = Constant<value = float[2] {1.0, 2.0}>() down = Constant<value = float[2] {1.0, 0.5}>() "
        'u = Resize<axes=[1,0], mode="linear">(x, , up) y = Resize<axes=[1,0], mode="linear">(u, , down)'
    ),
    "sums_of_a_column_and_a_row": NARROW.format(kind="QLinearAdd"),
    "products_of_a_column_and_a_row": NARROW.format(kind="QLinearMul"),
    "normalised_over_rows_of_one_number": (
        "r = ReduceMax<keepdims=0>(x, first) s = Shape(r) o = ConstantOfShape<value = float[1] {1.0}>(s) "
        "n = SimplifiedLayerNormalization<axis=-1>(r, o) m = Unsqueeze(n, first) y = Add(x, m)"
    ),
    "normalised_from_the_first_axis": (
        "o = Constant<value = float[1] {1.0}>() y = SimplifiedLayerNormalization<axis=0>(x, o)"
    ),
    "normalised_from_the_first_axis_with_as_many_scales": (
        "s = Shape(x) o = ConstantOfShape<value = float[1] {1.0}>(s) "
        "y = SimplifiedLayerNormalization<axis=0>(x, o)"
    ),
    "a_shape_that_is_another_for_five_rows": COUNTED
    + (
        "ab = Concat<axis=0>(n, four) ba = Concat<axis=0>(four, n) t = Where(is, ba, ab) r = Reshape(x, t) "
        "u = Transpose(r) z = Reshape(u, ba) y = Transpose(z)"
    ),
    "a_length_that_is_another_for_five_rows": COUNTED
    + (
        "lead = Where(is, first, n) rest = Constant<value = int64[1] {-1}>() t = Concat<axis=0>(lead, rest, four) "
        "r = Reshape(x, t) m = ReduceMax<keepdims=0>(r, first) y = Add(x, m)"
    ),
    "a_number_that_comes_to_count_rows": (
        "c, y = Loop (two, true, plain, x) <body = l (int64 i, bool g, float c0, float[N,4] v) "
        "=> (bool go, float c1, float[N,4] w) { s = Shape(x) n = ReduceMax<keepdims=0>(s) c1 = Cast<to=1>(n) "
        "m = Mul(x, c0) w = Add(v, m) go = Identity(g) }>"
    ),
    "as_many_turns_as_rows": (
        "many = Constant<value = int64 {9}>() y = Loop (many, true, x) <body = l (int64 i, bool g, float[N,4] v) "
        "=> (bool go, float[N,4] w) { s = Shape(x) n = ReduceMax<keepdims=0>(s) go = Less(i, n) w = Add(v, x) }>"
    ),
    "a_sum_over_as_many_as_rows": (
        "s = Shape(x) o = ConstantOfShape<value = float[1] {1.0}>(s) t = Transpose(o) p = MatMul(x, t) "
        "m = ReduceSum<keepdims=1>(p, first) y = Add(x, m)"
    ),
    "as_many_slices_as_rows": (
        "s = Shape(x) o = ConstantOfShape<value = float[1] {1.0}>(s) y, z = Scan <num_scan_inputs=1, "
        "body = b (float[N,4] v, float[4] k) => (float[N,4] w, float[4] l) { w = Add(v, x) l = Identity(k) }>(x, o)"
    ),
}


def written(folder: Path, body: str, opset: int = 18) -> Path:
    text = f"{HEAD.format(opset=opset)} g (float[N,4] x) => (float[N,4] y) {CONSTANTS} {{ {body} }}"
    onnx.save(parser.parse_model(text), folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize("name", MIXING)
def test_rows_that_mix_are_not_taken_for_kept_apart(name: str, tmp_path: Path):
    assert hazards_of(written(tmp_path, MIXING[name])).hangs


def test_a_mask_that_is_aligned_with_positions_is_not_one_for_each_row(tmp_path: Path):
    body = (
        "columns = Constant<value = int64[4] {-1,1,4,1}>() q = Reshape(x, columns) "
        "a = Attention(q, q, q, x) flat = Constant<value = int64[2] {-1,4}>() y = Reshape(a, flat)"
    )

    assert "Attention" in hazards_of(written(tmp_path, body, opset=23)).hangs


APART = {
    "a_loop_that_carries_rows": (
        "y = Loop (two, true, x) <body = l (int64 i, bool g, float[N,4] v) => (bool go, float[N,4] w) "
        "{ axes = Constant<value = int64[1] {1}>() m = ReduceMax<keepdims=1>(v, axes) w = Add(v, m) go = Identity(g) }>"
    ),
    "a_loop_that_begins_with_a_constant": (
        "z = Constant<value = float[1] {0.0}>() y = Loop (two, true, z) <body = l (int64 i, bool g, float[4] v) "
        "=> (bool go, float[4] w) { w = Add(v, x) go = Identity(g) }>"
    ),
    "loops_with_the_same_names": reducing("o", "x", 1) + reducing("y", "o", 1),
    "a_shape_with_rows_in_it": "s = Shape(x) n = Gather(s, zeroth) t = Concat<axis=0>(n, four) y = Reshape(x, t)",
    "an_expansion_as_exporters_write_it": (
        "w = Constant<value = float[1,4] {1,2,3,4}>() s = Shape(x) n = Gather(s, zeroth) "
        "minus = Constant<value = int64[1] {-1}>() t = Concat<axis=0>(n, minus) h = Shape(t) "
        "o = ConstantOfShape<value = int64[1] {1}>(h) k = Mul(o, minus) is = Equal(t, k) e = Where(is, o, t) "
        "z = Expand(w, e) c = Concat<axis=1>(x, z) y = Slice(c, zeroth, four, first)"
    ),
    "twice_the_rows_and_back": (
        "s = Shape(x) n = Gather(s, zeroth) a = Constant<value = int64[1] {2}>() m = Mul(n, a) "
        "t = Concat<axis=0>(m, a) r = Reshape(x, t) e = Exp(r) b = Div(m, a) u = Concat<axis=0>(b, four) "
        "y = Reshape(e, u)"
    ),
    "scales_of_other_axes": (
        "up = Constant<value = float[2] {2.0, 1.0}>() down = Constant<value = float[2] {0.5, 1.0}>() "
        'u = Resize<axes=[1,0], mode="linear">(x, , up) y = Resize<axes=[1,0], mode="linear">(u, , down)'
    ),
    "a_quantised_sum": (
        "a = QuantizeLinear(x, scale, nought) q = com.microsoft.QLinearAdd(a, scale, nought, a, scale, nought, scale, "
        "nought) y = DequantizeLinear(q, scale, nought)"
    ),
    "an_added_and_normalised_row": (
        "k = Constant<value = float[4] {1,1,1,1}>() u = Unsqueeze(x, first) "
        "n, a, b, t = com.microsoft.SkipLayerNormalization(u, u, k, k) z = Add(n, t) y = Squeeze(z, first)"
    ),
    "a_sequence_of_rows": "s = SequenceConstruct(x, x) y = SequenceAt(s, one)",
}


@pytest.mark.parametrize("name", APART)
def test_rows_that_are_kept_apart_are_known_to_be(name: str, tmp_path: Path):
    assert hazards_of(written(tmp_path, APART[name])).hangs == ""
