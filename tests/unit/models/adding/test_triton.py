"""What is taken of a Triton repository's config.pbtxt, what is said of the rest, and that the graph wins."""

from pathlib import Path

import onnx
import pytest

from models.adding.adding import Asked, add
from models.adding.configs.pbtxt import read_fields
from models.adding.configs.triton import read_config
from models.adding.found import models_in
from models.adding.sizing import AskedSize
from models.artifacts import load_family
from models.build.errors import BuildError
from models.catalog import Family
from tests.support.zoo import graph

NET = """
g (float[N, A, 4] x) => (float[N, 4] y)
<int64[1] a = {1}>
{ y = ReduceSum <keepdims = 0> (x, a) }
"""
USUAL = """
# as other servers write it
name: "pets"
platform: "onnxruntime_onnx"
max_batch_size: 8
input [
  { name: "x" data_type: TYPE_FP32 format: FORMAT_NONE dims: [ 3, 4 ] }
]
output [ { name: "y", data_type: TYPE_FP32, dims: [ 4 ], label_filename: "labels.txt" } ]
"""
REST = """
instance_group [ { count: 2 kind: KIND_GPU gpus: [ 0, 1 ] } ]
version_policy: { latest { num_versions: 2 } }
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
optimization { execution_accelerators {
  gpu_execution_accelerator : [ { name : "tensorrt" parameters { key: "precision_mode" value: "FP16" } } ]
} }
parameters { key: "k" value: { string_value: "v" 'w' } }
"""


def a_model(root: Path, config: str, net: str = NET, file: str = "model.onnx") -> Path:
    """The folder of a model in a Triton repository."""
    (root / "net" / "1").mkdir(parents=True)
    onnx.save(graph(net), root / "net" / "1" / file)
    (root / "net" / "config.pbtxt").write_text(config)
    (root / "net" / "labels.txt").write_text("cat\ndog\neel\nfox\n")
    return root / "net"


def added(model: Path, root: Path, asked: Asked | None = None) -> tuple[Family, str]:
    """The family as a server would load it, and what was said."""
    (found,), said = models_in(model), list[str]()
    (root / "work").mkdir()
    made = add(found, asked or Asked(root / "models"), root / "work", said.append).family
    return load_family(root / "models" / made.name), "\n".join(said)


def test_name_batch_labels_and_sizes_are_taken(tmp_path: Path):
    family, said = added(a_model(tmp_path, USUAL), tmp_path)

    assert family.name == "pets"
    assert family.max_batch == 8
    assert family.labels == ("cat", "dog", "eel", "fox")
    assert family.inputs[0].shape == (-1, 3, 4)
    assert family.sizes == ()
    assert "max_batch_size 8 is taken" in said
    assert "input 'x' is served with [3, 4]" in said
    assert "not taken:" not in said


def test_what_is_not_taken_is_said_in_one_line(tmp_path: Path):
    text = (USUAL + REST).replace("onnxruntime_onnx", "tensorrt_plan")

    _, said = added(a_model(tmp_path, text), tmp_path)

    (line,) = [line for line in said.splitlines() if " not taken: " in line]
    assert line.startswith(
        "config.pbtxt: instance_group, version_policy, dynamic_batching, optimization, platform "
        '"tensorrt_plan" not taken: '
    )


def test_sizes_that_are_free_in_both_stay_free(tmp_path: Path):
    family, said = added(a_model(tmp_path, USUAL.replace("[ 3, 4 ]", "[ -1, 4 ]")), tmp_path)

    assert [s.name for s in family.sizes] == ["A"]
    assert "is served with" not in said


def test_of_two_free_sizes_the_one_that_is_stated_is_fixed(tmp_path: Path):
    net = "g (float[N, A, B] x) => (float[N, A, B] y) { y = Identity(x) }"
    text = USUAL.replace("[ 3, 4 ]", "[ -1, 5 ]").partition("output")[0]

    family, _ = added(a_model(tmp_path, text, net), tmp_path)

    assert {s.name: s.typical for s in family.sizes}["B"] == 5
    assert {s.name: s.most for s in family.sizes}["B"] == 5
    assert {s.name: s.most for s in family.sizes}["A"] > 5


def test_without_batching_the_first_dimension_is_the_rows(tmp_path: Path):
    text = USUAL.replace("max_batch_size: 8", "max_batch_size: 0").replace(
        "[ 3, 4 ]", "[ -1, 3, 4 ]"
    )

    family, said = added(
        a_model(tmp_path, text.replace("dims: [ 4 ]", "dims: [ -1, 4 ]")), tmp_path
    )

    assert family.inputs[0].shape == (-1, 3, 4)
    assert family.max_batch == 32
    assert "the graph is right" not in said


def test_what_was_asked_for_by_hand_counts_more(tmp_path: Path):
    asked = Asked(tmp_path / "models", "cats", sizes={"A": AskedSize(5, 6)})

    family, _ = added(a_model(tmp_path, USUAL), tmp_path, asked)

    assert family.name == "cats"
    assert [(s.name, s.typical, s.most) for s in family.sizes] == [("A", 5, 6)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[ 3, 4 ]", "[ 3, 5 ]", "input 'x' has [-1, 4] behind the rows by the graph, not [3, 5]"),
        ("[ 3, 4 ]", "[ 4 ]", "input 'x' has [-1, 4] behind the rows by the graph, not [4]"),
        ("TYPE_FP32 format", "TYPE_INT8 format", "input 'x' is FP32 by the graph, not INT8"),
        ('"x"', '"z"', "input 'z' is not served, as the graph has x"),
        ("[ 4 ]", "[ 5 ]", "output 'y' has [4] behind the rows by the graph, not [5]"),
        ('"y"', '"z"', "output 'z' is not served, as the graph has y"),
        ("labels.txt", "gone.txt", "no labels are taken: "),
    ],
)
def test_where_it_contradicts_the_graph_the_graph_wins_and_a_line_says_so(
    tmp_path: Path, old: str, new: str, said: str
):
    assert USUAL.count(old) == 1

    family, lines = added(a_model(tmp_path, USUAL.replace(old, new)), tmp_path)

    assert said in lines
    assert family.inputs[0].datatype == "FP32"
    assert family.inputs[0].shape[2] == 4
    assert family.outputs[0].shape == (-1, 4)


def test_labels_of_another_number_are_not_taken(tmp_path: Path):
    model = a_model(tmp_path, USUAL)
    (model / "labels.txt").write_text("cat\ndog\n")

    family, said = added(model, tmp_path)

    assert family.labels == ()
    assert "no output has a score for each of the 2 labels of labels.txt" in said


def test_a_graph_that_takes_one_row_keeps_to_it(tmp_path: Path):
    net = "g (float[1, 3, 4] x) => (int64[3, K] y) { y = NonZero(x) }"

    family, said = added(a_model(tmp_path, USUAL.partition("output")[0], net), tmp_path)

    assert family.one_row
    assert family.max_batch == 1
    assert "max_batch_size 8 is not taken, as the graph takes one row" in said


def test_a_graph_of_another_name_is_found_where_the_config_names_it(tmp_path: Path):
    text = USUAL + 'default_model_filename: "net.onnx"'

    family, _ = added(a_model(tmp_path, text, file="net.onnx"), tmp_path)

    assert family.name == "pets"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ('name: "a\n', "line 1, column 7: "),
        ('name: "a"\ninput [ { name: "x" ', "line 2, column 21: "),
        ("max_batch_size 8", "line 1, column 16: "),
        ("a { " * 100, "nested too deeply"),
        ('name: "\\xff"', "line 1"),
        ('name: "\\e" :', "line 1, column 12"),
        (
            'ensemble_scheduling { step [ { model_name: "a" }, { model_name: "b" } ] }',
            "an ensemble of a, b",
        ),
        ('platform: "ensemble"', "an ensemble, which"),
        ('backend: "python"', "runs a program"),
        ('default_model_filename: "../../net.onnx"', "must be a file's name"),
        ('output { label_filename: "/etc/passwd" }', "must be a file's name"),
    ],
)
def test_what_cannot_be_read_or_is_no_graph_is_refused_with_a_line(
    tmp_path: Path, config: str, said: str
):
    model = a_model(tmp_path, config)

    with pytest.raises(BuildError) as refused:
        models_in(model)

    assert said in str(refused.value)
    assert str(refused.value).startswith(f"{model}/config.pbtxt")
    assert "\n" not in str(refused.value)


def test_texts_numbers_and_messages_are_read_as_they_are_spelled(tmp_path: Path):
    path = tmp_path / "config.pbtxt"
    path.write_text(
        "a: 1 a: [2, 0x3]; b { c: 'd' \"e\" }, b < c: -4.5 > # f: 6\nb: [ { c: G }, {} ] n: []"
    )

    assert read_fields(path) == {
        "a": ["1", "2", "0x3"],
        "b": [{"c": ["de"]}, {"c": ["-4.5"]}, {"c": ["G"]}, {}],
        "n": [],
    }


def test_a_folder_without_a_config_has_none(tmp_path: Path):
    assert read_config(tmp_path) is None
