"""Users without a home, and folders that may not be looked into."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.serving.commands import GEARSHIFT, assert_answers, ended, gearshift, started
from tests.support.serving.server import (
    serve_command,
    surroundings,
)

SETPRIV = shutil.which("setpriv")
READING = ("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search")
NOBODY = ("--reuid", "12345", "--regid", "12345", "--clear-groups", *READING)
"""A user without a passwd entry who may read all and write nothing of ours: pythons lie in odd places."""
WITHOUT = "-dac_override,-dac_read_search"
OBEYING = ("--bounding-set", WITHOUT, "--inh-caps", WITHOUT)
"""Root, for whom permissions count."""
as_root = pytest.mark.skipif(
    SETPRIV is None or os.getuid() != 0, reason="needs root and setpriv (util-linux)"
)


@pytest.fixture
def bare(tmp_path: Path) -> dict[str, str]:
    """An environment with neither HOME nor PATH, its temporary files in a folder that anybody may write to."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    temporary.chmod(0o777)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    return {"TMPDIR": str(temporary), "GEARSHIFT__PROFILES__BUDGET_S": "1"}


@as_root
@pytest.mark.parametrize("home", [{}, {"HOME": "/"}, {"HOME": "/nonexistent"}])
def test_a_user_without_a_home_is_served_with_one_clear_line(
    models: Path, bare: dict[str, str], home: dict[str, str]
):
    launch = [str(SETPRIV), *NOBODY, *serve_command("--repository", str(models))]

    with started(launch, bare | home) as server:
        assert_answers(server)

    said = [line for line in server.lines if "WARNING" in line and "hardware" not in line]
    assert len(said) == 1, server.log
    if home:
        assert "profiles cannot be stored in" in said[0]
    else:
        kept = Path(bare["TMPDIR"]) / "gearshift-12345"
        assert "there is no home folder (HOME is not set and user 12345 has none)" in said[0]
        assert f"profiles, verdicts and caches are kept in {kept}" in said[0]
        assert list((kept / "gearshift" / "profiles").glob("echo-*.json"))
        assert kept.stat().st_mode & 0o777 == 0o700


@as_root
@pytest.mark.parametrize(
    "words",
    [
        "models list",
        "models verify",
        "profile --family nobody",
        "serve",
        "status --url 127.0.0.1:1",
        "plan-tasks none",
        "simulate --profile none --slo-ms 5 --rate-rps 1",
    ],
)
def test_no_command_minds_that_there_is_no_home(bare: dict[str, str], words: str):
    launch = [str(SETPRIV), *NOBODY, *GEARSHIFT, *words.split()]

    done = ended(launch, bare)

    assert done.returncode == 2
    assert done.stderr.count("\n") == 1, done.stderr


@as_root
def test_what_cannot_be_looked_into_is_no_matter(tmp_path: Path, models: Path):
    for name in ("lost+found", "private"):
        (models / name).mkdir(mode=0o000)
    launch = [str(SETPRIV), *OBEYING, *serve_command("--repository", str(models))]

    with started(launch, surroundings(tmp_path, {})) as server:
        assert_answers(server)
    listed = gearshift(
        "models", "list", "--repository", str(models), cache=tmp_path, prefix=launch[:5]
    )

    assert "lost+found" not in server.log
    assert (
        f"family private is not served, the others are: {models}/private cannot be read: Permission denied"
        in server.log
    )
    assert listed.returncode == 2
    assert listed.stdout.startswith("echo")
    assert listed.stderr.count("\n") == 1
