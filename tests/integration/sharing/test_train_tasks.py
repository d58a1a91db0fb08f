"""`gearshift train-tasks` on digits: what is published answers as torch does, at the rates that are published."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="training needs torch")
pytest.importorskip("sklearn", reason="the digits are scikit-learn's")

from models.stems import Heads, Package, Stem, load_package
from tests.support.training.command import train_tasks
from trainer.data import load
from trainer.tasks.__main__ import main
from trainer.tasks.asked import Asked, Base, Held, Scenes, checked, splits_of
from trainer.tasks.asked import Heads as AskedHeads
from trainer.tasks.footage import Footage
from trainer.tasks.measure import said
from trainer.tasks.shown import shown_of
from trainer.tasks.table import table

ASKED = {
    "network": "resnet-w4-d1",
    "base-budget": 6000,
    "tasks": "six=6;high=7,8,9",
    "points": "3,5",
    "head-budget": 4000,
    "frames": 1000,
    "choosing-frames": 600,
    "measuring-windows": 100,
}
POINTS = (0, 3, 5)


def flags(**changes: object) -> list[str]:
    given = ASKED | {key.replace("_", "-"): value for key, value in changes.items()}
    return [text for key, value in given.items() for text in (f"--{key}", str(value))]


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Package, dict[str, Any]]:
    """The folder of a package that was published, what is in it, what the command said."""
    folder = tmp_path_factory.mktemp("tasks")
    done = train_tasks(folder, *flags(), "--publish", str(folder / "models"), "--json")
    assert done.returncode == 0, done.stderr
    place = folder / "models" / "digits-tasks"
    return place, load_package(place), json.loads(done.stdout)


def measuring_stream() -> tuple[Footage, Any]:
    """What the command measured on, made again from what it says that it was asked."""
    held = Held(choosing_frames=600, measuring_windows=100)
    heads = AskedHeads(tasks=str(ASKED["tasks"]), points="3,5", head_budget=4000, frames=1000)
    asked = Asked(
        "digits",
        base=Base(network="resnet-w4-d1", budget=6000),
        scenes=Scenes(),
        heads=heads,
        held=held,
    )
    work = checked(asked, load("digits"))
    return shown_of(work, splits_of(work)).measuring, work


def test_a_package_has_every_task_at_every_point(published: tuple[Path, Package, dict[str, Any]]):
    _, package, outcome = published

    assert [p.frozen for p in package.base.points] == [0, 3, 5]
    assert package.base.points[0].shape == (1, 8, 8)
    assert [t.name for t in package.tasks] == ["six", "high"]
    assert [tuple(h.frozen for h in t.heads) for t in package.tasks] == [POINTS, POINTS]
    assert [t.event_frequency for t in package.tasks] == [pytest.approx(0.1), pytest.approx(0.3)]
    assert (package.stream_fps, package.tasks[0].event_length_s) == (10.0, 0.6)
    assert "sha256" in json.loads(package.tasks[0].origin)["data_source"]
    assert outcome["published"].endswith("digits-tasks")


def test_published_rates_are_those_of_the_published_heads(
    published: tuple[Path, Package, dict[str, Any]],
):
    folder, package, _ = published
    shown, work = measuring_stream()

    scores = said(folder, package, shown)

    for task, wanted in zip(package.tasks, work.tasks, strict=True):
        events = shown.frame_events(wanted)
        for head in task.heads:
            positives = scores[task.name, head.frozen] >= head.threshold
            assert positives[events].mean() == pytest.approx(head.true_positive, abs=1e-9)
            assert positives[~events].mean() == pytest.approx(head.false_positive, abs=1e-9)


def test_heads_behind_the_stem_know_their_task_on_pictures_never_seen(
    published: tuple[Path, Package, dict[str, Any]],
):
    folder, package, _ = published
    test = load("digits").test
    stem, heads = Stem.open(folder, package), Heads.open(folder, package)

    activations = stem.run(test.images.astype(np.float32), 0, POINTS)
    high = heads.run("high", 0, activations[0])
    six = {point: heads.run("six", point, activations[point]) for point in POINTS}

    assert ((high >= 0.5) == (test.labels >= 7)).mean() > 0.8
    f1 = {point: _f1(six[point] >= 0.5, test.labels == 6) for point in POINTS}
    assert f1[0] > 0.7
    assert f1[0] > f1[5]


def test_the_table_is_for_people(published: tuple[Path, Package, dict[str, Any]]):
    lines = table(published[2]).splitlines()

    assert lines[0].split() == [
        "task",
        "events",
        "corr",
        "0",
        "frozen",
        "3",
        "frozen",
        "5",
        "frozen",
    ]
    assert lines[1].startswith("six ")
    assert "published as" in lines[-1]


ABOVE = "must be above 0"
FEW_TURNED = {"measuring-windows": "10", "views": "plain,turned", "tasks": "a=9:turned"}


@pytest.mark.parametrize(
    ("changes", "said_of_it"),
    [
        ({"tasks": "six=60"}, "class '60' is unknown; there are: 0 0, 1 1"),
        ({"tasks": "six="}, "task 'six=' is empty"),
        ({"tasks": "a/b=1"}, "'a/b' must be a plain name"),
        ({"points": "2.residue"}, "lies inside a block"),
        ({"network": "dense-w1-d1"}, "network 'dense-w1-d1' is unknown"),
        ({"base-classes": "1"}, "give two or more to tell apart"),
        ({"data": "/nowhere"}, "/nowhere does not exist"),
        ({"views": "sideways"}, "give some of plain, mirrored, turned"),
        ({"head-budget": "0", "held-out": "1"}, f"head_lr {ABOVE} and finite; held_out {ABOVE}"),
        ({"head-lr": "nan"}, f"head_budget and head_lr {ABOVE} and finite"),
        ({"stream-fps": "inf"}, f"stream_fps {ABOVE} and finite; event_length_s"),
        ({"frames": "100000000000000"}, "out of memory: "),
        ({"head-lr": "1e9"}, "lower the rate (--head-lr)"),
        (FEW_TURNED, "greater --measuring-windows"),
        ({"threads": "-1"}, "--threads and --nice must not be negative"),
        ({"publish": "/proc/models"}, "repository /proc/models cannot be written"),
    ],
)
def test_what_cannot_be_trained_is_refused_in_one_line(
    changes: dict[str, str], said_of_it: str, capsys: pytest.CaptureFixture[str]
):
    assert main([*flags(**changes), "--quiet", "--threads", changes.get("threads", "1")]) == 2

    printed = capsys.readouterr()
    assert printed.out == ""
    assert len(printed.err.splitlines()) == 1
    assert said_of_it in printed.err


def test_fashion_mnist_that_is_not_installed_is_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setattr("trainer.data._DEBIAN_FASHION", tmp_path / "none")

    assert main(["--data", "fashion-mnist", "--quiet", "--threads", "1"]) == 2

    assert "install the Debian package dataset-fashion-mnist" in capsys.readouterr().err


def _f1(positives: np.ndarray, events: np.ndarray) -> float:
    right = int((positives & events).sum())
    return 2 * right / (int(positives.sum()) + int(events.sum()))


def test_a_run_that_is_terminated_leaves_nothing_behind(tmp_path: Path):
    folder, repository = tmp_path / "scratch", tmp_path / "repository"
    folder.mkdir()
    changes = {"measuring-windows": "20000", "publish": str(repository)}
    command = [sys.executable, "-m", "gearshift", "train-tasks", *flags(**changes)]
    environment = {**os.environ, "TMPDIR": str(folder)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE) as running:
        assert running.stderr is not None
        told = b""
        while b"measured:" not in told and (more := running.stderr.read(1)):
            told += more
        exported = list(folder.glob("gearshift-*"))
        running.terminate()
        running.stderr.read()

    assert exported
    assert running.returncode == 130
    assert not list(folder.glob("gearshift-*"))
    assert not list(repository.iterdir())
