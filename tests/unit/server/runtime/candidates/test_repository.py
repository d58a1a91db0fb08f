"""What a publisher has changed is taken up whole, or said once and left."""

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.catalog import Family, Slo
from server.errors import BadInput
from server.runtime.candidates.repository import Amendments, Repository
from tests.support.serving.families import ECHO, publish_scripted


@pytest.fixture
def published(tmp_path: Path) -> Family:
    return publish_scripted(tmp_path / "models", ECHO, {"quick": ""})


def watched(tmp_path: Path, family: Family, **amendments: Any) -> Repository:
    """One that has looked already."""
    repository = Repository(tmp_path / "models" / "echo", Amendments(family, **amendments))
    repository.look()
    return repository


def manifest(tmp_path: Path) -> Path:
    return tmp_path / "models" / "echo" / "family.toml"


def test_what_was_published_since_is_told_once(tmp_path: Path, published: Family):
    repository = watched(tmp_path, published, amended=lambda family: replace(family, slo=Slo(0.5)))
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


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("max_batch = 8", "max_batch = 4", "max_batch"),
        ('name = "x"', 'name = "z"', "inputs"),
        ("latency_ms = 2000.0", "latency_ms = 30.0", "slo"),
    ],
)
def test_more_than_variants_means_to_be_built_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, old: str, new: str, key: str
):
    published = publish_scripted(tmp_path / "models", ECHO, {"quick": ""})
    asked: list[str] = []
    repository = watched(tmp_path, published, renewed=lambda: asked.append("anew"))
    text = manifest(tmp_path).read_text()
    assert old in text
    manifest(tmp_path).write_text(text.replace(old, new, 1))

    with caplog.at_level(logging.INFO):
        assert [repository.look() for _ in range(3)] == [None] * 3

    assert asked == ["anew"]
    assert f"echo: {key} changed in its manifest" in caplog.text


def test_what_was_asked_for_ends_where_it_cannot_be_had_any_more(tmp_path: Path, published: Family):
    asked: list[str] = []

    def amended(family: Family) -> Family:
        if family.variant("sharp"):
            raise BadInput("not with this one")
        return replace(family, max_batch=4)

    repository = watched(tmp_path, published, amended=amended, renewed=lambda: asked.append("anew"))
    publish_scripted(tmp_path / "models", ECHO, {"quick": "", "sharp": "fixed_s = 1"})

    assert [repository.look() for _ in range(3)] == [None] * 3
    assert asked == ["anew"]
