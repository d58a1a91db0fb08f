"""`gearshift models add` with rows of one's own: measured with, kept as the family's, and gone with it."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from PIL import Image

from models.__main__ import main
from models.artifacts import load_family
from models.artifacts.samples import MOST_PUBLISHED, SAMPLES, read_samples
from models.managing.removing import remove_family
from profiler.__main__ import main as profile
from tests.support.zoo import graph

BY_COLOUR = """
g (float[N, 3, 8, 8] x) => (float[N, 3] y)
{ y = ReduceMean <axes = [2, 3], keepdims = 0> (x) }
"""
COLOURS = {"blue": (0, 0, 200), "green": (0, 200, 0), "red": (200, 0, 0)}
"""Of pictures; the model's outputs are red, green, blue."""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A network that says by the mean of channels which colour a picture has."""
    onnx.save(graph(BY_COLOUR), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def pictures(root: Path, names: dict[str, str], count: int = 20) -> Path:
    """A folder with folders of pictures, called by `names` of their colours."""
    for colour, name in names.items():
        (root / "pictures" / name).mkdir(parents=True)
        for i in range(count):
            picture = Image.new("RGB", (12, 9), COLOURS[colour])
            picture.save(root / "pictures" / name / f"{i}.png")
    return root / "pictures"


def add(model: Path, samples: Path, *words: object) -> int:
    models = model.parent / "models"
    given = ("add", model, "--samples", samples, "--repository", models, "--precisions", "", *words)
    return main([str(word) for word in given])


def test_folders_of_pictures_measure_accuracy_and_name_the_classes(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = pictures(tmp_path, {"red": "0-red", "green": "1-green", "blue": "2-blue"})

    assert add(model, folder) == 0

    family = load_family(tmp_path / "models" / "net")
    assert family.labels == ("0-red", "1-green", "2-blue")
    assert family.variants[0].accuracy.value == 1.0
    assert family.variants[0].accuracy.n == 30
    said = capsys.readouterr().out
    assert "60 of 60 pictures" in said
    assert "0 0-red, 1 1-green, 2 2-blue" in said


def test_classes_in_another_order_are_found_out_and_nothing_is_added(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = pictures(tmp_path, {"blue": "a", "red": "b", "green": "c"})

    assert add(model, folder) == 2

    assert "no more than always saying" in capsys.readouterr().err
    assert not list((tmp_path / "models").glob("net/*"))


def test_some_of_the_rows_become_the_familys_own_and_it_is_measured_with_them(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    folder = pictures(tmp_path, {"red": "0-red", "green": "1-green"}, 100)
    assert add(model, folder) == 0
    kept = tmp_path / "models" / "net" / SAMPLES

    with np.load(kept) as arrays:
        assert arrays["x"].shape == (64, 3, 8, 8)
    family = load_family(kept.parent)
    assert read_samples(kept, family).rows == MOST_PUBLISHED
    capsys.readouterr()
    words = ("--family=net", f"--repository={tmp_path / 'models'}", "--budget-s=0.1", "--json")
    assert profile([*words, f"--profiles={tmp_path / 'profiles'}"]) == 0
    (arm, *_) = json.loads(capsys.readouterr().out)["profiles"]
    assert arm["vetted"]["rows"].startswith("published ")


def test_the_familys_rows_stay_when_copies_are_published_and_go_when_it_is_removed(
    tmp_path: Path,
):
    path = tmp_path / "net.onnx"
    weights = np.random.default_rng(0).normal(size=(64, 64)).astype(np.float32)
    net = graph("g (float[N, 64] x) => (float[N, 64] y) { y = MatMul(x, w) }")
    net.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(net, path)
    rows = np.random.default_rng(1).normal(size=(50, 64)).astype(np.float32)
    lines = tmp_path / "rows.jsonl"
    lines.write_text("".join(f"{json.dumps(row)}\n" for row in rows.tolist()))

    assert add(path, lines, "--precisions", "fp16") == 0

    folder = tmp_path / "models" / "net"
    assert [v.precision for v in load_family(folder).variants] == ["fp32", "fp16"]
    with np.load(folder / SAMPLES) as arrays:
        assert np.array_equal(arrays["x"], rows[::2])
    remove_family(tmp_path / "models", "net")
    assert not folder.exists()


def test_copies_are_made_and_measured_with_pictures_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    net = graph(
        "g (float[N, 3, 8, 8] x) => (float[N, 3] y) { c = Conv(x, w) y = ReduceMean <axes = [2, 3], keepdims = 0> (c) }"
    )
    weights = np.zeros((3, 3, 8, 8), np.float32)
    weights[range(3), range(3)] = np.linspace(0.9, 1.1, 64).reshape(8, 8) / 64
    net.graph.initializer.append(onnx.numpy_helper.from_array(weights, "w"))
    onnx.save(net, tmp_path / "net.onnx")
    folder = pictures(tmp_path, {"red": "0-red", "green": "1-green", "blue": "2-blue"})
    models = ("--repository", str(tmp_path / "models"))
    assert main(["add", str(tmp_path / "net.onnx"), *models]) == 0

    given = ("--calibration", str(folder), "--precisions", "fp16", "--normalise", "zero-one")
    assert main(["quantize", "net", *models, *given]) == 0

    assert "60 of 60 pictures" in capsys.readouterr().out
    (copy,) = [
        v for v in load_family(tmp_path / "models" / "net").variants if v.precision == "fp16"
    ]
    assert copy.accuracy.n == 30


def test_rows_that_lie_in_the_familys_folder_already_are_its_own(model: Path, tmp_path: Path):
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    (folder / SAMPLES).write_bytes(b"theirs")

    assert add(model, pictures(tmp_path, {"red": "0-red", "green": "1-green"})) == 0

    assert (folder / SAMPLES).read_bytes() == b"theirs"
    remove_family(tmp_path / "models", "net")
    assert (folder / SAMPLES).read_bytes() == b"theirs"
