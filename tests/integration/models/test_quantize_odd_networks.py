"""`gearshift models quantize` on networks that nobody here made: what does not apply is left out with its reason, what
is doubtful is said, and nothing of the user's is touched."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.__main__ import main
from models.artifacts import load_family, look_through
from models.artifacts.digests import sha256_of
from models.build.narrowing import narrower
from models.build.narrowing.comparing import Judgement
from models.catalog import Accuracy, Family
from tests.support.outside import outside
from tests.support.serving.server import ROOT

WIDTH, CLASSES, ROWS = 16, 20, 80
Nodes = list[onnx.NodeProto]
Weights = list[TensorProto]


def some(*shape: int, seed: int = 4) -> np.ndarray:
    return (0.3 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def constant(name: str, value: np.ndarray) -> TensorProto:
    return numpy_helper.from_array(value, name)


def dense(target: str = "y") -> tuple[Nodes, Weights]:
    """`target` = x @ w, wide enough to be worth narrowing."""
    node = helper.make_node("MatMul", ["x", f"{target}.w"], [target], name=target)
    return [node], [constant(f"{target}.w", some(WIDTH, CLASSES))]


def a_family(
    root: Path,
    graph: tuple[Nodes, Weights],
    outputs: Sequence[tuple[str, str, Sequence[int]]] = (("y", "FP32", (CLASSES,)),),
    opsets: Sequence[tuple[str, int]] = (("", 17),),
    *,
    accuracy: float = 0.9,
    labelled: bool = False,
) -> Path:
    """A family as its user wrote it down, with files of their own beside."""
    folder = root / "own"
    folder.mkdir(parents=True)
    kinds = {"FP32": TensorProto.FLOAT, "INT64": TensorProto.INT64}
    ends = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", WIDTH])]
    results = [helper.make_tensor_value_info(n, kinds[d], ["N", *s]) for n, d, s in outputs]
    model = helper.make_model(
        helper.make_graph(graph[0], "own", ends, results, graph[1]),
        opset_imports=[helper.make_opsetid(*o) for o in opsets],
        ir_version=8,
    )
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    described = "".join(
        f'\n[[outputs]]\nname = "{n}"\ndatatype = "{d}"\nshape = {[-1, *s]}\n'
        for n, d, s in outputs
    )
    labels = [f"kind {i}" for i in range(CLASSES)] if labelled else []
    (folder / "family.toml").write_text(
        f"""# Ours: ask Ann.
name = "own"
labels = {labels}

[slo]
latency_ms = 50  # agreed

[[inputs]]
name = "x"
datatype = "FP32"
shape = [-1, {WIDTH}]
{described}
# The only one.
[[variants]]
name = "net"
precision = "fp32"
artifact = "model.onnx"
sha256 = "{sha256_of(folder / "model.onnx")}"
accuracy = {{ value = {accuracy}, source = "own test split" }}
"""
    )
    (folder / "notes.txt").write_text("notes")
    return folder


def quantize(root: Path, precisions: str = "int8,bf16,fp16", **arrays: Any) -> int:
    np.savez(root / "own" / "rows.npz", **({"x": some(ROWS, WIDTH, seed=9)} | arrays))
    rows = str(root / "own" / "rows.npz")
    options = ["--repository", str(root), "--calibration", rows, "--precisions", precisions]
    return main(["quantize", "own", *options])


def made(root: Path) -> dict[str, Accuracy]:
    return {v.name: v.accuracy for v in load_family(root / "own").variants[1:]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


def lstm() -> tuple[Nodes, Weights]:
    """x as a sequence of one step into an LSTM of CLASSES units."""
    weights = [
        constant("axis", np.array([0])), constant("W", some(1, 4 * CLASSES, WIDTH)),
        constant("R", some(1, 4 * CLASSES, CLASSES)),
    ]  # fmt: skip
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axis"], ["seq"]),
        helper.make_node("LSTM", ["seq", "W", "R"], ["", "h"], hidden_size=CLASSES),
        helper.make_node("Squeeze", ["h", "axis"], ["y"]),
    ]
    return nodes, weights


def trees() -> tuple[Nodes, Weights]:
    """As scikit-learn's converters write them: operators of ai.onnx.ml alone."""
    node = helper.make_node(
        "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=1,
        nodes_treeids=[0, 0, 0], nodes_nodeids=[0, 1, 2], nodes_featureids=[0, 0, 0],
        nodes_modes=["BRANCH_LEQ", "LEAF", "LEAF"], nodes_values=[0.0, 0.0, 0.0],
        nodes_truenodeids=[1, 0, 0], nodes_falsenodeids=[2, 0, 0],
        target_treeids=[0, 0], target_nodeids=[1, 2], target_ids=[0, 0], target_weights=[1.0, 2.0],
    )  # fmt: skip
    return [node], []


def classifier() -> tuple[Nodes, Weights]:
    """A logistic regression as scikit-learn's converters write it: labels as whole numbers, scores beside them."""
    node = helper.make_node(
        "LinearClassifier", ["x"], ["label", "scores"], domain="ai.onnx.ml", multi_class=1,
        coefficients=some(WIDTH * CLASSES).tolist(), intercepts=[0.0] * CLASSES,
        classlabels_ints=list(range(CLASSES)), post_transform="SOFTMAX",
    )  # fmt: skip
    return [node], []


def branches() -> tuple[Nodes, Weights]:
    """All weights in the branches of an If."""
    inner = [
        helper.make_graph(
            [helper.make_node("MatMul", ["x", f"w{i}"], [f"y{i}"])],
            f"branch{i}",
            [],
            [helper.make_tensor_value_info(f"y{i}", TensorProto.FLOAT, ["N", CLASSES])],
            [constant(f"w{i}", some(WIDTH, CLASSES))],
        )
        for i in range(2)
    ]
    node = helper.make_node("If", ["yes"], ["y"], then_branch=inner[0], else_branch=inner[1])
    return [node], [constant("yes", np.array(True))]


NOTHING = {
    "no weights": (([helper.make_node("Relu", ["x"], ["y"])], []), (("y", "FP32", (WIDTH,)),), (("", 17),)),
    "lstm": (lstm(), (("y", "FP32", (CLASSES,)),), (("", 17),)),
    "trees": (trees(), (("y", "FP32", (1,)),), (("ai.onnx.ml", 1), ("", 17))),
    "no standard operators": (trees(), (("y", "FP32", (1,)),), (("ai.onnx.ml", 1),)),
    "classifier": (
        classifier(), (("label", "INT64", ()), ("scores", "FP32", (CLASSES,))), (("ai.onnx.ml", 1), ("", 17)),
    ),
    "branches": (branches(), (("y", "FP32", (CLASSES,)),), (("", 17),)),
}  # fmt: skip


@pytest.mark.parametrize("name", NOTHING)
def test_a_network_that_can_be_had_in_no_precision_is_left_as_it_is(
    root: Path, capsys: pytest.CaptureFixture[str], name: str
):
    graph, outputs, opsets = NOTHING[name]
    folder = a_family(root, graph, outputs, opsets)
    before = (folder / "family.toml").read_bytes()

    assert quantize(root) == 2

    said = capsys.readouterr().err
    assert "Traceback" not in said
    assert said.startswith("gearshift models: nothing was published: net-int8 is left out: ")
    assert said.count("is left out: ") == 3
    assert (folder / "family.toml").read_bytes() == before


def test_an_opset_too_old_for_int8_leaves_the_others(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    a_family(root, dense(), opsets=[("", 11)])

    assert quantize(root) == 0

    said = capsys.readouterr().err
    assert "net-int8 is left out: its operators are of opset 11, int8 needs 13" in said
    assert "net-bf16 is left out: its operators are of opset 11, bf16 needs 13" in said
    assert made(root).keys() == {"net-fp16"}


def test_a_recurrent_network_with_a_dense_layer_gets_what_applies(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    nodes, weights = lstm()
    nodes[-1].output[0] = "h.flat"
    nodes.append(helper.make_node("MatMul", ["h.flat", "head"], ["y"], name="head"))
    a_family(root, (nodes, [*weights, constant("head", some(CLASSES, CLASSES))]))

    assert quantize(root) == 0

    assert {"net-bf16", "net-fp16"} <= made(root).keys()
    assert "Traceback" not in capsys.readouterr().err


def test_one_source_that_does_not_run_leaves_the_others(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    folder = a_family(root, dense())
    (folder / "broken.onnx").write_bytes(b"no network")
    with (folder / "family.toml").open("a") as file:
        file.write(
            f'\n[[variants]]\nname = "broken"\nprecision = "fp32"\nartifact = "broken.onnx"\n'
            f'sha256 = "{sha256_of(folder / "broken.onnx")}"\naccuracy = {{ value = 0.5, source = "none" }}\n'
        )

    assert quantize(root, "bf16") == 0

    assert "broken is passed over: " in capsys.readouterr().err
    assert "net-bf16" in made(root)


def with_a_copy_of_the_users_own(folder: Path) -> str:
    """The table of an int8 variant that its user made; its artefact lies beside."""
    content = (folder / "model.onnx").read_bytes() + b"\x3a\x00"  # an empty field that nobody knows
    (folder / "my-qat.onnx").write_bytes(content)
    table = (
        f'\n# Took a week.\n[[variants]]\nname = "net-int8"\nprecision = "int8"\nartifact = "my-qat.onnx"\n'
        f'sha256 = "{sha256_of(folder / "my-qat.onnx")}"\naccuracy = {{ value = 0.85, source = "own test split" }}\n'
    )
    with (folder / "family.toml").open("a") as file:
        file.write(table)
    return table


def test_a_variant_that_its_user_made_is_left_alone_and_the_others_are_made(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    folder = a_family(root, dense())
    table = with_a_copy_of_the_users_own(folder)

    assert quantize(root) == quantize(root) == 0

    said = capsys.readouterr().err
    assert "net-int8 is left out: the variant of that name is yours: " in said
    assert "Gearshift did not write my-qat.onnx; rename it to have both" in said
    assert table in (folder / "family.toml").read_text()
    names = [v.name for v in load_family(folder).variants]
    assert names == ["net", "net-int8", "net-bf16", "net-fp16"]


def test_a_variant_that_its_user_adds_while_copies_are_made_is_not_replaced(
    root: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    folder = a_family(root, dense())
    judge = narrower.judged

    def judged_while_the_user_writes(*given: Any) -> Judgement:
        with_a_copy_of_the_users_own(folder)
        return judge(*given)

    monkeypatch.setattr(narrower, "judged", judged_while_the_user_writes)

    assert quantize(root, "int8") == 2

    assert "net-int8 of family own was put there meanwhile" in capsys.readouterr().err
    assert load_family(folder).variants[1].artifact == "my-qat.onnx"


def test_labels_that_contradict_the_manifest_are_said_and_not_written_as_fact(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    a_family(root, dense(), accuracy=0.9)
    labels = np.random.default_rng(1).integers(0, CLASSES, ROWS)

    assert quantize(root, "bf16", labels=labels) == 0

    said = capsys.readouterr().err
    assert "net-bf16 is doubtful: fp32 is right on " in said
    assert "of 40 labelled rows, the manifest says 90.0% (own test split)" in said
    known = made(root)["net-bf16"]
    assert known.value < 0.3
    assert "doubtful: fp32 is right on " in known.source
    assert known.interval > 0.05


def test_labels_that_fit_the_manifest_raise_no_doubt(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    a_family(root, dense(), accuracy=0.9)
    x = some(ROWS, WIDTH, seed=9)
    labels = (x @ some(WIDTH, CLASSES)).argmax(axis=1)
    labels[::9] = (labels[::9] + 1) % CLASSES

    assert quantize(root, "bf16", labels=labels) == 0

    assert capsys.readouterr().err == ""
    known = made(root)["net-bf16"]
    assert known.value == pytest.approx(0.9)
    assert 0.08 < known.interval < 0.1  # no row lost of 40: up to 3.84 / 43.84 may be


def test_a_low_agreement_is_said(root: Path, capsys: pytest.CaptureFixture[str]):
    """Columns of one weight beside columns a thousandth as large, on inputs that hide the former: int8 loses them."""
    weights = 1e-3 * some(WIDTH, CLASSES)
    weights[0] = 100.0
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"], name="y")]
    a_family(root, (nodes, [constant("w", weights)]), labelled=True)
    x = some(ROWS, WIDTH, seed=9)
    x[:, 0] = 0.01 * x[:, 0]
    x[0, :] = 5.0

    assert quantize(root, "int8", x=x) == 0

    said = capsys.readouterr().err
    assert "net-int8 is doubtful: 'y' says what fp32 says on only " in said
    assert "'y' says what fp32 says on only " in made(root)["net-int8"].source
    assert made(root)["net-int8"].value < 0.8


def test_rows_that_are_all_answered_alike_are_said(root: Path, capsys: pytest.CaptureFixture[str]):
    a_family(root, dense(), labelled=True)

    assert quantize(root, "bf16", x=np.ones((ROWS, WIDTH), np.float32)) == 0

    assert "fp32's 'y' says the same on all 40 rows" in capsys.readouterr().err


def a_detector() -> tuple[Nodes, Weights]:
    """Four positions in pixels and a confidence, all of one product whose outputs share their 256 levels."""
    weights = some(WIDTH, 5)
    weights[:, :4] *= 1000.0
    weights[:, 4] *= 0.1
    return [helper.make_node("MatMul", ["x", "w"], ["y"], name="y")], [constant("w", weights)]


def test_a_detector_that_loses_its_confidence_is_no_equal_of_fp32(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    a_family(root, a_detector(), (("y", "FP32", (5,)),))

    assert quantize(root, "int8") == 0

    said = capsys.readouterr().err
    assert (
        "net-int8 is doubtful: column 4 of 'y' became the same on all rows; fp32's differs" in said
    )
    assert "net-int8 is published as a candidate" in said
    copy = load_family(root / "own").variants[1]
    assert copy.candidate
    assert copy.accuracy.value < 0.6


def test_rows_of_zeros_make_candidates_and_no_equals(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    a_family(root, dense())

    assert quantize(root, x=np.zeros((450, WIDTH), np.float32)) == 0

    assert "is the same on all rows; give rows that differ" in capsys.readouterr().err
    for copy in load_family(root / "own").variants[1:]:
        assert copy.candidate
        assert copy.accuracy.value < 0.5


def test_rows_in_another_scale_are_found_out_by_the_familys_samples(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    folder = a_family(root, dense())
    rows = some(ROWS, WIDTH, seed=9)

    assert quantize(root, "int8,bf16", x=rows / 100) == 0
    before = load_family(folder).variant("net-int8")
    np.savez(folder / "samples.npz", x=rows[:20])
    assert quantize(root, "int8,bf16", x=rows / 100) == 0

    assert before is not None
    assert not before.candidate
    said = capsys.readouterr().err
    assert "net-int8 is doubtful: 'y' is off by " in said
    assert "of how much 20 rows of the family's samples differ" in said
    assert "net-bf16" not in said
    copies = {v.precision: v for v in load_family(folder).variants}
    assert copies["int8"].candidate
    assert copies["int8"].accuracy.value < 0.5
    assert not copies["bf16"].candidate


def test_samples_that_cannot_be_used_are_said_and_left_out(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    folder = a_family(root, dense())
    np.savez(folder / "samples.npz", z=np.zeros(3))

    assert quantize(root, "bf16") == 0

    assert (
        "samples.npz is left out, copies are not compared on it: it has no array for input 'x'"
        in (capsys.readouterr().err)
    )


def test_a_precision_that_is_misspelt_is_named(root: Path, capsys: pytest.CaptureFixture[str]):
    folder = a_family(root, dense())
    text = (folder / "family.toml").read_text()
    (folder / "family.toml").write_text(text.replace('"fp32"', '"float32"'))
    said = "no runtime knows the precision 'float32' of net (known: fp32, bf16, fp16, int8)"

    assert quantize(root) == 2
    assert f"has no fp32 variant in ONNX; {said}" in capsys.readouterr().err
    assert main(["verify", "--repository", str(root)]) == 0
    assert said in capsys.readouterr().err


def test_a_precision_that_is_misspelt_is_said_when_it_is_served(
    root: Path, caplog: pytest.LogCaptureFixture
):
    folder = a_family(root, dense())
    text = (folder / "family.toml").read_text()
    (folder / "family.toml").write_text(text.replace('"fp32"', '"float32"'))

    look_through(root)

    assert "own: no runtime knows the precision 'float32' of net" in caplog.text


def test_an_output_that_is_no_number_any_more_leaves_the_precision_out(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    """1 / (w * x) where w is too small for fp16: a division by nothing, and nothing by nothing is no number."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["z"]),
        helper.make_node("Div", ["z", "z"], ["y"]),
    ]
    a_family(root, (nodes, [constant("w", 1e-9 * np.abs(some(WIDTH, CLASSES)))]))

    assert quantize(root, "bf16,fp16", x=np.abs(some(ROWS, WIDTH, seed=9))) == 0

    said = capsys.readouterr().err
    assert "net-fp16 is left out: its output 'y' is not finite on 40 of 40 held-out rows" in said


def test_every_output_counts_and_the_worst_is_named(root: Path):
    (one, weights), (two, more) = dense(), dense("z")
    outputs = (("y", "FP32", (CLASSES,)), ("z", "FP32", (CLASSES,)))
    a_family(root, ([*one, *two], [*weights, *more]), outputs)

    assert quantize(root) == 0

    for known in made(root).values():
        assert "the worst of 2" in known.source
        assert known.interval > 0.05


def test_a_regression_is_judged_by_its_error(root: Path, capsys: pytest.CaptureFixture[str]):
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"]),
        helper.make_node("ReduceSum", ["h", "axis"], ["y"], keepdims=1),
    ]
    weights = [constant("w", some(WIDTH, WIDTH)), constant("axis", np.array([1]))]
    a_family(root, (nodes, weights), (("y", "FP32", (1,)),))

    assert quantize(root, "bf16") == 0

    known = made(root)["net-bf16"]
    assert "less its relative error of 0.00" in known.source
    assert 0.89 < known.value < 0.9
    assert known.interval > 0.05
    assert capsys.readouterr().err == ""


def with_weights_outside(root: Path) -> Path:
    nodes, weights = dense()
    content = outside(weights[0], "model.onnx.data")
    folder = a_family(root, (nodes, weights))
    (folder / "model.onnx.data").write_bytes(content)
    return folder


def test_the_real_command_leaves_a_users_folder_as_it_is_but_for_what_it_adds(root: Path):
    """A family of weights outside the graph, with notes and the calibration beside it, twice."""
    folder = with_weights_outside(root)
    (root / ".building-plans").mkdir()
    (root / ".building-plans" / "plan.txt").write_text("plan")
    np.savez(folder / "rows.npz", x=some(ROWS, WIDTH, seed=9))
    before = {p: p.read_bytes() for p in root.rglob("*") if p.is_file()}
    command = [
        sys.executable,
        "-m",
        "gearshift",
        "models",
        "quantize",
        "own",
        "--repository",
        str(root),
    ]

    for _ in range(2):
        done = subprocess.run(
            [*command, "--calibration", str(folder / "rows.npz")],
            cwd=ROOT, capture_output=True, text=True, timeout=100, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "own: the weights of net in model.onnx.data are not verified" in done.stderr

    manifest = before.pop(folder / "family.toml").decode()
    assert (folder / "family.toml").read_text().startswith(manifest)
    assert {p: p.read_bytes() for p in before} == before
    family: Family = load_family(folder)
    assert [v.name for v in family.variants] == ["net", "net-int8", "net-bf16", "net-fp16"]
    assert not list(root.glob(".building-[0-9a-f]*"))
