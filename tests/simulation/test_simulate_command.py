"""`gearshift simulate`: from files to a report, and what bad input is told."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.artifacts import load_family
from models.catalog import Slo
from profiler import store
from profiler.hardware.fingerprint import detect
from profiler.profiles import MachineProfile, Point, Profile
from server.simulator.__main__ import main
from tests.support.serving.families import ECHO, publish_scripted

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


def reported(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict[str, Any]:
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_what_was_dropped_is_a_count_and_explained_by_reason(
    profile: Path, capsys: pytest.CaptureFixture[str]
):
    report = reported(
        capsys, "--profile", profile, "--slo-ms", 50, "--rate-rps", 2000, "--duration-s", 1
    )

    assert report["dropped"] > 0
    assert sum(report["dropped_by_reason"].values()) == report["dropped"]


def test_a_policy_told_the_speed_or_measuring_it_beats_one_that_trusts_its_profile(
    profile: Path, capsys: pytest.CaptureFixture[str]
):
    common = ["--profile", profile, "--slo-ms", 40, "--rate-rps", 100, "--duration-s", 5]
    spell = ["--slow-from", 1, "--slow-until", 4, "--slow-factor", 2]

    awg = {
        way: reported(capsys, *common, *spell, "--follow", way, *promised)["awg"]
        for way, promised in (("profile", ("--percentile", 0)), ("measured", ()), ("told", ()))
    }

    assert awg["measured"] > awg["profile"] + 0.1
    assert awg["told"] > awg["profile"] + 0.1


def test_classes_are_reported_each_and_their_demands_kept(
    profile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    classes = tmp_path / "classes.toml"
    classes.write_text(
        '[[class]]\nname = "gold"\nshare = 1\nmin_accuracy = 0.8\n'
        '[[class]]\nname = "bulk"\nshare = 1\nslo_ms = 20\n'
    )

    report = reported(
        capsys, "--profile", profile, "--slo-ms", 60, "--rate-rps", 20, "--classes", classes
    )

    assert set(report["classes"]) == {"gold", "bulk"}
    assert report["classes"]["gold"]["effective_accuracy"] == pytest.approx(0.8)
    assert sum(c["offered"] for c in report["classes"].values()) == report["offered"]


def test_changing_arms_and_loading_them_costs(profile: Path, capsys: pytest.CaptureFixture[str]):
    common = ["--profile", profile, "--slo-ms", 40, "--rate-rps", 150, "--duration-s", 5]

    free = reported(capsys, *common)["awg"]
    dear = reported(capsys, *common, "--switch-ms", 10, "--load-ms", 500)["awg"]

    assert dear < free - 0.05


def test_the_bound_is_above_what_was_delivered(profile: Path, capsys: pytest.CaptureFixture[str]):
    report = reported(capsys, "--profile", profile, "--slo-ms", 40, "--duration-s", 5, "--bound")

    assert report["awg"] <= report["bound_awg"] <= 0.8


def test_out_writes_figures_text_and_picture(
    profile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    prefix = tmp_path / "run"

    report = reported(
        capsys, "--profile", profile, "--slo-ms", 40, "--duration-s", 5, "--out", prefix
    )

    assert json.loads((tmp_path / "run.json").read_text()) == report
    assert f"| offered | {report['offered']} |" in (tmp_path / "run.md").read_text()
    assert (tmp_path / "run.png").read_bytes().startswith(b"\x89PNG")


def test_every_policy_can_be_listed(capsys: pytest.CaptureFixture[str]):
    assert main(["--policy", "list"]) == 0

    assert {"adaptive", "largest"} <= set(capsys.readouterr().out.split())


def test_bad_input_gets_code_2_and_one_message_that_names_it(
    profile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    slo = ("--slo-ms", 50)
    bad = tmp_path / "bad.csv"

    assert "known: adaptive" in told(capsys, "--profile", profile, *slo, "--policy", "best")
    assert "large, small" in told(capsys, "--profile", profile, *slo, "--policy", "static:x")
    assert "nowhere.csv" in told(capsys, "--profile", tmp_path / "nowhere.csv", *slo)
    assert "not a positive" in told(capsys, "--profile", profile, "--slo-ms", 0)
    assert "--slo-ms is missing" in told(capsys, "--profile", profile)
    assert "gone" in told(capsys, "--profile", profile, *slo, "--out", tmp_path / "gone" / "run")
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


def test_a_folder_that_is_not_there_is_told_before_anything_is_simulated(
    profile: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    text = told(capsys, "--profile", profile, "--slo-ms", 50, "--out", tmp_path / "gone" / "x")

    assert "there is no such folder; make it first" in text


def test_a_slow_arm_needs_to_be_there_and_to_have_its_time(
    profile: Path, capsys: pytest.CaptureFixture[str]
):
    common = ("--profile", profile, "--slo-ms", 50, "--slow-arm")
    spell = ("--slow-until", 2, "--slow-factor", 3)

    assert "add --slow-until and --slow-factor" in told(capsys, *common, "large")
    assert "no such variant; known: large, small" in told(capsys, *common, "huge", *spell)


def test_stalls_and_one_slow_arm_are_felt(profile: Path, capsys: pytest.CaptureFixture[str]):
    common = ("--profile", profile, "--slo-ms", 30, "--policy", "static:large", "--rate-rps", 20)
    usual = reported(capsys, *common)["attainment"]

    stalled = reported(capsys, *common, "--stall-share", 0.3, "--stall-factor", 5)["attainment"]
    spell = ("--slow-until", 60, "--slow-factor", 3)
    other, own = (
        reported(capsys, *common, *spell, "--slow-arm", name)["attainment"]
        for name in ("small", "large")
    )

    assert stalled < usual - 0.2
    assert own < usual - 0.5
    assert other == usual


MS = {"small": 2.0, "large": 9.0}


def a_home(root: Path, *names: str, threads: tuple[int, ...] = (1,)) -> tuple[str, ...]:
    """Options that name a repository of these families, and profiles of this machine for each."""
    hardware = detect()
    for name in names:
        family = replace(ECHO, name=name, slo=Slo(0.03, 0.5, 0.9))
        family = publish_scripted(root / "models", family, dict.fromkeys(MS, ""), {"small": 0.6})
        arms = tuple(
            Profile(v, "fp32", "scripted", "cpu", n, (Point(1, 9, *[MS[v] / 1e3] * 4),))
            for v in MS
            for n in threads
        )
        machine = MachineProfile(hardware.fingerprint(), name, "today", arms)
        assert store.save(root / "profiles", family, machine, hardware)
    return f"--repository={root / 'models'}", f"--profiles={root / 'profiles'}"


def test_without_a_profile_it_is_the_only_familys_on_this_machine_under_its_slo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    home = a_home(tmp_path, "pets")

    assert main([*home, "--rate-rps", "20", "--duration-s", "3", "--json"]) == 0

    said = capsys.readouterr()
    report = json.loads(said.out)
    assert report["attainment"] == 1.0
    assert report["effective_accuracy"] == pytest.approx(0.8)  # of the larger, which has the time
    (line,) = said.err.splitlines()
    assert "assumed pets and its SLO (30 ms for 0.9 of the requests)" in line


def test_what_is_given_is_not_assumed(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    home = a_home(tmp_path, "pets", threads=(2, 4))

    assert main([*home, "--slo-ms", "5", "--rate-rps", "20", "--duration-s", "3", "--json"]) == 0

    said = capsys.readouterr()
    assert json.loads(said.out)["effective_accuracy"] == pytest.approx(0.6)  # there is no time
    assert "assumed pets (5 ms for 0.99 of the requests)" in said.err


def test_of_several_families_one_must_be_chosen(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    home = a_home(tmp_path, "cats", "dogs")

    assert "choose one with --family: cats, dogs" in told(capsys, *home)
    assert "no family 'eels'" in told(capsys, *home, "--family", "eels")
    assert main([*home, "--family", "dogs", "--duration-s", "1"]) == 0
    assert "assumed dogs" in capsys.readouterr().err


def test_without_a_family_or_profiles_the_command_that_makes_them_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    (tmp_path / "empty").mkdir()
    assert "gearshift models add" in told(capsys, f"--repository={tmp_path / 'empty'}")
    repository, _ = a_home(tmp_path, "pets")
    nowhere = f"--profiles={tmp_path / 'nowhere'}"
    assert "`gearshift profile --family pets --repository" in told(capsys, repository, nowhere)


def test_profiles_of_an_artefact_that_was_replaced_are_not_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    home = a_home(tmp_path, "pets")
    manifest = tmp_path / "models" / "pets" / "family.toml"
    digest = load_family(manifest.parent).variants[1].sha256
    before, _, after = manifest.read_text().rpartition(digest)
    manifest.write_text(f"{before}{'0' * 64}{after}")

    assert main([*home, "--rate-rps", "20", "--duration-s", "3", "--json"]) == 0

    assert json.loads(capsys.readouterr().out)["effective_accuracy"] == pytest.approx(0.6)


def test_where_sizes_are_free_a_request_is_a_row_of_the_usual_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    home = a_home(tmp_path, "pets")
    manifest = tmp_path / "models" / "pets" / "family.toml"
    sized = manifest.read_text().replace("[-1, 16]", '[-1, "tokens"]')
    manifest.write_text(f'{sized}\n[[sizes]]\nname = "tokens"\ntypical = 8\n')
    profiles = next((tmp_path / "profiles").glob("pets-*.json"))
    content = json.loads(profiles.read_text())
    for row in content["profiles"]:
        (one,) = row["points"]
        row["points"].append({k: v * 4 for k, v in one.items() if k != "n"} | {"n": 9})
    profiles.write_text(json.dumps(content))

    report = reported(capsys, *home, "--rate-rps", 20, "--duration-s", 3)

    assert report["attainment"] == 1.0
    assert report["effective_accuracy"] == pytest.approx(0.6)  # the larger takes 36 ms for it
