"""`gearshift plan-tasks`: what scripts rely on, what people read, and how mistakes end."""

import ctypes
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gearshift.cli import main as gearshift
from gearshift.plan_tasks import main
from server.sharing.planner.plan import Plan
from server.sharing.planner.search.search import plan as planned
from server.sharing.planner.workload import Workload

BRANCHES = {"0": [0.95, 0.02], "2": [0.94, 0.02], "3": [0.93, 0.03]}


def _workload(**changes: Any) -> dict[str, Any]:
    tasks = [
        {
            "name": name,
            "branches": BRANCHES,
            "event_length_ms": length_ms,
            "event_frequency": 0.2,
            "correlation": 0.1,
            "weight": weight,
        }
        for name, length_ms, weight in (("bus", 400, 3), ("cat", 800, 1))
    ]
    workload = {
        "layer_costs": [1.0, 2.0, 3.0, 4.0],
        "tasks": tasks,
        "stream_fps": 10,
        "rates": [1, 2, 5, 10],
        "budget": 60,
        "objective": "mean",
        "published_form": False,
        "x_vote": 1,
    }
    return {**workload, **changes}


def _written(folder: Path, **changes: Any) -> str:
    file = folder / "workload.json"
    file.write_text(json.dumps(_workload(**changes)), encoding="utf-8")
    return str(file)


def _planned(capsys: pytest.CaptureFixture[str], file: str) -> dict[str, Any]:
    assert main([file, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_scripts_get_the_plan_in_a_stable_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    plan = _planned(capsys, _written(tmp_path))

    assert list(plan) == ["mean_f1", "cost", "seconds", "tasks"]
    assert plan["cost"] <= 60
    assert plan["seconds"] > 0
    fields = ["name", "frozen", "fps", "x_vote", "f1", "recall", "precision"]
    assert [list(task) for task in plan["tasks"]] == [fields, fields]
    assert [task["name"] for task in plan["tasks"]] == ["bus", "cat"]
    bus, cat = (task["f1"] for task in plan["tasks"])
    assert plan["mean_f1"] == pytest.approx(0.75 * bus + 0.25 * cat)


def test_the_mean_is_told_whatever_the_objective(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    plan = _planned(capsys, _written(tmp_path, objective="maxmin"))

    bus, cat = (task["f1"] for task in plan["tasks"])
    assert plan["mean_f1"] == pytest.approx(0.75 * bus + 0.25 * cat)


def test_the_published_form_analyses_fewer_frames(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    ours = _planned(capsys, _written(tmp_path))
    published = _planned(capsys, _written(tmp_path, published_form=True))

    assert published["mean_f1"] < ours["mean_f1"]


def test_votes_are_chosen_where_that_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    one = _planned(capsys, _written(tmp_path, budget=500))
    chosen = _planned(capsys, _written(tmp_path, budget=500, x_vote="auto"))

    assert chosen["mean_f1"] > one["mean_f1"]
    assert {task["x_vote"] for task in chosen["tasks"]} <= {1, 2, 3}


def test_people_get_stem_tasks_and_rivals(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([_written(tmp_path, budget=57)]) == 0

    told = capsys.readouterr().out
    assert told.startswith("planned 2 tasks in ")
    assert "of 57 a second" in told
    rows = ("stem: layers 0 to ", "bus  ", "cat  ", "greedy ", "max-sharing ", "no-sharing ")
    for line in (*rows, "bus branches at ", "cat branches at "):
        assert any(row.startswith(line) for row in told.splitlines()), told


def test_a_rival_that_has_no_plan_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Two whole networks do not run often enough on this budget to reach the floors."""
    workload = _workload(budget=14)
    for task in workload["tasks"]:
        task["floor"] = 0.5
    file = tmp_path / "workload.json"
    file.write_text(json.dumps(workload), encoding="utf-8")

    assert main([str(file)]) == 0

    told = capsys.readouterr().out.splitlines()
    assert any(row.startswith("no-sharing    none: no plan fits") for row in told), told


def test_the_workload_may_come_from_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(_workload())))

    assert _planned(capsys, "-")["tasks"]


def test_a_budget_that_is_too_small_is_refused_with_the_smallest_that_is_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([_written(tmp_path, budget=5)]) == 2

    told = capsys.readouterr()
    assert told.out == ""
    assert float(told.err.split()[-1]) == pytest.approx(14.0)


def test_the_smallest_budget_and_any_other_may_be_spent_exactly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Layers that cost round numbers add up to round budgets: 14 for both tasks once a second behind three layers."""
    assert _planned(capsys, _written(tmp_path, budget=14))["cost"] == 14
    assert _planned(capsys, _written(tmp_path, budget=28))["cost"] == 28


def test_all_mistakes_are_told_in_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([_written(tmp_path, budget=0, x_vote=7, colour="red"), "--json"]) == 2

    told = capsys.readouterr().err
    assert told.startswith("gearshift plan-tasks: ")
    for place in ("budget: ", "x_vote: ", "colour: "):
        assert place in told


def test_a_file_that_is_not_there_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(tmp_path / "none.json")]) == 2
    assert "none.json cannot be read" in capsys.readouterr().err


def _noisily(workload: Workload) -> Plan:
    """As HiGHS does now and then: a line by way of C, that Python's standard output knows nothing of."""
    ctypes.CDLL(None).puts(b"HighsMipSolverData::transformNewIntegerFeasibleSolution")
    return planned(workload)


def test_what_a_library_prints_is_no_part_of_the_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("gearshift.plan_tasks.planned", _noisily)

    assert main([_written(tmp_path), "--json"]) == 0

    ctypes.CDLL(None).fflush(None)
    assert json.loads(capfd.readouterr().out)["tasks"]


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path):
    command = [sys.executable, "-m", "gearshift", "plan-tasks", _written(tmp_path)]
    reads, writes = os.pipe()
    os.close(reads)

    ended = subprocess.run(command, stdout=writes, stderr=subprocess.PIPE, check=False)

    os.close(writes)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_people_are_told_that_whole_networks_may_run_less_often(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([_written(tmp_path)]) == 0

    assert "tenths of the lowest rate or not at all" in capsys.readouterr().out


def test_the_command_is_one_of_gearshifts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr("sys.argv", ["gearshift", "plan-tasks", _written(tmp_path), "--json"])

    assert gearshift() == 0
    assert json.loads(capsys.readouterr().out)["tasks"]
