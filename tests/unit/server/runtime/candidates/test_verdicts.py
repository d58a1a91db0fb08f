"""What was found of candidates, kept on disk: by artefact and machine, whole or not at all."""

import json
import logging
from pathlib import Path

import pytest

from models.catalog import Accuracy, Variant
from server.runtime.candidates.verdicts import StoredVerdict, Verdicts

SHARP = Variant("sharp", "fp32", "sharp.onnx", "a" * 64, Accuracy(0.8, "test"))
PROMOTED = StoredVerdict("here", "sharp", "a" * 64, "promoted", "leads", 64, 60)


def test_a_verdict_is_found_again_by_another_process(tmp_path: Path):
    Verdicts(tmp_path / "candidates", "echo").keep(PROMOTED)

    found = Verdicts(tmp_path / "candidates", "echo").find("here", SHARP)

    assert found is not None
    assert (found.kind, found.reason, found.compared, found.agreed) == ("promoted", "leads", 64, 60)
    assert found.at


def test_a_verdict_is_of_one_artefact_on_one_machine(tmp_path: Path):
    verdicts = Verdicts(tmp_path, "echo")
    verdicts.keep(PROMOTED)
    other = Variant("sharp", "fp32", "sharp.onnx", "b" * 64, Accuracy(0.8, "test"))

    assert verdicts.find("elsewhere", SHARP) is None
    assert verdicts.find("here", other) is None


def test_a_later_verdict_takes_the_place_of_an_earlier(tmp_path: Path):
    verdicts = Verdicts(tmp_path, "echo")
    verdicts.keep(PROMOTED)
    verdicts.keep(StoredVerdict("here", "sharp", "a" * 64, "rolled_back", "failed"))

    content = json.loads((tmp_path / "echo.json").read_text())

    assert [one["kind"] for one in content["verdicts"]] == ["rolled_back"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"schema": 1, "family": "other", "verdicts": []}',
        '{"schema": 9, "family": "echo", "verdicts": []}',
        '{"schema": 1, "family": "echo", "verdicts": [{"kind": "promoted"}]}',
        '{"schema": 1, "family": "echo", "verdicts": [1]}',
    ],
)
def test_a_damaged_or_foreign_file_is_set_aside(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "echo.json").write_text(text)

    with caplog.at_level(logging.WARNING):
        verdicts = Verdicts(tmp_path, "echo")

    assert verdicts.find("here", SHARP) is None
    assert (tmp_path / "echo.json.bad").read_text() == text
    assert "set aside as echo.json.bad, candidates are tried again" in caplog.text


@pytest.mark.parametrize("change", [{"kind": "loved"}, {"compared": -1}, {"reason": 1}])
def test_fields_of_the_wrong_kind_are_damage(tmp_path: Path, change: dict[str, object]):
    Verdicts(tmp_path, "echo").keep(PROMOTED)
    content = json.loads((tmp_path / "echo.json").read_text())
    content["verdicts"][0] |= change
    (tmp_path / "echo.json").write_text(json.dumps(content))

    assert Verdicts(tmp_path, "echo").find("here", SHARP) is None


def test_a_folder_that_cannot_be_made_costs_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    (tmp_path / "file").write_text("")
    verdicts = Verdicts(tmp_path / "file" / "candidates", "echo")

    verdicts.keep(PROMOTED)

    assert "cannot be stored" in caplog.text
    assert verdicts.find("here", SHARP) is not None
