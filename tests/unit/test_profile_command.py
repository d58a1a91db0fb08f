"""`gearshift profile` on a scripted family that takes no time: table, JSON, store, plot, bad input."""

import json
from pathlib import Path

import pytest

from models.artifacts import publish_family
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from profiler.__main__ import main
from profiler.plot import Spot, frontier


def a_repository(root: Path, script: str = "fixed_s = 0.0\n") -> Path:
    names = {"small": 0.6, "large": 0.8}
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
    for path in files.values():
        path.write_text(script)
    publish_family(root / "models", family, files)
    return root / "models"


def options(root: Path, repository: Path) -> list[str]:
    return [
        "--family=tiny", f"--repository={repository}", f"--profiles={root / 'profiles'}",
        "--budget-s=0.1",
    ]  # fmt: skip


def test_the_table_has_every_arm_and_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code = main(options(tmp_path, a_repository(tmp_path)))

    table = capsys.readouterr().out
    assert code == 0
    assert table.count("small") == table.count("large") == 1
    assert "60.00%" in table
    assert "p99 ms" in table


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


def test_the_frontier_leaves_out_what_is_slower_and_no_better():
    spots = {
        "quick": Spot("quick", "int8", 0.70, 0.003, 0.002),
        "good": Spot("good", "fp32", 0.75, 0.005, 0.005),
        "slow": Spot("slow", "fp32", 0.74, 0.006, 0.006),
        "best": Spot("best", "fp32", 0.78, 0.012, 0.012),
    }

    assert [s.label for s in frontier(tuple(spots.values()))] == ["quick", "good", "best"]
