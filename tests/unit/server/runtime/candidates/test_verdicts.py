"""What was found of candidates, kept on disk: by artefact and machine, whole or not at all."""

import json
import logging
import time
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from models.catalog import Accuracy, Variant
from server.metrics import Metrics
from server.policy.candidates.candidacy import Postponed, TrialRules
from server.runtime.candidates.stages import Stages
from server.runtime.candidates.verdicts import StoredVerdict, Verdicts, clock_in, seconds_until

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


def test_a_postponed_candidate_is_tried_again_when_it_would_have_been(tmp_path: Path):
    again = StoredVerdict("here", "sharp", "a" * 64, "postponed", "slow", postponed=2)
    Verdicts(tmp_path, "echo").keep(replace(again, again_at=clock_in(90.0)))

    found = Verdicts(tmp_path, "echo").find("here", SHARP)

    assert found is not None
    assert 80.0 < seconds_until(found.again_at) <= 90.0
    assert (found.kind, found.postponed) == ("postponed", 2)


@pytest.mark.parametrize("at", ["", "tomorrow", "2020-01-01T00:00:00+00:00", "2020-01-01"])
def test_a_time_that_has_been_or_is_none_is_now(at: str):
    assert seconds_until(at) == 0.0


def test_a_restart_postpones_a_candidate_no_longer_than_before(tmp_path: Path):
    candidate = replace(SHARP, candidate=True)
    kept = StoredVerdict("here", "sharp", "a" * 64, "postponed", "slow", postponed=1)
    verdicts = Verdicts(tmp_path, "echo")
    verdicts.keep(replace(kept, again_at=clock_in(30.0)))
    metrics = Metrics(CollectorRegistry(), []).family("echo")

    stages = Stages("echo", verdicts, TrialRules(), metrics)
    stages.hold([candidate], "here")
    life = stages.entries["sharp"].life

    assert isinstance(life.stage, Postponed)
    assert 0.0 < life.stage.again_s - time.monotonic() <= 30.0
    assert life.postponed == 1
