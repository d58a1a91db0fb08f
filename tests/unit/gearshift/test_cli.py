"""The one command: what it is, and what it is not."""

import tomllib
from pathlib import Path

import pytest

from gearshift.cli import main

ROOT = Path(__file__).resolve().parents[3]


def test_it_tells_its_version(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("sys.argv", ["gearshift", "--version"])

    assert main() == 0

    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert capsys.readouterr().out == f"gearshift {version}\n"


def test_a_word_that_is_no_command_is_told_with_those_there_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.argv", ["gearshift", "sreve"])

    assert main() == 2

    assert "unknown command 'sreve'" in (told := capsys.readouterr().err)
    assert "  serve " in told
