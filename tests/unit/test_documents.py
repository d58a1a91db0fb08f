"""What the documents name exists: paths, commands' modules, configuration keys."""

import re
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from scripts import policy_example
from server.config import Config
from server.policy.sharing.reading import read_workload
from server.policy.sharing.search import plan
from trainer.options import parser
from trainer.tasks.options import parser as tasks_parser

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [
    "README.md",
    *(
        f"docs/{n}.md"
        for n in ("architecture", "operating", "policy", "sharing", "sidecar", "state", "training")
    ),
]
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
    example = tomllib.loads((ROOT / "gearshift.example.toml").read_text())
    defaults = {field.name: getattr(Config(), field.name) for field in fields(Config)}

    assert {key: tuple(v) if isinstance(v, list) else v for key, v in example.items()} == defaults


@pytest.mark.parametrize("document", ["README.md", "docs/sidecar.md", "docs/training.md"])
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
