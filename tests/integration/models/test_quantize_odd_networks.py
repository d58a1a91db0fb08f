"""`gearshift models quantize` on networks that nobody here made: what does not apply is left out with its reason, and
nothing of the user's is touched."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from models.__main__ import main
from models.artifacts import load_family, look_through
from models.artifacts.digests import sha256_of
from models.build.narrowing import narrower
from models.build.narrowing.comparing import Judgement
from models.catalog import Family
from tests.support.networks import (
    CLASSES,
    ROWS,
    WIDTH,
    Nodes,
    Weights,
    a_family,
    constant,
    dense,
    made,
    quantize,
    some,
)
from tests.support.outside import outside
from tests.support.serving.commands import gearshift

ML = "ai.onnx.ml"


def relu() -> tuple[Nodes, Weights]:
    """No weights at all."""
    return [helper.make_node("Relu", ["x"], ["y"])], []


def lstm() -> tuple[Nodes, Weights]:
    """x as a sequence of one step into an LSTM of CLASSES units."""
    weights = [
        constant("axis", np.array([0])),
        constant("W", some(1, 4 * CLASSES, WIDTH)),
        constant("R", some(1, 4 * CLASSES, CLASSES)),
    ]
    nodes = [
        helper.make_node("Unsqueeze", ["x", "axis"], ["seq"]),
        helper.make_node("LSTM", ["seq", "W", "R"], ["", "h"], hidden_size=CLASSES),
        helper.make_node("Squeeze", ["h", "axis"], ["y"]),
    ]
    return nodes, weights


def trees() -> tuple[Nodes, Weights]:
    """As scikit-learn's converters write them: operators of ai.onnx.ml alone."""
    nodes = {
        "treeids": [0, 0, 0],
        "nodeids": [0, 1, 2],
        "featureids": [0, 0, 0],
        "modes": ["BRANCH_LEQ", "LEAF", "LEAF"],
        "values": [0.0, 0.0, 0.0],
        "truenodeids": [1, 0, 0],
        "falsenodeids": [2, 0, 0],
    }
    leaves = {"treeids": [0, 0], "nodeids": [1, 2], "ids": [0, 0], "weights": [1.0, 2.0]}
    tree: dict[str, Any] = {f"nodes_{key}": values for key, values in nodes.items()}
    tree |= {f"target_{key}": values for key, values in leaves.items()}
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain=ML, n_targets=1, **tree)
    return [node], []


def classifier() -> tuple[Nodes, Weights]:
    """A logistic regression as scikit-learn's converters write it: labels as whole numbers, scores beside them."""
    node = helper.make_node(
        "LinearClassifier",
        ["x"],
        ["label", "scores"],
        domain=ML,
        multi_class=1,
        coefficients=some(WIDTH * CLASSES).tolist(),
        intercepts=[0.0] * CLASSES,
        classlabels_ints=list(range(CLASSES)),
        post_transform="SOFTMAX",
    )
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


PLAIN, LEARNT = ("", 17), (ML, 1)
"""Sets of operators: ONNX's own, and those of scikit-learn's converters."""
SCORES = ("y", "FP32", (CLASSES,))
LABELLED = (("label", "INT64", ()), ("scores", "FP32", (CLASSES,)))
NOTHING = {
    "no weights": (relu(), [("y", "FP32", (WIDTH,))], [PLAIN]),
    "lstm": (lstm(), [SCORES], [PLAIN]),
    "trees": (trees(), [("y", "FP32", (1,))], [LEARNT, PLAIN]),
    "no standard operators": (trees(), [("y", "FP32", (1,))], [LEARNT]),
    "classifier": (classifier(), LABELLED, [LEARNT, PLAIN]),
    "branches": (branches(), [SCORES], [PLAIN]),
}
"""Name -> graph, outputs, opsets."""


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
    flags = ("--repository", str(root), "--calibration", str(folder / "rows.npz"))

    for _ in range(2):
        done = gearshift("models", "quantize", "own", *flags)
        assert done.returncode == 0, done.stderr
        assert "own: the weights of net in model.onnx.data are not verified" in done.stderr

    manifest = before.pop(folder / "family.toml").decode()
    assert (folder / "family.toml").read_text().startswith(manifest)
    assert {p: p.read_bytes() for p in before} == before
    family: Family = load_family(folder)
    assert [v.name for v in family.variants] == ["net", "net-int8", "net-bf16", "net-fp16"]
    assert not list(root.glob(".building-[0-9a-f]*"))
