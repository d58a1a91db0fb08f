"""A zoo of small ONNX graphs: every datatype, many opsets, and what graphs do that servers do not expect.

Written in ONNX's own text form. The first dimension, N, counts rows. What is `served` must equal a plain session of ONNX
Runtime; what runs `alone` does so a row at a time; what is `refused` must say why.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

from models.artifacts.manifest import render
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

SERVED, ALONE, REFUSED = "served", "alone", "refused"

_WORDS = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float": "FP32",
    "double": "FP64",
}
"""ONNX's word for a type -> the protocol's."""
_DATATYPES = {
    getattr(TensorProto, {"float": "FLOAT", "double": "DOUBLE"}.get(word, word.upper())): datatype
    for word, datatype in _WORDS.items()
}
MAX_BATCH = 6


@dataclass(frozen=True)
class Exhibit:
    """One graph, how it is kept, and what is to become of it."""

    name: str
    model: onnx.ModelProto
    fate: str = SERVED
    external: bool = False


POSITIONS = """
g (int64[N, S] ids) => (float[N, S] y)
<int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] most = {64}>
{
    size = Shape(ids)
    length = Slice(size, one, two)
    table = ConstantOfShape(most)
    positions = Slice(table, zero, length)
    tokens = Cast <to = 1> (ids)
    y = Add(tokens, positions)
}
"""
"""Adds positions to ids, of which it has 64: takes no more."""


def graph(text: str, opset: int = 17, ir: int = 8) -> onnx.ModelProto:
    """`text` as a model."""
    head = f'<ir_version: {ir}, opset_import: ["" : {opset}]>\n'
    return parser.parse_model(head + text)


def _by_type() -> Iterator[Exhibit]:
    for word in _WORDS:
        yield _shown(
            f"identity_{word}", f"g ({word}[N,6] x) => ({word}[N,6] y) {{ y = Identity(x) }}"
        )
        yield _shown(
            f"flip_{word}",
            f"g ({word}[N,6] x) => ({word}[N,6] y) <int64[6] i = {{5,4,3,2,1,0}}> {{ y = Gather<axis=1>(x, i) }}",
        )
    for word in (
        "int32",
        "int64",
        "uint32",
        "uint64",
        "float",
        "double",
        "int8",
        "uint8",
        "float16",
    ):
        text = (
            f"g ({word}[N,6] x) => ({word}[N,6] y) "
            f"{{ three = Constant<value = int64[1] {{3}}>() c = CastLike(three, x) y = Mul(x, c) }}"
        )
        yield _shown(f"triple_{word}", text)
    for word in (
        "int8",
        "uint8",
        "int16",
        "uint16",
        "int32",
        "uint32",
        "int64",
        "uint64",
        "double",
        "float16",
    ):
        text = f"g ({word}[N,6] x) => (float[N,6] y) {{ y = Cast<to=1>(x) }}"
        yield _shown(f"widen_{word}", text)
    for to, word in ((2, "uint8"), (3, "int8"), (6, "int32"), (7, "int64")):
        text = (
            f"g (float[N,6] x) => ({word}[N,6] y) "
            f"{{ s = Sigmoid(x) h = Constant<value = float[1] {{100}}>() p = Mul(s, h) y = Cast<to={to}>(p) }}"
        )
        yield _shown(f"share_{word}", text)


def weighted(model: onnx.ModelProto, **shapes: Sequence[int]) -> onnx.ModelProto:
    """`model`, its initialisers filled with the same random numbers every time."""
    rng = np.random.default_rng(5)
    for name, shape in shapes.items():
        for held in [i for i in model.graph.initializer if i.name == name]:
            model.graph.initializer.remove(held)
        values = rng.standard_normal(tuple(shape)).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(values, name))
        for value in [i for i in model.graph.input if i.name == name]:
            if model.ir_version >= 4:
                model.graph.input.remove(value)
    return model


def _shown(name: str, text: str, fate: str = SERVED, **shapes: Sequence[int]) -> Exhibit:
    """The graph of `text`, initialisers of these shapes filled."""
    return Exhibit(name, weighted(graph(text), **shapes), fate)


def _perceptron(opset: int = 17, ir: int = 8) -> onnx.ModelProto:
    text = "g (float[N,6] x, float[6,3] w, float[3] b) => (float[N,3] y) { z = Gemm(x, w, b) y = Relu(z) }"
    return weighted(graph(text, opset, ir), w=(6, 3), b=(3,))


def _by_version() -> Iterator[Exhibit]:
    for opset in range(9, 22):
        yield Exhibit(f"opset_{opset}", _perceptron(opset, 4 if opset < 10 else 10))
    for ir in range(3, 11):
        yield Exhibit(f"ir_{ir}", _perceptron(9, ir))
    yield Exhibit("external_data", _perceptron(), external=True)


def _odd() -> Iterator[Exhibit]:
    one = "g (float[N,6] x) => (float[N,6] y) "
    yield Exhibit("initialisers_as_inputs", _perceptron(9, 3))
    odd = helper.make_graph(
        [helper.make_node("Neg", ["in put/ä:0"], ["out;put,1"])],
        "odd",
        [helper.make_tensor_value_info("in put/ä:0", TensorProto.FLOAT, ["N", 2])],
        [helper.make_tensor_value_info("out;put,1", TensorProto.FLOAT, ["N", 2])],
    )
    yield Exhibit(
        "odd_names",
        helper.make_model(odd, opset_imports=[helper.make_opsetid("", 17)], ir_version=8),
    )
    yield _shown(
        "scalar_output", "g (float[N,6] x) => (float s) { s = ReduceMean<keepdims=0>(x) }", REFUSED
    )
    yield _shown(
        "several_outputs",
        "g (float[N,6] x) => (float[N,6] y, int64[N] top, float[N,6] z) "
        "{ y = Softmax<axis=1>(x) top = ArgMax<axis=1, keepdims=0>(x) z = Neg(x) }",
    )
    yield _shown(
        "same_tensor_twice",
        "g (float[N,6] x) => (float[N,6] y, float[N,6] z) { y = Neg(x) z = Identity(y) }",
    )
    yield _shown("unused_input", "g (float[N,6] x, float[N,2] u) => (float[N,6] y) { y = Neg(x) }")
    yield _shown(
        "two_inputs",
        "g (float[N,6] x, int32[N,6] k) => (float[N,6] y) { f = Cast<to=1>(k) y = Add(x, f) }",
    )
    yield _shown(
        "branch_on_content",
        one
        + "{ m = ReduceMax<keepdims=0>(x) zero = Constant<value = float {0.0}>() big = Greater(m, zero) "
        "y = If (big) <then_branch = a () => (float[N,6] t) { t = Neg(x) }, "
        "else_branch = b () => (float[N,6] e) { e = Identity(x) }> }",
        ALONE,
    )
    yield _shown(
        "sequence_inside",
        one
        + "{ s = SequenceConstruct(x, x) i = Constant<value = int64 {1}>() y = SequenceAt(s, i) }",
    )
    yield _shown(
        "sequence_output",
        "g (float[N,6] x) => (seq(float[N,6]) y) { y = SequenceConstruct(x, x) }",
        REFUSED,
    )
    yield _shown(
        "loop",
        one + "{ n = Constant<value = int64 {3}>() c = Constant<value = bool {1}>() "
        "y = Loop (n, c, x) <body = l (int64 i, bool cin, float[N,6] v) => (bool cout, float[N,6] w) "
        "{ cout = Identity(cin) w = Add(v, v) }> }",
    )


def _mixing() -> Iterator[Exhibit]:
    one = "g (float[N,6] x) => (float[N,6] y) "
    yield _shown("softmax_over_rows", one + "{ y = Softmax<axis=0>(x) }", ALONE)
    yield _shown(
        "running_sum_of_rows", one + "{ a = Constant<value = int64 {0}>() y = CumSum(x, a) }", ALONE
    )
    yield _shown(
        "centred_on_the_batch", one + "{ m = ReduceMean<axes=[0]>(x) y = Sub(x, m) }", ALONE
    )
    yield _shown(
        "its_neighbours_row_beside_minus_infinity",
        "g (float[N,6] x) => (float[N,7] y) { z = Constant<value = int64[1] {0}>() o = Constant<value = int64[1] {1}>() "
        "e = Constant<value = int64[1] {9999}>() a = Slice(x, o, e, z) b = Slice(x, z, o, z) r = Concat<axis=0>(a, b) "
        "m = ReduceMax<axes=[1]>(x) d = Sub(m, m) f = Log(d) y = Concat<axis=1>(r, f) }",
        ALONE,
    )
    yield _shown(
        "one_token_for_all",
        "g (int64[N,4] x) => (float[N,4] y) { s = Constant<value = int64[2] {1, -1}>() r = Reshape(x, s) "
        "k = Constant<value = int64 {777}>() e = Equal(r, k) f = Cast<to=1>(e) m = ReduceMax<axes=[1]>(f) "
        "c = Cast<to=1>(x) y = Add(c, m) }",
        ALONE,
    )
    yield _shown(
        "one_row_for_all",
        "g (float[N,6] x) => (float[M,6] y) { s = Constant<value = int64[2] {1, -1}>() f = Reshape(x, s) y = Neg(f) }",
        REFUSED,
    )
    yield _shown(
        "as_many_as_it_finds_of_few",
        "g (float[N,2] x) => (int64[M,2] y) { z = Constant<value = float {0.9}>() c = Greater(x, z) n = NonZero(c) "
        "y = Transpose<perm=[1,0]>(n) }",
        REFUSED,
    )
    yield _shown(
        "sorted_over_rows",
        "g (float[N,6] x) => (float[N,6] y) { s = Shape(x) z = Constant<value = int64 {0}>() k0 = Gather(s, z) "
        "o = Constant<value = int64[1] {1}>() k = Reshape(k0, o) y, i = TopK<axis=0>(x, k) }",
        ALONE,
    )
    yield _shown(
        "flattened",
        "g (float[N,6] x) => (float[M,K] y) { s = Constant<value = int64[2] {1, -1}>() y = Reshape(x, s) }",
        REFUSED,
    )
    yield _shown(
        "as_many_as_it_finds",
        "g (float[N,6] x) => (int64[M,2] y) { n = NonZero(x) y = Transpose<perm=[1,0]>(n) }",
        REFUSED,
    )
    yield _shown(
        "inner_size_of_content",
        "g (float[N,6] x) => (float[N,K] y) "
        "{ r = ReduceMax<axes=[0], keepdims=0>(x) z = Constant<value = float[6] {0,0,0,0,0,0}>() c = Greater(r, z) "
        "y = Compress<axis=1>(x, c) }",
        REFUSED,
    )
    yield _shown(
        "normalised_by_the_batch",
        "g (float[N,6] x, float[6] s, float[6] b, float[6] m, float[6] v) => (float[N,6] y) "
        "{ y, rm, rv = BatchNormalization<training_mode=1>(x, s, b, m, v) }",
        ALONE,
        s=(6,),
        b=(6,),
        m=(6,),
        v=(6,),
    )
    yield _shown("random", one + "{ r = RandomUniformLike(x) y = Add(x, r) }", ALONE)


def _checked() -> Iterator[Exhibit]:
    yield _shown(
        "embedding_of_two",
        "g (int64[N,4] x) => (float[N,4] y) <float[2] t = {0.5, 1.5}> { y = Gather<axis=0>(t, x) }",
    )
    yield _shown(
        "embedding_of_two_int32",
        "g (int32[N,4] x) => (float[N,4] y) <float[2] t = {0.5, 1.5}> { y = Gather<axis=0>(t, x) }",
    )
    yield _shown(
        "hashed_ids",
        "g (int64[N,4] x) => (int64[N,4] y) <int64[1] p = {1099511628211}, int64[1] m = {1009}> "
        "{ h = Mul(x, p) y = Mod(h, m) }",
    )
    yield _shown(
        "division_of_whole_numbers",
        "g (int32[N,4] x, int32[N,4] k) => (int32[N,4] y) { y = Div(x, k) }",
        REFUSED,
    )
    yield _shown(
        "remainder_by_content",
        "g (int64[N,4] x) => (int64[N,4] y) <int64[1] m = {7}> { y = Mod(m, x) }",
        REFUSED,
    )
    yield _shown(
        "ratio_of_floats", "g (float[N,4] x, float[N,4] k) => (float[N,4] y) { y = Div(x, k) }"
    )
    yield _shown(
        "remainder", "g (int32[N,4] x) => (int32[N,4] y) <int32[1] m = {7}> { y = Mod(x, m) }"
    )
    yield _shown(
        "shifted",
        'g (uint64[N,4] x) => (uint64[N,4] y) <uint64[1] s = {33}> { y = BitShift<direction="RIGHT">(x, s) }',
    )
    yield _shown(
        "float_to_whole", "g (float[N,4] x) => (int32[N,4] y) { r = Round(x) y = Cast<to=6>(r) }"
    )
    yield _shown(
        "double_sum", "g (double[N,4] x) => (double[N,1] y) { y = ReduceSumSquare<axes=[1]>(x) }"
    )
    yield _shown(
        "picture",
        "g (uint8[N,8,8,3] x, float[4,3,3,3] w) => (float[N,4] y) "
        "{ f = Cast<to=1>(x) t = Transpose<perm=[0,3,1,2]>(f) k = Conv<kernel_shape=[3,3]>(t, w) r = Relu(k) "
        "g = GlobalAveragePool(r) y = Flatten(g) }",
        w=(4, 3, 3, 3),
    )
    yield _shown(
        "pooled",
        "g (float[N,3,8,8] x) => (float[N,3,4,4] y) { y = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) }",
    )
    yield _shown(
        "where_the_largest_were",
        "g (float[N,3,8,8] x) => (float[N,3,4,4] y, int64[N,3,4,4] i) "
        "{ y, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) }",
        ALONE,
    )
    yield _shown(
        "network_of_floats",
        "g (float[N,3,8,8] x, float[4,3,3,3] w, float[4,5] v) => (float[N,5] y) "
        "{ k = Conv<kernel_shape=[3,3]>(x, w) r = Relu(k) p = GlobalAveragePool(r) f = Flatten(p) m = MatMul(f, v) "
        "y = Softmax<axis=1>(m) }",
        w=(4, 3, 3, 3),
        v=(4, 5),
    )
    yield _shown(
        "recurrent",
        "g (float[N,5,3] x, float[1,16,3] w, float[1,16,4] r) => (float[N,4] y) "
        "{ t = Transpose<perm=[1,0,2]>(x) a, h, c = LSTM<hidden_size=4>(t, w, r) ax = Constant<value = int64[1] {0}>() "
        "y = Squeeze(h, ax) }",
        w=(1, 16, 3),
        r=(1, 16, 4),
    )
    yield _shown(
        "curves",
        "g (float[N,6] x) => (float[N,6] y, float[N,6] z, float[N,6] u) { y = Erf(x) e = Tanh(x) z = Exp(e) u = HardSwish(x) }",
    )


def exhibits() -> list[Exhibit]:
    """All of them."""
    return [*_by_type(), *_by_version(), *_odd(), *_mixing(), *_checked()]


def family_of(exhibit: Exhibit, sha256: str = "") -> Family:
    """The family that a publisher would declare, as far as a family can be declared for this graph."""
    held = {i.name for i in exhibit.model.graph.initializer}
    inputs = tuple(_spec(v) for v in exhibit.model.graph.input if v.name not in held)
    outputs = tuple(_spec(v) for v in exhibit.model.graph.output)
    variant = Variant("only", "fp32", "only.onnx", sha256, Accuracy(0.9, "made up"))
    return Family(exhibit.name, inputs, outputs, (variant,), Slo(5.0), max_batch=MAX_BATCH)


def write(exhibit: Exhibit, folder: Path) -> Family:
    """Lay the family down in `folder` as somebody without Gearshift's tools would."""
    folder.mkdir(parents=True)
    path = folder / "only.onnx"
    if exhibit.external:
        onnx.save(
            exhibit.model, path, save_as_external_data=True, location="only.data", size_threshold=0
        )
    else:
        onnx.save(exhibit.model, path)
    family = family_of(exhibit, hashlib.sha256(path.read_bytes()).hexdigest())
    (folder / "family.toml").write_text(render(family), encoding="utf-8")
    return family


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    """Free inner sizes are said to be 3, scalars and sequences to be rows of one."""
    tensor = value.type.tensor_type
    datatype = _DATATYPES.get(tensor.elem_type, "FP32")
    inner = [d.dim_value or 3 for d in tensor.shape.dim[1:]]
    return TensorSpec(value.name, datatype, (-1, *inner))
