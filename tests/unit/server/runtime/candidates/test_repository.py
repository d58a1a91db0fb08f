"""What a publisher has changed is taken up whole, or said once and left."""

import logging
from dataclasses import replace
from pathlib import Path

import pytest

from models.catalog import Family, Slo
from server.runtime.candidates.repository import Repository
from tests.support.serving.families import ECHO, publish_scripted


@pytest.fixture
def published(tmp_path: Path) -> Family:
    return publish_scripted(tmp_path / "models", ECHO, {"quick": ""})


def watched(tmp_path: Path, family: Family) -> Repository:
    """One that has looked already."""
    repository = Repository(tmp_path / "models" / "echo", family)
    repository.look()
    return repository


def manifest(tmp_path: Path) -> Path:
    return tmp_path / "models" / "echo" / "family.toml"


def test_what_was_published_since_is_told_once(tmp_path: Path, published: Family):
    repository = watched(tmp_path, replace(published, slo=Slo(0.5)))
    assert repository.look() is None

    publish_scripted(
        tmp_path / "models", ECHO, {"quick": "", "sharp": "fixed_s = 1"}, {}, ["sharp"]
    )
    found = repository.look()

    assert found is not None
    assert [(v.name, v.candidate) for v in found.variants] == [("quick", False), ("sharp", True)]
    assert found.slo == Slo(0.5)  # the operator's stands
    assert repository.look() is None


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("max_batch = 8", "max_batch = 4", "key 'max_batch' is another than at the start"),
        ('name = "x"', 'name = "z"', "key 'inputs' is another"),
        ("max_batch = 8", "max_batch = ", "is no TOML"),
        ("max_batch = 8", "max_batch = 8\nmood = 1", "key 'mood' is unknown"),
        ('sha256 = "', 'sha256 = "0', "key 'sha256' must be 64"),
    ],
)
def test_what_cannot_be_served_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, old: str, new: str, said: str
):
    published = publish_scripted(tmp_path / "models", ECHO, {"quick": ""})
    repository = watched(tmp_path, published)
    text = manifest(tmp_path).read_text()
    manifest(tmp_path).write_text(text.replace(old, new, 1))

    with caplog.at_level(logging.WARNING):
        assert [repository.look() for _ in range(3)] == [None] * 3

    assert len(caplog.records) == 1
    assert "the server goes on with what it has" in caplog.text
    assert said in caplog.text


def test_a_manifest_that_is_gone_is_said_once(
    tmp_path: Path, published: Family, caplog: pytest.LogCaptureFixture
):
    repository = watched(tmp_path, published)
    kept = manifest(tmp_path).read_text()
    manifest(tmp_path).unlink()

    with caplog.at_level(logging.WARNING):
        assert [repository.look() for _ in range(3)] == [None] * 3
    manifest(tmp_path).write_text(kept)

    assert len(caplog.records) == 1
    assert "family.toml cannot be read: No such file" in caplog.text
    assert repository.look() is not None


def test_another_slo_is_said_not_to_hold_before_the_next_start(
    tmp_path: Path, published: Family, caplog: pytest.LogCaptureFixture
):
    repository = watched(tmp_path, published)
    text = manifest(tmp_path).read_text()
    assert "latency_ms = 2000.0" in text
    manifest(tmp_path).write_text(text.replace("latency_ms = 2000.0", "latency_ms = 30.0"))

    with caplog.at_level(logging.INFO):
        found = repository.look()
        repository.look()

    assert found is not None
    assert found.slo == published.slo
    assert len(caplog.records) == 1
    assert "table [slo] has changed; it is taken up at the next start" in caplog.text
