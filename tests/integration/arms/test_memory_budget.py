"""A budget of memory: what fits is served and the rest reported; one that nothing fits is said at the start."""

import json
from pathlib import Path

import pytest

from tests.support.serving.commands import assert_answers
from tests.support.serving.families import ECHO, publish_scripted
from tests.support.serving.scraping import scrape, total
from tests.support.serving.server import refused_start, serving

SCRIPTS = {"quick": "fixed_s = 0.001", "sharp": "fixed_s = 0.003"}
TAKE_MIB = {"quick": 10, "sharp": 20}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Of the family `echo`, measured at an earlier start; its arms took what TAKE_MIB says."""
    publish_scripted(tmp_path / "models", ECHO, SCRIPTS, {"quick": 0.7, "sharp": 0.8})
    with serving(tmp_path / "models", tmp_path) as server:
        assert total(scrape(server), "gearshift_arms_left_out", family="echo") == 0
    (path,) = (tmp_path / "gearshift" / "profiles").glob("echo-*.json")
    content = json.loads(path.read_text())
    for row in content["profiles"]:
        row["memory_bytes"] = TAKE_MIB[row["variant"]] << 20
    path.write_text(json.dumps(content))
    return tmp_path / "models"


def test_what_fits_is_held_and_what_does_not_is_reported(repository: Path, tmp_path: Path):
    with serving(repository, tmp_path, "--memory-mib", "25") as server:
        assert_answers(server)
        samples = scrape(server)

    assert total(samples, "gearshift_ready_arms", family="echo") == 1
    assert total(samples, "gearshift_arms_left_out", family="echo") == 1
    assert total(samples, "gearshift_arms_memory_budget_bytes", family="echo") == 25 << 20
    assert 0 < total(samples, "gearshift_arms_memory_bytes", family="echo") <= 25 << 20
    assert "echo: memory_mib holds 1 of 2 arms" in server.log


def test_a_budget_that_holds_all_leaves_nothing_out(repository: Path, tmp_path: Path):
    with serving(repository, tmp_path, "--memory-mib", "30") as server:
        samples = scrape(server)

    assert total(samples, "gearshift_ready_arms", family="echo") == 2
    assert "memory_mib" not in server.log


def test_a_budget_that_nothing_fits_is_an_error_that_says_what_would_do(
    repository: Path, tmp_path: Path
):
    error = refused_start(tmp_path, "--repository", str(repository), "--memory-mib", "9")

    assert "memory_mib 9 is too little for echo" in error
    assert "quick on scripted, takes 10 MiB" in error
    assert "set memory_mib of [machine] to 10 at least" in error
