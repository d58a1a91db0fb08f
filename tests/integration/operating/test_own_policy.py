"""A policy by import path: the one of docs/policy.md, just as it stands there, in the simulator and in a server."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.serving.families import expected_echo, rows
from tests.support.serving.scraping import scrape, total
from tests.support.serving.server import ROOT, a_request, output, refused_start, serving

NAME = "mine:first_in_time"
PROFILE = "variant,accuracy,batch,latency_ms_p50\nsmall,0.70,1,3.0\nlarge,0.80,1,12.0\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the document's module, and a profile."""
    page = (ROOT / "docs/policy.md").read_text().partition("## A policy of your own")[2]
    (tmp_path / "mine.py").write_text(page.split("```python\n")[1].split("```")[0])
    (tmp_path / "profile.csv").write_text(PROFILE)
    return tmp_path


def simulated(folder: Path, policy: str) -> "subprocess.CompletedProcess[str]":
    """`gearshift simulate` as installed: what lies in the current directory is not on Python's path by itself."""
    command = [sys.executable, "-P", "-m", "gearshift", "simulate", "--policy", policy]
    command += ["--profile", "profile.csv", "--slo-ms", "50", "--rate-rps", "40", "--json"]
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_documents_policy_is_simulated_from_the_current_directory(folder: Path):
    done = simulated(folder, NAME)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["attainment"] > 0.9


def test_a_policy_that_cannot_be_had_is_told_in_one_line(folder: Path):
    for policy, words in (("mine:last", "has no attribute last"), ("yours:x", "no module yours")):
        done = simulated(folder, policy)

        assert done.returncode == 2
        assert words in done.stderr
        assert done.stderr.count("\n") == 1


FAILING = """
from server.policy.decision import Idle, Run, WaitUntil

ANSWERS = iter("raises nothing absent twice end".split() * 1000)


def failing(arms):
    def decide(queue, outlook, now_s):
        match next(ANSWERS):
            case "raises":
                raise KeyError("no\\nsuch")
            case "nothing":
                return None
            case "absent":
                return Run(arms[0], (), "none")
            case "twice":
                return Run(arms[0], (queue[0], queue[0]), "twice")
            case _:
                raise SystemExit(7)

    return decide
"""


def test_a_policy_that_raises_when_it_is_asked_ends_a_simulation_in_one_line(folder: Path):
    (folder / "own.py").write_text(FAILING)

    done = simulated(folder, "own:failing")

    assert done.returncode == 2
    words = "policy own:failing raised when it was asked: KeyError: 'no"
    assert done.stderr.startswith(f"gearshift simulate: {words}")
    assert done.stderr.count("\n") == 1


def test_a_server_answers_though_its_policy_fails_each_time(folder: Path, models: Path):
    (folder / "own.py").write_text(FAILING)
    asked = 15

    with serving(models, folder, "--policy", "own:failing", PYTHONPATH=str(folder)) as server:
        for value in range(asked):
            answer = server.infer(a_request("echo", rows(float(value))))
            assert output(answer) == pytest.approx(expected_echo(rows(float(value))))
        failures = total(scrape(server), "gearshift_policy_failures_total", family="echo")

    assert failures >= asked
    for words in (
        "raised when it was asked: KeyError",
        "made no decision",
        "runs 0 rows",
        "SystemEx",
    ):
        (line,) = [line for line in server.log.splitlines() if words in line]
        assert "policy own:failing" in line
        assert "adaptive decides this time" in line
    assert "Traceback" not in server.log


def test_the_documents_policy_serves(folder: Path, models: Path):
    with serving(models, folder, "--policy", NAME, PYTHONPATH=str(folder)) as server:
        for value in (1.0, 2.0):
            answer = server.infer(a_request("echo", rows(value)))
            assert output(answer) == pytest.approx(expected_echo(rows(value)))

    assert "Traceback" not in server.log


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("mine = 5", "policy: own:mine cannot be called: it is of type int"),
        (
            "def mine(arms): 1 / 0",
            "echo cannot be served: policy own:mine raised when it was built: ZeroDiv",
        ),
        (
            "def mine(arms): pass",
            "echo cannot be served: own:mine built no policy: what it returned is of type N",
        ),
    ],
)
def test_a_server_does_not_start_with_a_policy_that_is_none(
    folder: Path, models: Path, code: str, words: str
):
    (folder / "own.py").write_text(code)
    flags = ("--repository", str(models), "--policy", "own:mine")

    said = refused_start(folder, *flags, PYTHONPATH=str(folder))

    assert f"gearshift serve: {words}" in said
