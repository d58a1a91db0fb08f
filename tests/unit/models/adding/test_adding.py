"""A stranger's graph made a family: what is read, what is measured, what is said and what is refused."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from models.adding.adding import Asked, add
from models.adding.found import FoundModel
from models.adding.sizing import AskedSize
from models.artifacts import FamilyExists, load_family
from models.backends import open_backend
from models.build.errors import BuildError
from models.catalog import Family, FreeSize
from tests.support.sessions import plain
from tests.support.zoo import POSITIONS, graph

DENSE = """
g (float[N, 4] x) => (float[N, 3] y)
<float[4, 3] w = {1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0}>
{ y = MatMul(x, w) }
"""
ONE_ROW = DENSE.replace("[N", "[1")
FIXED = DENSE.replace("[N", "[2")
FREE = "g (float[N, S] x, float[N, 3] z) => (float[N, S] y) { y = Identity(x) }"
STUCK = """
g (float[1, 4] x) => (float[1, 2, 2] y)
<int64[3] s = {1, 2, 2}>
{ y = Reshape(x, s) }
"""
MIXING = """
g (float[N, 4] x) => (float[N, 4] y)
{ m = ReduceMax <axes = [0]> (x) y = Sub(x, m) }
"""
FEW = "g (float[1, 4] x) => (int64[K, 2] y) { found = NonZero(x) y = Transpose(found) }"
BY_CONTENT = "g (float[N, 4] x) => (int64[2, K] y) { y = NonZero(x) }"
NOWHERE = """
g (float[N, S] x) => (float[N, 5000] y)
<int64[2] s = {-1, 5000}>
{ y = Reshape(x, s) }
"""
SINGLE = "g (float[N, 4] x) => (float y) { y = ReduceSum <keepdims = 0> (x) }"
TEXT = "g (float[N, 4] x, string[N, 1] t) => (float[N, 4] y) { y = Identity(x) }"


def added(tmp_path: Path, model: str | onnx.ModelProto, asked: Asked | None = None) -> Family:
    """The family as a server would load it; what was said goes to `said.txt`."""
    source, work, said = tmp_path / "net.onnx", tmp_path / "work", list[str]()
    work.mkdir(exist_ok=True)
    onnx.save(graph(model) if isinstance(model, str) else model, source)
    asked = asked or Asked(tmp_path / "models")
    add(FoundModel("net", source), asked, work, said.append)
    (tmp_path / "said.txt").write_text("\n".join(said))
    return load_family(asked.repository / "net")


def said(tmp_path: Path) -> str:
    return (tmp_path / "said.txt").read_text()


def with_maps(strings: bool) -> onnx.ModelProto:
    """A classifier as skl2onnx exports it: a class, and a map of scores."""
    model = graph(DENSE)
    labels: dict[str, Any] = (
        {"classlabels_strings": ["cat", "dog", "eel"]}
        if strings
        else {"classlabels_int64s": [3, 4, 5]}
    )
    model.graph.node.append(
        helper.make_node("ZipMap", ["y"], ["maps"], domain="ai.onnx.ml", **labels)
    )
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 1))
    score = helper.make_map_type_proto(
        TensorProto.STRING if strings else TensorProto.INT64,
        helper.make_tensor_type_proto(TensorProto.FLOAT, None),
    )
    del model.graph.output[:]
    model.graph.output.append(
        helper.make_value_info("maps", helper.make_sequence_type_proto(score))
    )
    return model


def test_signature_sum_bound_and_precision_come_from_the_graph(tmp_path: Path):
    family = added(tmp_path, DENSE)

    (variant,) = family.variants
    assert [(t.name, t.datatype, t.shape) for t in family.inputs] == [("x", "FP32", (-1, 4))]
    assert [(t.name, t.datatype, t.shape) for t in family.outputs] == [("y", "FP32", (-1, 3))]
    assert (variant.name, variant.precision) == ("net-fp32", "fp32")
    assert variant.accuracy.source.startswith("agreement with itself")
    assert family.slo.latency_s == 0.010
    assert "latency bound 10 ms" in said(tmp_path)


@pytest.mark.parametrize("strings", [True, False])
def test_maps_become_scores_and_their_classes_labels(tmp_path: Path, strings: bool):
    family = added(tmp_path, with_maps(strings))

    rows = np.random.default_rng(1).random((5, 4), np.float32)
    answer = plain(tmp_path / "models/net" / family.variants[0].artifact, {"x": rows})["maps"]
    assert np.array_equal(answer, rows[:, :3])
    assert family.labels == (("cat", "dog", "eel") if strings else ("3", "4", "5"))
    assert "'maps' is given as scores" in said(tmp_path)


def test_an_export_for_one_row_is_freed_where_rows_come_out_the_same(tmp_path: Path):
    family = added(tmp_path, ONE_ROW)

    rows = np.random.default_rng(1).random((5, 4), np.float32)
    answer = plain(tmp_path / "models/net" / family.variants[0].artifact, {"x": rows})["y"]
    assert np.array_equal(answer, rows[:, :3])
    assert "one row at a time" in said(tmp_path)


def test_free_sizes_are_served_as_asked(tmp_path: Path):
    asked = Asked(tmp_path / "models", shapes={"x": (7,)})

    family = added(tmp_path, FREE, asked)

    assert [t.shape for t in family.inputs] == [(-1, 7), (-1, 3)]
    assert [t.shape for t in family.outputs] == [(-1, 7)]


def test_free_sizes_stay_free_as_far_as_the_graph_takes_them(tmp_path: Path):
    family = added(tmp_path, FREE)

    assert [(t.shape, t.sizes) for t in family.inputs] == [((-1, -1), ("S",)), ((-1, 3), ())]
    assert [(t.shape, t.sizes) for t in family.outputs] == [((-1, -1), ("S",))]
    assert family.sizes == (FreeSize("S", 32, 1024),)
    assert "usual is S 32 (up to 1024)" in said(tmp_path)


def test_the_largest_size_is_the_last_that_runs(tmp_path: Path):
    assert added(tmp_path, POSITIONS).sizes == (FreeSize("S", 32, 64),)


@pytest.mark.parametrize("most", [33, 47, 100])
def test_the_largest_size_is_found_to_the_last(tmp_path: Path, most: int):
    found = added(tmp_path, POSITIONS.replace("{64}", f"{{{most}}}"))

    assert found.sizes == (FreeSize("S", 32, most),)


ONE_SIZE = """
g (float[N, S] x) => (float[N, S] y)
<float[4, 4] w = {1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7}>
{ y = MatMul(x, w) }
"""
CUT = """
g (float[N, S] x) => (float[N, T] y)
<int64[1] zero = {0}, int64[1] one = {1}, int64[1] most = {32}>
{ z = Slice(x, zero, most, one) y = Exp(z) }
"""


def test_an_output_that_follows_a_size_only_up_to_some_is_not_said_to_be_of_it(tmp_path: Path):
    (output,) = added(tmp_path, CUT).outputs

    assert (output.shape, output.sizes) == ((-1, -1), ("",))


def test_sizes_are_fixed_where_the_graph_takes_one_only(tmp_path: Path):
    family = added(tmp_path, ONE_SIZE)

    assert family.sizes == ()
    assert [t.shape for t in (*family.inputs, *family.outputs)] == [(-1, 4), (-1, 4)]


def test_outputs_of_a_size_with_no_room_above_it_stay_free(tmp_path: Path):
    asked = Asked(tmp_path / "models", sizes={"S": AskedSize(16, 16)})

    assert added(tmp_path, CUT, asked).outputs[0].sizes == ("S",)


def test_a_row_larger_than_memory_is_refused_in_one_line(tmp_path: Path):
    asked = Asked(tmp_path / "models", sizes={"S": AskedSize(4, 999_999_999)})

    with pytest.raises(BuildError, match="too large"):
        added(tmp_path, CUT, asked)


def test_a_size_may_be_said(tmp_path: Path):
    asked = Asked(tmp_path / "models", sizes={"S": AskedSize(10, 50)})

    assert added(tmp_path, POSITIONS, asked).sizes == (FreeSize("S", 10, 50),)


@pytest.mark.parametrize(
    ("size", "why"),
    [({"S": AskedSize(10, 100)}, "does not run"), ({"Z": AskedSize(1)}, "it has S")],
)
def test_a_size_that_the_graph_does_not_take_is_refused(
    tmp_path: Path, size: dict[str, AskedSize], why: str
):
    with pytest.raises(BuildError, match=why):
        added(tmp_path, POSITIONS, Asked(tmp_path / "models", sizes=size))


@pytest.mark.parametrize(
    ("model", "shape"), [(STUCK, (-1, 2, 2)), (BY_CONTENT, (-1, -1)), (FEW, (-1, 2))]
)
def test_what_takes_one_row_at_a_time_only_is_served_so(
    tmp_path: Path, model: str, shape: tuple[int, ...]
):
    family = added(tmp_path, model)

    assert (family.one_row, family.max_batch) == (True, 1)
    assert [t.shape for t in family.outputs] == [shape]
    assert "each request is one row" in said(tmp_path)


def test_rows_that_hang_on_each_other_are_told_of(tmp_path: Path):
    added(tmp_path, MIXING)

    assert "rows are served one by one" in said(tmp_path)


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (FIXED, "takes 2 rows at a time"),
        (NOWHERE, "say what is usual, --size S=N"),
        (SINGLE, "a single value without an axis"),
        (TEXT, "input 't' is string"),
    ],
)
def test_what_cannot_be_served_is_refused_and_nothing_is_made(tmp_path: Path, model: str, why: str):
    with pytest.raises(BuildError) as refused:
        added(tmp_path, model)

    assert why in str(refused.value)
    assert not (tmp_path / "models").exists()


@pytest.mark.parametrize(
    "content", [b"", b"no graph", onnx.ModelProto(ir_version=8).SerializeToString()]
)
def test_what_is_no_graph_is_refused(tmp_path: Path, content: bytes):
    (tmp_path / "net.onnx").write_bytes(content)

    with pytest.raises(BuildError, match=r"net\.onnx"):
        add(
            FoundModel("net", tmp_path / "net.onnx"),
            Asked(tmp_path / "models"),
            tmp_path,
            lambda _: None,
        )


def samples(tmp_path: Path, right: float, rows: int = 200) -> Path:
    """Rows whose class by `DENSE` is their label, but for some."""
    rng = np.random.default_rng(2)
    x = rng.random((rows, 4), np.float32)
    labels = x[:, :3].argmax(axis=1)
    wrong = rng.random(rows) >= right
    labels[wrong] = (labels[wrong] + 1) % 3
    np.savez(tmp_path / "rows.npz", x=x, labels=labels)
    return tmp_path / "rows.npz"


def test_labels_measure_accuracy_with_its_interval(tmp_path: Path):
    asked = Asked(tmp_path / "models", samples=samples(tmp_path, 0.8))

    (variant,) = added(tmp_path, DENSE, asked).variants

    known = variant.accuracy
    assert known.n == 100
    assert abs(known.value - 0.8) < known.interval < 0.1


def test_a_given_accuracy_stands_unless_labels_contradict_it(tmp_path: Path):
    given = Asked(tmp_path / "models", accuracy=0.91, source="own test set")
    (variant,) = added(tmp_path, DENSE, given).variants
    assert (variant.accuracy.value, variant.accuracy.source) == (0.91, "own test set")

    judged = replace(
        given, repository=tmp_path / "others", samples=samples(tmp_path, 0.5), accuracy=0.99
    )
    with pytest.raises(BuildError, match=r"contradicts the labels"):
        added(tmp_path, DENSE, judged)


@pytest.mark.parametrize("shift", [0, 7])
def test_what_says_no_label_better_than_guessing_is_no_accuracy(tmp_path: Path, shift: int):
    """An embedding is no class score, and labels may be in another order."""
    rng = np.random.default_rng(2)
    x = rng.random((200, 4), np.float32)
    labels = x[:, :3].argmax(axis=1) + shift if shift else rng.integers(0, 3, 200)
    np.savez(tmp_path / "rows.npz", x=x[:, [3, 3, 3, 3]] if not shift else x, labels=labels)

    with pytest.raises(BuildError, match=r"no more than always saying the commonest"):
        added(tmp_path, DENSE, Asked(tmp_path / "models", samples=tmp_path / "rows.npz"))

    assert not (tmp_path / "models" / "net").exists()


def test_an_output_that_says_how_many_rows_it_has_is_freed(tmp_path: Path):
    family = added(tmp_path, DENSE.replace("=> (float[N", "=> (float[1"))

    assert [t.shape for t in family.outputs] == [(-1, 3)]
    open_backend(tmp_path / "models" / "net", family, family.variants[0], threads=1).close()


def test_a_family_that_is_there_is_left_alone(tmp_path: Path):
    before = added(tmp_path, DENSE)

    with pytest.raises(FamilyExists):
        added(tmp_path, ONE_ROW)

    assert load_family(tmp_path / "models" / "net") == before


TRANSFORMER = """
g (int64[N, S] input_ids, int64[N, S] attention_mask) => (float[N, S] y, float[N] total)
<int64[1] tokens = {1}>
{
    ids = Cast <to = 1> (input_ids)
    mask = Cast <to = 1> (attention_mask)
    y = Mul(ids, mask)
    total = ReduceSum <keepdims = 0> (y, tokens)
}
"""


MAXIMUM = TRANSFORMER.replace("y = Mul(ids, mask)", "less = Neg(ids) y = Mul(less, mask)").replace(
    "total = ReduceSum <keepdims = 0> (y, tokens)",
    "total = ReduceMax <axes = [1], keepdims = 0> (y)",
)
"""Of what is below zero; what is hidden, or filled in, is zero."""
MEAN = TRANSFORMER.replace(
    "total = ReduceSum <keepdims = 0> (y, tokens)",
    "total = ReduceMean <axes = [1], keepdims = 0> (y)",
)


@pytest.mark.parametrize(
    ("model", "pads"),
    [
        (TRANSFORMER, True),
        (MEAN, False),
        (MAXIMUM, False),
        (TRANSFORMER.replace("input_ids", "numbers"), False),
        (TRANSFORMER.replace("attention_mask", "token_type_ids"), False),  # nothing is hidden
    ],
)
def test_padding_is_believed_of_transformers_where_it_changes_no_answer(
    tmp_path: Path, model: str, pads: bool
):
    assert added(tmp_path, model).pads == pads
    assert ("padded where that pays" in said(tmp_path)) == pads


def test_many_free_sizes_are_tried_small_where_usual_ones_are_too_many(tmp_path: Path):
    family = added(
        tmp_path, "g (float[N, A, B, C, D] x) => (float[N, A, B, C, D] y) { y = Relu(x) }"
    )

    assert family.sizes[0].typical ** 4 <= 1 << 26
