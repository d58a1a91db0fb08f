"""Which models a path holds."""

from pathlib import Path

import pytest

from models.adding.found import models_in, plain_name
from models.artifacts import is_plain_name
from models.build.errors import BuildError


def laid_out(root: Path, *files: str) -> Path:
    """Empty files below `root`."""
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_a_file_is_called_as_it_is_named(tmp_path: Path):
    (found,) = models_in(laid_out(tmp_path, "my net (2).onnx") / "my net (2).onnx")

    assert found.name == "my_net__2_"


@pytest.mark.parametrize("name", ["..", "", "-x", ".net", "é"])
def test_a_plain_name_is_found_for_any_file(name: str):
    assert is_plain_name(plain_name(name))


@pytest.mark.parametrize(
    "files", [("model.onnx", "other.onnx"), ("onnx/model.onnx", "onnx/b.onnx"), ("sub/net.onnx",)]
)
def test_of_a_folder_the_usual_or_only_graph_is_taken(tmp_path: Path, files: tuple[str, ...]):
    folder = laid_out(tmp_path / "encoder", *files, "tokenizer.json")

    (found,) = models_in(folder)

    assert (found.name, found.graph) == ("encoder", folder / files[0])


@pytest.mark.parametrize(
    ("files", "taken"),
    [
        (("net.pt2", "net.pt", "weights.bin"), "net.pt2"),
        (("net.pt", "a.pth"), "net.pt"),
        (("net.pt2", "net.onnx"), "net.onnx"),
    ],
)
def test_of_a_folder_without_graphs_the_only_program_is_taken(
    tmp_path: Path, files: tuple[str, ...], taken: str
):
    (found,) = models_in(laid_out(tmp_path / "net", *files))

    assert found.graph.name == taken


def test_a_triton_repository_gives_models_of_torch(tmp_path: Path):
    files = ("a/config.pbtxt", "a/1/model.pt", "b/1/model.pt2", "b/2/model.pt", "c/1/model.txt")
    root = laid_out(tmp_path, *files)

    found = models_in(root)

    assert {one.name: one.graph for one in found} == {
        "a": root / "a/1/model.pt",
        "b": root / "b/2/model.pt",
    }


def test_a_triton_repository_gives_each_models_newest_version(tmp_path: Path):
    files = ("a/config.pbtxt", "a/1/model.onnx", "b/2/model.onnx", "b/10/model.onnx", "c/notes.txt")
    root = laid_out(tmp_path, *files)

    found = models_in(root)

    assert {one.name: one.graph for one in found} == {
        "a": root / "a/1/model.onnx",
        "b": root / "b/10/model.onnx",
    }
    assert [one.config is not None for one in found] == [True, False]
    assert ["version 10 was taken, the newest of 2" in " ".join(one.remarks) for one in found] == [
        False,
        True,
    ]
    assert [one.graph for one in models_in(root / "b")] == [root / "b/10/model.onnx"]


def test_settings_name_the_model_beside_them(tmp_path: Path):
    files = ("a/model-settings.json", "a/net.onnx", "b/model-settings.json", "b/3/model.onnx")
    root = laid_out(tmp_path, *files)
    for folder, name in (("a", "cats"), ("b", "dogs")):
        settings = root / folder / "model-settings.json"
        settings.write_text(f'{{"name": "{name}", "implementation": "x"}}')

    assert {one.name: one.graph for one in models_in(root)} == {
        "cats": root / "a/net.onnx",
        "dogs": root / "b/3/model.onnx",
    }
    assert models_in(root / "a")[0].name == "cats"
    (root / "a" / "model-settings.json").write_text('{\n"name" "cats"}')
    with pytest.raises(BuildError, match=r"model-settings.json, line 2, column 8: "):
        models_in(root / "a")


def test_of_several_files_the_one_that_settings_name_is_taken(tmp_path: Path):
    root = laid_out(tmp_path, "a.onnx", "b.onnx", "c.joblib", "model-settings.json")
    settings = root / "model-settings.json"

    settings.write_text('{"parameters": {"uri": "./b.onnx"}}')
    assert models_in(root)[0].graph == root / "b.onnx"
    settings.write_text('{"parameters": {"uri": "./c.joblib"}}')
    with pytest.raises(BuildError, match="is a pickle"):
        models_in(root)
    settings.write_text('{"parameters": {"uri": "../elsewhere.onnx"}}')
    with pytest.raises(BuildError, match="holds 2 models"):
        models_in(root)


def test_what_is_wrong_with_one_model_keeps_none_of_the_others_from_being_found(tmp_path: Path):
    root = laid_out(tmp_path, "a/1/model.onnx", "b/1/model.onnx", "c/config.pbtxt")
    (root / "b" / "config.pbtxt").write_text("name: ")

    found = {one.name: one.refusal for one in models_in(root)}

    assert found.pop("a") == ""
    assert "config.pbtxt, line 1, column" in found.pop("b")
    assert "no 1/model.onnx" in found.pop("c")
    with pytest.raises(BuildError, match="column"):
        models_in(root / "b")


@pytest.mark.parametrize(
    ("files", "named", "said"),
    [
        ((), "gone.onnx", "not there"),
        (("net.pkl",), "net.pkl", "skl2onnx"),
        (("net.joblib",), "", "skl2onnx"),
        (("a.onnx", "b.onnx"), "", "holds 2 models (a.onnx, b.onnx); name the one"),
        (("notes.txt", "more.txt"), "", "holds no .onnx or .pt2"),
        (("m/config.pbtxt", "m/1/model.bin"), "", "no 1/model.onnx, .pt2 or .pt"),
    ],
)
def test_what_holds_none_is_refused_with_a_way_out(
    tmp_path: Path, files: tuple[str, ...], named: str, said: str
):
    with pytest.raises(BuildError) as refused:
        models_in(laid_out(tmp_path, *files) / named)

    assert said in str(refused.value)
