"""What the documents name exists: paths, commands' modules, configuration keys."""

import hashlib
import re
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.__main__ import main as models_main
from models.artifacts import load_family
from models.backends import open_backend
from models.datatypes import DATATYPES
from scripts import generate_configuration, policy_example
from server.config import KEYS, Config, read_config
from server.sharing.planner.reading import read_workload
from server.sharing.planner.search.search import plan
from trainer.arguments import parser
from trainer.tasks.arguments import parser as tasks_parser

OWN = "docs/own-models.md"
ROOT = Path(__file__).resolve().parents[2]
GUIDES = sorted(
    f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md") if path.stem != "glossary"
)
DOCUMENTS = ["README.md", *GUIDES]
_PATH = re.compile(
    r"`((?:models|profiler|server|loadtest|trainer|benchmarks|docs|tests|scripts|deploy)/[\w./-]+)`"
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_a_document_names_exists(document: str):
    named = _PATH.findall((ROOT / document).read_text())

    missing = [path for path in named if not (ROOT / path.rstrip("/")).exists()]

    assert named
    assert missing == []


def test_the_example_configuration_has_every_key_at_its_default():
    path = ROOT / "gearshift.example.toml"
    given = {
        (section, key)
        for section, table in tomllib.loads(path.read_text()).items()
        for key in table
    }

    assert given == {(key.section, key.name) for key in KEYS}
    assert read_config(path, {}, {}) == Config()


def test_the_reference_of_the_configuration_and_the_example_are_what_the_script_makes():
    for name, made in (
        ("docs/configuration.md", generate_configuration.reference()),
        ("gearshift.example.toml", generate_configuration.example()),
    ):
        assert (ROOT / name).read_text() == made, f"run `make docs`: {name} is stale"


@pytest.mark.parametrize("document", ["docs/sidecar.md", "docs/training.md"])
def test_every_option_of_a_training_command_exists(document: str):
    lines = (ROOT / document).read_text().splitlines()
    commands = [line.partition("#")[0] for line in lines if line.startswith("gearshift train ")]
    known = {option for action in parser(None)._actions for option in action.option_strings}  # noqa: SLF001 - no other way

    named = {option for command in commands for option in re.findall(r"--[a-z-]+", command)}

    assert named
    assert named <= known


def test_every_option_of_a_command_that_trains_tasks_exists():
    lines = (ROOT / "docs/training.md").read_text().splitlines()
    commands = [
        line.partition("#")[0] for line in lines if line.startswith("gearshift train-tasks ")
    ]
    known = {option for action in tasks_parser(None)._actions for option in action.option_strings}  # noqa: SLF001 - no other way

    named = {option for command in commands for option in re.findall(r"--[a-z-]+", command)}

    assert named
    assert named <= known


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text().split()) <= 700


def test_the_readme_has_no_unfilled_place():
    assert "@@" not in (ROOT / "README.md").read_text()


def test_the_worked_example_is_what_the_policy_does():
    told = policy_example.figures()
    text = (ROOT / "docs/policy.md").read_text()

    assert f"{1e3 * told.plan.affordable_s:.2f} ms a row" in text
    assert f"is worth {told.plan.price / 1e3:.4f}" in text
    assert f"= {told.plan.stay:.3f}." in text
    assert f"**{told.weighed[0].variant} x {told.weighed[0].rows}**" in text


def test_the_workload_in_the_guide_to_sharing_is_planned():
    text = (ROOT / "docs/sharing.md").read_text()
    workload = read_workload(text.split("```json\n")[1].split("```")[0])

    assert plan(workload).cost <= workload.rules.budget


def a_network(path: Path) -> str:
    """Write a graph from `x`, 64 values a row, to `scores`, 10 a row; its sha256."""
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", width])
        for name, width in (("x", 64), ("scores", 10))
    )
    w = numpy_helper.from_array(np.ones((64, 10), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["scores"])], "g", [x], [y], [w]
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("document", [OWN])
def test_the_family_in_a_document_loads_verifies_and_answers(
    document: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = tmp_path / "my-digits"
    folder.mkdir()
    text = (ROOT / document).read_text().split("```toml\n")[1].split("```")[0]
    for name in ("net.onnx", "net-small.onnx"):
        text = text.replace(f"SHA256 OF {name}", a_network(folder / name))
    (folder / "family.toml").write_text(text)

    family = load_family(folder)
    backend = open_backend(folder, family, family.variants[0], threads=1)
    answer = backend.run({"x": np.ones((3, 64), np.float32)})["scores"]
    backend.close()

    assert answer.tolist() == [[64.0] * 10] * 3
    assert models_main(["verify", "--repository", str(tmp_path)]) == 0
    assert capsys.readouterr().err == ""


def test_the_program_in_the_guide_to_own_models_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pytest.importorskip("torch")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / OWN).read_text()
    code = next(b for b in page.split("```python\n")[1:] if "Dim(" in b).split("```")[0]
    exec(compile(code, OWN, "exec"), {})
    text = page.split("```toml\n")[1].split("```")[0]
    digest = hashlib.sha256((tmp_path / "net.pt2").read_bytes()).hexdigest()
    text = text.partition('[[variants]]\nname = "net-small"')[0]
    text = text.replace("net.onnx", "net.pt2").replace("SHA256 OF net.pt2", digest)
    (tmp_path / "family.toml").write_text(text.replace("my-digits", tmp_path.name))

    family = load_family(tmp_path)
    backend = open_backend(tmp_path, family, family.variants[0], threads=1)
    shapes = [backend.run({"x": np.ones((n, 64), np.float32)})["scores"].shape for n in (1, 2, 32)]
    backend.close()

    assert shapes == [(1, 10), (2, 10), (32, 10)]


def test_the_guide_to_own_models_has_every_key_and_datatype():
    code = (ROOT / "models/artifacts/manifest.py").read_text()
    keys = set(re.findall(r"\b(?:top|table)\.(?!wrong)\w+\(\"(\w+)\"", code))
    page = (ROOT / OWN).read_text()

    assert {"name", "max_batch", "percentile", "interval", "data", "candidate", "file"} <= keys
    shapes = (ROOT / "models/artifacts/shapes.py").read_text()
    keys |= set(re.findall(r"\b(?:top|table)\.(?!wrong)\w+\(\"(\w+)\"", shapes))
    assert [k for k in sorted(keys | set(DATATYPES)) if f"`{k}`" not in page] == []
