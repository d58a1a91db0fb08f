"""What clients' rows may do to a graph, read off the graph."""

from pathlib import Path

import onnx
import pytest

from models.backends.base import BackendError
from models.backends.content import content_of
from tests.zoo import graph


def written(folder: Path, text: str) -> Path:
    onnx.save(graph(text), folder / "model.onnx")
    return folder / "model.onnx"


def test_shapes_computed_from_shapes_hang_on_nothing(tmp_path: Path):
    path = written(tmp_path, (
        "g (float[N,6] x) => (float[N,3,2] y) { s = Shape(x) z = Constant<value = int64 {0}>() n = Gather(s, z) "
        "o = Constant<value = int64[1] {1}>() m = Reshape(n, o) r = Constant<value = int64[2] {3, 2}>() "
        "t = Concat<axis=0>(m, r) y = Reshape(x, t) }"))  # fmt: skip

    assert not content_of(path).hangs


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

    assert operator in content_of(path).hangs


def test_what_a_branch_does_inside_counts_too(tmp_path: Path):
    path = written(tmp_path, (
        "g (float[N,6] x) => (float[M,2] y) { c = Constant<value = bool {1}>() "
        "y = If (c) <then_branch = a () => (float[M,2] t) { n = NonZero(x) f = Cast<to=1>(n) "
        "t = Transpose<perm=[1,0]>(f) }, "
        "else_branch = b () => (float[M,2] e) { e = Identity(x) }> }"))  # fmt: skip

    assert "NonZero" in content_of(path).hangs


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
    ],
)
def test_divisions_that_a_row_could_end_the_process_with_are_told(
    types: str, body: str, is_fatal: bool, tmp_path: Path
):
    path = written(tmp_path, f"g ({types}[N,6] x, {types}[N,6] k) => ({types}[N,6] y) {{ {body} }}")

    assert bool(content_of(path).fatal) == is_fatal


def test_a_file_that_is_no_graph_is_said_to_be_none(tmp_path: Path):
    (tmp_path / "model.onnx").write_bytes(b"\xff\xff\xff not a graph")

    with pytest.raises(BackendError, match="no ONNX model"):
        content_of(tmp_path / "model.onnx")
