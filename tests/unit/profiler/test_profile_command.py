"""`gearshift profile` on a scripted family that takes no time: table, JSON, store, plot, bad input."""

import json
import re
from pathlib import Path

import pytest

from models.artifacts import load_family, publish_family
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from profiler.__main__ import main
from profiler.hardware.fingerprint import detect
from profiler.profiles import MachineProfile, Point, Profile
from profiler.reporting.explain import explained
from profiler.reporting.table import as_values, rendered


def a_repository(root: Path, script: str | dict[str, str] = "fixed_s = 0.0\n") -> Path:
    names = {"small": 0.6, "large": 0.8}
    scripts = script if isinstance(script, dict) else dict.fromkeys(names, script)
    family = Family(
        name="tiny",
        inputs=(TensorSpec("x", "UINT8", (-1, 3)),),
        outputs=(TensorSpec("y", "FP32", (-1, 2)),),
        variants=tuple(
            Variant(name, "fp32", "", "0" * 64, Accuracy(value, "invented"))
            for name, value in names.items()
        ),
        slo=Slo(0.05),
        max_batch=4,
    )
    files = {name: root / f"{name}.scripted" for name in names}
    for name, path in files.items():
        path.write_text(scripts[name])
    publish_family(root / "models", family, files)
    return root / "models"


def options(root: Path, repository: Path) -> list[str]:
    return [
        "--family=tiny",
        f"--repository={repository}",
        f"--profiles={root / 'profiles'}",
        "--budget-s=0.1",
    ]


def test_the_table_has_every_arm_and_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code = main(options(tmp_path, a_repository(tmp_path)))

    table = capsys.readouterr().out
    assert code == 0
    begins = [line.split()[0] for line in table.splitlines() if line.strip()]
    assert (
        begins.count("small@scripted") == begins.count("large@scripted") == 1
    )  # remarks name arms too
    assert "60.00%" in table
    assert "p99 ms" in table


def test_the_columns_of_a_fast_model_do_not_run_together(tmp_path: Path):
    family = load_family(a_repository(tmp_path) / "tiny")
    point = Point(1024, 123456, 1e-7, 1e-5, 1234.5, 1e-7, 1e-8, 1.0)
    long = "of-a-rather-long-name-that-goes-on-and-on"
    profile = Profile(
        long, "fp32", "scripted", "cpu", 1, (point,), load_s=12345.6, memory_bytes=1 << 42
    )

    text = rendered(family, MachineProfile("0" * 8, "tiny", "today", (profile,)), detect())

    assert len(text.splitlines()[5].split()) == 11


def test_files_that_no_runtime_takes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    repository = a_repository(tmp_path)
    for script in (repository / "tiny").glob("*.scripted"):
        script.rename(script.with_suffix(".pt"))
    manifest = repository / "tiny" / "family.toml"
    manifest.write_text(manifest.read_text().replace(".scripted", ".pt"))

    code = main(options(tmp_path, repository))

    assert code == 2
    said = capsys.readouterr().err
    assert re.search(
        r"no runtime takes small-\w+\.pt of small; artefacts are \*\.onnx or \*\.pt2", said
    )


def test_a_second_run_measures_nothing_unless_told_to(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = [*options(tmp_path, a_repository(tmp_path)), "--json"]
    found: list[dict[str, object]] = []
    for extra in ([], [], ["--fresh"]):
        assert main([*arguments, *extra]) == 0
        found.append(json.loads(capsys.readouterr().out))

    assert found[0]["profiles"] == found[1]["profiles"] != found[2]["profiles"]


def test_each_number_of_threads_has_profiles_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = [*options(tmp_path, a_repository(tmp_path)), "--json"]
    found: list[dict[str, list[dict[str, int]]]] = []
    for threads in (1, 2, 1):
        assert main([*arguments, f"--threads={threads}"]) == 0
        found.append(json.loads(capsys.readouterr().out))

    assert [[p["threads"] for p in f["profiles"]] for f in found] == [[1, 1], [2, 2], [1, 1]]
    assert found[2]["profiles"] == found[0]["profiles"]


def test_the_plot_is_a_png(tmp_path: Path):
    path = tmp_path / "frontier.png"

    assert main([*options(tmp_path, a_repository(tmp_path)), f"--plot={path}"]) == 0

    assert path.read_bytes().startswith(b"\x89PNG")


def test_an_unknown_family_is_one_message_and_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([f"--repository={tmp_path}", "--family=none"]) == 2

    assert "none" in capsys.readouterr().err


def test_a_corrupt_artefact_is_one_message_and_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    repository = a_repository(tmp_path, script="fixed_s = [")

    assert main(options(tmp_path, repository)) == 2

    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["--budget-s=0", "--budget-s=nan", "--threads=0", "--budget-s=x"])
def test_a_bad_option_is_refused(wrong: str):
    with pytest.raises(SystemExit) as stopped:
        main([wrong])

    assert stopped.value.code == 2


def test_an_unknown_family_is_told_which_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    repository = a_repository(tmp_path)

    assert main([f"--repository={repository}", "--family=none"]) == 2

    assert "there are: tiny" in capsys.readouterr().err


def test_json_tells_intervals_seconds_and_fingerprint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([*options(tmp_path, a_repository(tmp_path)), "--json"]) == 0

    found = json.loads(capsys.readouterr().out)
    point = found["profiles"][0]["points"][0]
    assert 0 < point["low_s"] <= point["p50_s"] <= point["high_s"]
    assert found["profiles"][0]["seconds"] > 0
    assert len(found["fingerprint"]) == 12
    assert found["failed"] == {}


def test_one_broken_variant_is_named_and_the_others_are_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    repository = a_repository(tmp_path, {"small": "fail_on_run = 1\n", "large": "fixed_s = 0.0\n"})

    assert main([*options(tmp_path, repository), "--explain"]) == 0

    told = capsys.readouterr()
    assert "small@scripted is left out" in told.err
    assert "small@scripted: small" in told.out
    assert "large@scripted" in told.out


def test_explain_says_what_beats_an_arm(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    scripts = {"small": "fixed_s = 0.06\n", "large": "fixed_s = 0.001\n"}
    arguments = [*options(tmp_path, a_repository(tmp_path, scripts)), "--budget-s=1.5"]

    assert main([*arguments, "--explain"]) == 0

    assert "small@scripted: large@scripted" in capsys.readouterr().out


def test_a_profile_is_compared_with_a_stored_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = options(tmp_path, a_repository(tmp_path, "fixed_s = 0.002\n"))
    assert main(arguments) == 0
    stored = next((tmp_path / "profiles").glob("*.json"))
    capsys.readouterr()

    assert main([*arguments, f"--diff={stored}"]) == 0

    assert "verdict: as fast as before (median ratio 1.00), all arms alike" in (
        capsys.readouterr().out
    )


def test_two_files_are_compared_without_measuring(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(options(tmp_path, a_repository(tmp_path))) == 0
    stored = str(next((tmp_path / "profiles").glob("*.json")))
    capsys.readouterr()

    assert main(["--family=none", "--json", "--diff", stored, stored]) == 0

    assert json.loads(capsys.readouterr().out)["ratio"] == 1.0


@pytest.mark.parametrize("content", ["", "[]", '{"profiles": [{}], "hardware": {}}'])
def test_a_foreign_file_to_compare_with_is_one_message_and_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
):
    path = tmp_path / "other.json"
    path.write_text(content)

    assert main([f"--diff={path}"]) == 2

    assert "no stored profile" in capsys.readouterr().err


def test_an_unknown_backend_is_told_which_there_are(capsys: pytest.CaptureFixture[str]):
    assert main(["--backends=abacus"]) == 2

    assert "known: onnxruntime" in capsys.readouterr().err


def a_seen(name: str, *points: Point) -> Profile:
    return Profile(name, "fp32", "scripted", "cpu", 1, points)


def test_explain_says_which_tails_are_inherited_and_how_sure_the_frontier_is(tmp_path: Path):
    family = load_family(a_repository(tmp_path) / "tiny")
    often = Point(1, 120, 0.004, 0.005, 0.006, 0.0042, 0.0039, 0.0041)
    twice = Point(1, 2, 0.010, 0.012, 0.014, 0.0105, 0.009, 0.011)

    text = explained(family, [a_seen("small", often), a_seen("large", twice)], {})

    assert "122 runs, 2 to 120 (61 in the middle) a batch size" in text
    assert "own runs at 1 batch sizes (20 runs or more), p99 at 1 (100)" in text
    assert "the median times what 120 runs of all arms show" in text
    assert "large@scripted: 10.0 ms (+/-10%)" in text
    assert "up to 95 rows/s (+/-10%) a worker: large@scripted x 1" in text


def test_explain_says_when_a_tail_is_assumed(tmp_path: Path):
    family = load_family(a_repository(tmp_path) / "tiny")
    twice = Point(1, 2, 0.010, 0.0109, 0.0112, 0.010, 0.009, 0.011)

    text = explained(family, [a_seen("small", twice)], {})

    assert "0 runs of all arms show, and at least 1.09 for p95 and 1.12 for p99 (assumed" in text


def test_explain_says_which_of_two_arms_is_not_certain(tmp_path: Path):
    family = load_family(a_repository(tmp_path) / "tiny")
    one = Point(1, 9, 0.0100, 0.012, 0.014, 0.0105, 0.0095, 0.0105)
    other = Point(1, 9, 0.0102, 0.012, 0.014, 0.0105, 0.0097, 0.0107)

    text = explained(family, [a_seen("large", one), a_seen("small", other)], {})

    assert "small@scripted: large@scripted seems faster at every batch size" in text


def test_the_table_and_json_mark_tails_that_are_not_their_own(tmp_path: Path):
    family = load_family(a_repository(tmp_path) / "tiny")
    points = (
        Point(1, 30, 0.004, 0.005, 0.006, 0.0042, 0.0039, 0.0041),
        Point(2, 2, 0.010, 0.012, 0.014, 0.0105, 0.009, 0.011),
    )
    machine = MachineProfile("0" * 8, "tiny", "today", (a_seen("small", *points),))

    text = rendered(family, machine, detect())
    found = as_values(family, machine, detect(), 1.0)["profiles"][0]["points"]

    assert all(word in text for word in (" 5.000", "~6.000", "~12.000", "~14.000"))
    assert "~5.000" not in text
    assert [(p["p95_from"], p["p99_from"]) for p in found] == [
        ("own", "pooled"),
        ("pooled", "pooled"),
    ]


def test_two_runs_are_not_shown_as_a_distribution_without_a_tail(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = [*options(tmp_path, a_repository(tmp_path, "fixed_s = 0.03\n")), "--json"]

    assert main(arguments) == 0

    points = [p for q in json.loads(capsys.readouterr().out)["profiles"] for p in q["points"]]
    few = [p for p in points if p["n"] < 20]
    assert few
    assert all(p["p50_s"] < p["p95_s"] < p["p99_s"] for p in few)
