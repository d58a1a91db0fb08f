"""`gearshift models show`: a family whole, and its frontier where this machine's profiles are stored."""

from pathlib import Path

import pytest

from gearshift.models import main
from models.artifacts import load_family, publish_family
from models.catalog import Accuracy, Family, FreeSize, Slo, TensorSpec, Variant
from profiler import store
from profiler.hardware.fingerprint import detect
from profiler.profiles import MachineProfile, Point, Profile

ACCURACIES = {"small": 0.6, "middle": 0.7, "large": 0.8}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a family of three variants, one of them a candidate."""
    family = Family(
        "own",
        (TensorSpec("x", "FP32", (-1, -1, 3), ("tokens",), 0.0),),
        (TensorSpec("y", "FP32", (-1, 2)),),
        tuple(
            Variant(n, "fp32", "", "", Accuracy(a, "own split", 400, 0.025), n == "large")
            for n, a in ACCURACIES.items()
        ),
        Slo(0.02, 0.5, 0.95),
        max_batch=8,
        labels=("cat", "dog"),
        description="pets\x1b[2J",
        sizes=(FreeSize("tokens", 16, 64),),
    )
    (tmp_path / "net.scripted").write_text("x" * (1 << 20))
    publish_family(
        tmp_path / "models", family, dict.fromkeys(ACCURACIES, tmp_path / "net.scripted")
    )
    return tmp_path / "models"


def profiled(root: Path, **row_ms: float) -> Path:
    """A folder of profiles of this machine: what a row of the typical sizes takes, by variant."""
    hardware = detect()

    def points(ms: float) -> tuple[Point, ...]:
        return tuple(Point(b, 9, *[ms * b / 4e3] * 4) for b in (1, 4))  # a row has four units

    arms = [Profile(n, "fp32", "scripted", "cpu", 1, points(ms)) for n, ms in row_ms.items()]
    arms.append(Profile("small", "fp32", "scripted", "cpu", 2, points(0.001)))
    machine = MachineProfile(hardware.fingerprint(), "own", "today", tuple(arms))
    assert store.save(root.parent / "profiles", load_family(root / "own"), machine, hardware)
    return root.parent / "profiles"


def show(root: Path, *words: object) -> int:
    given = ("show", "own", "--repository", root, "--profiles", root.parent / "profiles", *words)
    return main([str(word) for word in given])


def test_all_that_a_family_is_is_said(root: Path, capsys: pytest.CaptureFixture[str]):
    assert show(root) == 0

    said = capsys.readouterr().out
    assert "x: FP32 [rows, tokens, 3], padded with 0" in said
    assert "y: FP32 [rows, 2]" in said
    assert "tokens: 16 as a rule, 64 at most" in said
    assert "20 ms for 95 % of requests, accuracy 0.5 at least" in said
    assert "2: cat; dog" in said
    (line,) = [line for line in said.splitlines() if line.startswith("large")]
    assert line.split(maxsplit=4) == [
        "large",
        "fp32",
        "80.00%",
        "1.00",
        "own split, 400 rows +/-2.50% (candidate)",
    ]
    assert "\x1b" not in said


def test_without_profiles_the_command_that_makes_them_is_named(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    assert show(root) == 0
    assert f"gearshift profile --family own --repository {root}" in capsys.readouterr().out

    assert show(root, "--plot", root.parent / "plot.png") == 2
    assert "gearshift profile --family own" in capsys.readouterr().err


def test_the_frontier_is_of_one_row_and_one_number_of_threads(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    profiled(root, small=5.0, middle=4.0, large=40.0)

    assert show(root) == 0

    rows = [line for line in capsys.readouterr().out.splitlines() if "@scripted" in line]
    assert [row.split(maxsplit=5) for row in rows] == [
        ["A", "middle@scripted", "4.000", "ms", "70.00%", "on the frontier"],
        ["o", "small@scripted", "5.000", "ms", "60.00%", "beaten by a faster one"],
        ["B", "large@scripted", "40.000", "ms", "80.00%", "on the frontier, above the SLO"],
    ]


def test_variants_without_a_profile_are_named(root: Path, capsys: pytest.CaptureFixture[str]):
    profiled(root, small=5.0, middle=4.0)

    assert show(root) == 0

    assert "not measured here: large (" in capsys.readouterr().out


def test_a_plot_is_written(root: Path, capsys: pytest.CaptureFixture[str]):
    profiled(root, small=5.0, large=40.0)

    assert show(root, "--plot", root.parent / "plot.png") == 0

    assert (root.parent / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert "wrote" in capsys.readouterr().out


def test_a_missing_artefact_is_said_and_the_rest_shown(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    (root / "own" / load_family(root / "own").variants[0].artifact).unlink()

    assert show(root) == 0

    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("small")]
    assert "missing" in line
