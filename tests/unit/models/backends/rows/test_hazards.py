"""What clients' rows may do to a graph, read off the graph."""

from pathlib import Path

import onnx
import pytest

from models.backends.base import BackendError
from models.backends.rows.hazards import hazards_of
from models.catalog import Family, FreeSize, Slo, TensorSpec
from tests.support.outside import outside
from tests.support.zoo import POSITIONS, graph


def written(folder: Path, text: str) -> Path:
    onnx.save(graph(text), folder / "model.onnx")
    return folder / "model.onnx"


def test_shapes_computed_from_shapes_hang_on_nothing(tmp_path: Path):
    text = """g (float[N,6] x) => (float[N,3,2] y) {
        s = Shape(x) z = Constant<value = int64 {0}>() n = Gather(s, z)
        o = Constant<value = int64[1] {1}>() m = Reshape(n, o)
        r = Constant<value = int64[2] {3, 2}>() t = Concat<axis=0>(m, r) y = Reshape(x, t)
    }"""
    path = written(tmp_path, text)

    assert not hazards_of(path).hangs


@pytest.mark.parametrize(
    ("body", "operator"),
    [
        ("n = NonZero(x) f = Cast<to=1>(n) y = Identity(f)", "NonZero"),
        ("a = ArgMax<axis=1, keepdims=0>(x) y = Expand(x, a)", "Expand"),
        (
            "k = Cast<to=7>(x) o = Constant<value = int64[1] {1}>() s = Reshape(k, o) y, i = TopK(x, s)",
            "TopK",
        ),
    ],
)
def test_sizes_computed_from_rows_are_told(body: str, operator: str, tmp_path: Path):
    path = written(tmp_path, f"g (float[N,6] x) => (float[N,6] y) {{ {body} }}")

    assert operator in hazards_of(path).hangs


def test_what_a_branch_does_inside_counts_too(tmp_path: Path):
    text = """g (float[N,6] x) => (float[M,2] y) {
        c = Constant<value = bool {1}>()
        y = If (c) <
            then_branch = a () => (float[M,2] t) {
                n = NonZero(x) f = Cast<to=1>(n) t = Transpose<perm=[1,0]>(f)
            },
            else_branch = b () => (float[M,2] e) { e = Identity(x) }
        >
    }"""
    path = written(tmp_path, text)

    assert "NonZero" in hazards_of(path).hangs


@pytest.mark.parametrize(
    ("types", "body", "is_fatal"),
    [
        ("int32", "y = Div(x, k)", True),
        ("int64", "y = Mod(x, k)", True),
        ("int64", "y = Mod<fmod=1>(x, k)", False),
        ("float", "y = Div(x, k)", False),
        ("int64", "s = Constant<value = int64[1] {7}>() y = Div(x, s)", False),
        ("int64", "s = Constant<value = int64[1] {-1}>() y = Div(x, s)", True),
        (
            "int64",
            "s = Shape(x) z = Constant<value = int64[1] {1}>() n = Gather(s, z) y = Div(x, n)",
            False,
        ),
        ("int64", "s = Constant<value_ints = [-1]>() y = Div(x, s)", True),
        ("int64", "s = Constant<value_ints = [3]>() y = Div(x, s)", False),
        ("int64", "s = Constant<value_int = -1>() y = Mod(x, s)", True),
        ("int64", "s = Constant<value = int64[1] {1}>() n = Neg(s) y = Div(x, n)", True),
        ("int64", "f = Constant<value = float[1] {-1.5}>() n = Cast<to=7>(f) y = Div(x, n)", True),
        ("int32", "f = Constant<value = float[1] {8}>() n = Cast<to=6>(f) y = Div(x, n)", False),
    ],
)
def test_divisions_that_a_row_could_end_the_process_with_are_told(
    types: str, body: str, is_fatal: bool, tmp_path: Path
):
    path = written(tmp_path, f"g ({types}[N,6] x, {types}[N,6] k) => ({types}[N,6] y) {{ {body} }}")

    assert bool(hazards_of(path).fatal) == is_fatal


def test_a_file_that_is_no_graph_is_said_to_be_none(tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(b"\xff\xff\xff not a graph")

    with pytest.raises(BackendError, match="no ONNX model"):
        hazards_of(tmp_path / "model.onnx")


ALONG_ROWS = {
    "ReduceMax": "m = ReduceMax<keepdims=0>(x) y = Add(x, m)",
    "ReduceMean": "m = ReduceMean<axes=[0]>(x) y = Sub(x, m)",
    "ReduceSum": "a = Constant<value = int64[1] {0}>() m = ReduceSum(x, a) y = Sub(x, m)",
    "ArgMax": "m = ArgMax<axis=0>(x) f = Cast<to=1>(m) y = Add(x, f)",
    "Softmax": "y = Softmax<axis=0>(x)",
    "CumSum": "a = Constant<value = int64 {0}>() y = CumSum(x, a)",
    "DynamicQuantizeLinear": "q, s, z = DynamicQuantizeLinear(x) y = DequantizeLinear(q, s, z)",
    "MatMul": "t = Transpose(x) m = MatMul(t, x) y = MatMul(x, m)",
    "Reshape": "s = Constant<value = int64[2] {2, -1}>() r = Reshape(x, s) t = Shape(x) y = Reshape(r, t)",
    "Slice": (
        "a = Constant<value = int64[1] {0}>() b = Constant<value = int64[1] {1}>() r = Slice(x, a, b, a) y = Add(x, r)"
    ),
    "Gather": "i = Constant<value = int64 {-1}>() r = Gather<axis=0>(x, i) y = Add(x, r)",
    "Conv": (
        "t = Transpose(x) u = Unsqueeze(t, z) c = Conv<kernel_shape=[1], pads=[0, 0]>(u, w) s = Squeeze(c, z) "
        "r = Transpose(s) y = Add(x, r)"
    ),
    "Einsum": 'e = Einsum<equation = "ni,nj->ij">(x, x) y = MatMul(x, e)',
    "Pad": (
        "p = Constant<value = int64[4] {1, 0, 0, 0}>() q = Pad(x, p) t = Shape(x) y = Expand(q, t)"
    ),
    "Trilu": "r = Trilu(x) y = Add(x, r)",
    "Concat": "q = Concat<axis=0>(x, x) y = Add(q, q)",
    "Scan": (
        "z = Constant<value=float[6] {0,0,0,0,0,0}>() f, y = Scan<num_scan_inputs=1, "
        "body = b (float[6] s, float[6] v) => (float[6] t, float[6] o) { t = Max(s, v) o = Add(v, t) }>(z, x)"
    ),
}
TWISTED = {
    "Add": "s = Shape(x) z = Constant<value = int64 {0}>() n = Gather(s, z) f = Cast<to=1>(n) y = Add(x, f)",
    "Mul": "s = Shape(x) z = Constant<value = int64 {-2}>() n = Gather(s, z) f = Cast<to=1>(n) y = Mul(x, f)",
    "Sub": (
        "s = Shape(x) a = Constant<value = int64[1] {-2}>() b = Constant<value = int64[1] {-1}>() n = Slice(s, a, b) "
        "f = Cast<to=1>(n) y = Sub(x, f)"
    ),
    "Max": (
        "o = Constant<value = int64[1] {1}>() u = Unsqueeze(x, o) q, i = MaxPool<kernel_shape=[1]>(u) "
        "f = Cast<to=1>(i) r = Squeeze(f, o) "
        "y = Max(x, r)"
    ),
    "ScatterND": (
        "i = Constant<value = int64[1,1] {0}>() u = Constant<value = float[1,6] {0,0,0,0,0,0}>() y = ScatterND(x, i, u)"
    ),
    "RandomUniformLike": "r = RandomUniformLike(x) y = Add(x, r)",
}


@pytest.mark.parametrize("operator", ALONG_ROWS)
def test_what_runs_over_the_rows_is_told_whatever_the_rows_hold(operator: str, tmp_path: Path):
    weights = "<float[6,6,1] w = {" + ",".join("1" for _ in range(36)) + "}, int64[1] z = {0}>"
    text = f"g (float[N,6] x) => (float[N,6] y) {weights} {{ {ALONG_ROWS[operator]} }}"
    path = written(tmp_path, text)

    assert hazards_of(path).hangs == f"its {operator} runs over the rows of a batch"


@pytest.mark.parametrize("operator", TWISTED)
def test_what_is_not_known_to_keep_rows_apart_is_told(operator: str, tmp_path: Path):
    path = written(tmp_path, f"g (float[N,6] x) => (float[N,6] y) {{ {TWISTED[operator]} }}")

    assert f"not known that its {operator} keeps" in hazards_of(path).hangs


@pytest.mark.parametrize(
    "body",
    [
        "m = ReduceMax<axes=[1]>(x) y = Add(x, m)",
        "y = Softmax(x)",
        "t = Transpose(x) s = Softmax<axis=0>(t) y = Transpose(s)",
        "a = Constant<value = int64 {1}>() y = CumSum(x, a)",
        "s = Shape<start=1>(x) n = ReduceMax<keepdims=0>(s) f = Cast<to=1>(n) y = Add(x, f)",
        "s = Constant<value = int64[2] {-1, 3}>() r = Reshape(x, s) m = Softmax(r) t = Shape(x) y = Reshape(m, t)",
        "s = Shape(x) z = Constant<value = int64 {-1}>() n = Gather(s, z) f = Cast<to=1>(n) y = Mul(x, f)",
        "s = Shape(x) a = Constant<value = int64[1] {-1}>() b = Constant<value = int64[1] {9}>() n = Slice(s, a, b) "
        "f = Cast<to=1>(n) y = Sub(x, f)",
        "t = Transpose(x) s = Shape(t) f = Flatten<axis=2>(x) r = Reshape(t, s) y = Transpose(r)",
        "s = Shape(x) c = ConstantOfShape<value = float[1] {2.0}>(s) q = Concat<axis=1>(x, c) "
        "a = Constant<value = int64[1] {0}>() b = Constant<value = int64[1] {6}>() "
        "o = Constant<value = int64[1] {1}>() y = Slice(q, a, b, o)",
        'y = Einsum<equation = "ni,ni->ni">(x, x)',
    ],
)
def test_what_runs_along_a_row_is_not(body: str, tmp_path: Path):
    path = written(tmp_path, f"g (float[N,6] x) => (float[N,6] y) {{ {body} }}")

    assert not hazards_of(path).hangs


def loop(rounds: str, goes_on: str) -> str:
    return (
        f"g (float[N,4] x) => (float[N,4] y) {{ n = Constant<value=int64 {{3}}>() c = Constant<value=bool {{1}}>() "
        f"y = Loop ({rounds}, c, x) <body = l (int64 i, bool cin, float[N,4] v) => (bool co, float[N,4] w) "
        f"{{ w = Add(v, v) {goes_on} }}> }}"
    )


ITS_OWN = "m = ReduceMax<keepdims=0>(w) e = Constant<value=float {9.0}>() co = Less(m, e)"


@pytest.mark.parametrize(
    ("rounds", "goes_on", "hangs"),
    [("n", "co = Identity(cin)", False), ("", ITS_OWN, True), ("n", ITS_OWN, True)],
)
def test_a_loop_that_goes_on_by_what_it_finds_may_be_endless(
    rounds: str, goes_on: str, hangs: bool, tmp_path: Path
):
    found = hazards_of(written(tmp_path, loop(rounds, goes_on)))

    assert bool(found.hangs) == hangs
    assert bool(found.endless) == hangs


COUNTED = """
    k = Cast<to=7>(x) m = ReduceMax<keepdims=0>(k) z = Constant<value=int64 {0}>()
    o = Constant<value=int64 {1}>() r = Range(z, m, o) f = Cast<to=1>(r) y = Add(x, f)
"""
"""As many numbers as the content says."""


@pytest.mark.parametrize(
    ("body", "endless"),
    [(COUNTED, True), ("n = NonZero(x) f = Cast<to=1>(n) y = Identity(f)", False)],
)
def test_sizes_without_bound_are_told_from_those_with_one(body: str, endless: bool, tmp_path: Path):
    path = written(tmp_path, f"g (float[N,6] x) => (float[N,6] y) {{ {body} }}")

    assert bool(hazards_of(path).endless) == endless


def test_a_division_in_a_body_counts_too(tmp_path: Path):
    text = """g (int64[N,4] x) => (int64[N,4] y) {
        n = Constant<value=int64 {3}>() c = Constant<value=bool {1}>()
        y = Loop (n, c, x) <body = l (int64 i, bool cin, int64[N,4] v) => (bool co, int64[N,4] w) {
            co = Identity(cin) d = Constant<value=int64 {100}>() w = Div(d, v)
        }>
    }"""
    path = written(tmp_path, text)

    assert hazards_of(path).fatal


@pytest.mark.parametrize("types", ["uint8", "int8", "uint32", "uint64"])
def test_divisions_that_runtimes_refuse_row_by_row_end_nothing(types: str, tmp_path: Path):
    rows = f"{types}[N,6]"
    path = written(tmp_path, f"g ({rows} x, {rows} k) => ({rows} y) {{ y = Div(x, k) }}")

    assert not hazards_of(path).fatal


def test_a_divisor_kept_in_another_file_may_be_anything(tmp_path: Path):
    model = graph("g (int64[N,6] x) => (int64[N,6] y) <int64[1] k = {3}> { y = Div(x, k) }")
    onnx.save(model, tmp_path / "inside.onnx")
    outside(model.graph.initializer[0], "k.data")
    onnx.save(model, tmp_path / "outside.onnx")

    assert not hazards_of(tmp_path / "inside.onnx").fatal
    assert hazards_of(tmp_path / "outside.onnx").fatal


def of_any_length(most: int) -> Family:
    spec = TensorSpec("ids", "INT64", (-1, -1), ("S",))
    return Family("f", (spec,), (), (), Slo(0.05), sizes=(FreeSize("S", 8, most),))


def test_rows_are_followed_where_sizes_are_free(tmp_path: Path):
    path = written(tmp_path, POSITIONS)

    assert hazards_of(path, of_any_length(64)).hangs == ""


def test_what_mixes_rows_does_so_at_any_size(tmp_path: Path):
    path = written(
        tmp_path,
        POSITIONS.replace("Cast <to = 1> (ids)", "Cast <to = 1> (flipped)").replace(
            "tokens =", "flipped = CumSum(ids, zero)\n    tokens ="
        ),
    )

    assert hazards_of(path, of_any_length(64)).hangs


LINEAR = (
    "l, p = ai.onnx.ml.LinearClassifier<classlabels_ints=[0,1,2], "
    "coefficients=[1.0,2.0,3.0,4.0,5.0,6.0,7.0,8.0,9.0,1.0,2.0,3.0]>(x) "
)
ML = """<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]>
g (float[N,4] x) => (%s)
<float[3] names = {4, 5, 6}, int64[1] flat = {-1}, int64[2] pairs = {-1, 3}, float[4,3] w = {1,0,0,0,1,0,0,0,1,1,1,1}>
{ %s }
"""


def learnt(folder: Path, output: str, body: str) -> Path:
    """A graph with operators of ai.onnx.ml."""
    onnx.save(onnx.parser.parse_model(ML % (output, body)), folder / "model.onnx")
    return folder / "model.onnx"


@pytest.mark.parametrize(
    ("output", "body"),
    [
        (  # the class of each row, as scikit-learn's exports look it up
            "float[N] y",
            "s = MatMul(x, w) k = ArgMax<axis=1>(s) f = ai.onnx.ml.ArrayFeatureExtractor(names, k) "
            "y = Reshape(f, flat)",
        ),
        (
            "float[N] y",
            "s = MatMul(x, w) k = ArgMax<axis=1, keepdims=0>(s) f = ai.onnx.ml.ArrayFeatureExtractor(names, k) "
            "y = Reshape(f, flat)",
        ),
        (  # probabilities of a linear model, reshaped
            "float[N,3] y",
            LINEAR + 'q = ai.onnx.ml.Normalizer<norm="L1">(p) y = Reshape(q, pairs)',
        ),
        (
            "float[N,1] y",
            "p = ai.onnx.ml.LinearRegressor<coefficients=[1.0,2.0,3.0,4.0]>(x) y = Flatten(p)",
        ),
    ],
)
def test_scikit_learns_own_operators_keep_rows_apart(tmp_path: Path, output: str, body: str):
    assert hazards_of(learnt(tmp_path, output, body)).hangs == ""


@pytest.mark.parametrize(
    ("output", "body"),
    [
        (  # two places a row: twice as many values as rows
            "float[M] y",
            "k = Cast<to=7>(x) f = ai.onnx.ml.ArrayFeatureExtractor(names, k) y = Reshape(f, flat)",
        ),
        (  # of what is found in the first row
            "float[M] y",
            "s = MatMul(x, w) k = ArgMax<axis=0, keepdims=0>(s) f = ai.onnx.ml.ArrayFeatureExtractor(names, k) "
            "y = Reshape(f, flat)",
        ),
        (
            "float[M,3] y",
            LINEAR + "t = Transpose(p) y = Reshape(t, pairs)",
        ),
    ],
)
def test_scikit_learns_own_operators_may_mix_rows(tmp_path: Path, output: str, body: str):
    assert hazards_of(learnt(tmp_path, output, body)).hangs
