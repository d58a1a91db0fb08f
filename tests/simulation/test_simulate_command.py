"""`gearshift simulate`: from files to a report, and what bad input is told."""

import json
from pathlib import Path

import pytest

from server.simulator.__main__ import main

PROFILE = """variant,accuracy,batch,latency_ms_p50
small,0.70,1,3.0
small,0.70,4,8.0
large,0.80,1,12.0
large,0.80,4,40.0
"""


@pytest.fixture
def profile(tmp_path: Path) -> Path:
    path = tmp_path / "profile.csv"
    path.write_text(PROFILE)
    return path


def told(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(a) for a in arguments]) == 2
    return capsys.readouterr().err


def test_a_report_has_every_figure(profile: Path, capsys: pytest.CaptureFixture[str]):
    code = main(
        [
            "--profile",
            str(profile),
            "--slo-ms",
            "50",
            "--rate-rps",
            "50",
            "--duration-s",
            "3",
            "--json",
        ]
    )

    report = json.loads(capsys.readouterr().out)
    assert code == 0
    assert {"offered", "attainment", "effective_accuracy", "awg", "dropped", "late"} <= set(report)
    assert {"decision_us_p50", "decision_us_p99", "timeline"} <= set(report)
    assert report["attainment"] == 1.0
    assert sum(s["offered"] for s in report["timeline"]) == report["offered"]


def test_a_trace_gives_every_arrival(
    profile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    trace = tmp_path / "arrivals.txt"
    trace.write_text("# seconds\n0.5\n0.1\n2.5\n")

    code = main(["--profile", str(profile), "--slo-ms", "50", "--arrivals", str(trace), "--json"])

    assert code == 0
    assert json.loads(capsys.readouterr().out)["offered"] == 3


def test_a_slow_spell_is_felt(profile: Path, capsys: pytest.CaptureFixture[str]):
    common = ["--profile", profile, "--slo-ms", 30, "--policy", "static:large", "--rate-rps", 20]
    spell = ["--slow-from", 0, "--slow-until", 60, "--slow-factor", 3]

    assert main([*map(str, common), "--json"]) == 0
    usual = json.loads(capsys.readouterr().out)["attainment"]
    assert main([*map(str, [*common, *spell]), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["attainment"] < usual - 0.5


def test_bad_input_gets_code_2_and_one_message_that_names_it(
    profile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    slo = ("--slo-ms", 50)
    bad = tmp_path / "bad.csv"

    assert "known: adaptive" in told(capsys, "--profile", profile, *slo, "--policy", "best")
    assert "large, small" in told(capsys, "--profile", profile, *slo, "--policy", "static:x")
    assert "nowhere.csv" in told(capsys, "--profile", tmp_path / "nowhere.csv", *slo)
    assert "not a positive" in told(capsys, "--profile", profile, "--slo-ms", 0)
    bad.write_text("variant,batch\nsmall,1\n")
    assert "no column accuracy, latency_ms_p50" in told(capsys, "--profile", bad, *slo)
    bad.write_text(PROFILE + "large,0.80,8,fast\n")
    assert "line 6" in told(capsys, "--profile", bad, *slo)
    bad.write_text("")
    assert "no column" in told(capsys, "--profile", bad, *slo)
    bad.write_text("one\n")
    assert "one time in seconds" in told(capsys, "--profile", profile, *slo, "--arrivals", bad)
    bad.with_suffix(".json").write_text("{}")
    assert "not a stored profile" in told(capsys, "--profile", bad.with_suffix(".json"), *slo)
