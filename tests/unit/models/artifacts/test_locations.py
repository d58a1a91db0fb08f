"""Where a graph may say that its weights are: every tensor is found, and what leads out of the folder is refused."""

import os
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.artifacts import (
    ArtifactError,
    load_family,
)
from models.artifacts.onnx_wire import references_in, with_locations
from models.backends.base import BackendError
from tests.support.outside import (
    a_product,
    answers,
    by_hand,
    everywhere,
    outside,
    publish,
    save,
    ways,
    weights,
)


def a_link(folder: Path) -> str:
    (folder.parent / "secret.bin").write_bytes(weights().tobytes())
    (folder / "link.bin").symlink_to(folder.parent / "secret.bin")
    return "link.bin"


def a_linked_folder(folder: Path) -> str:
    (folder.parent / "elsewhere").mkdir()
    (folder.parent / "elsewhere" / "w.bin").write_bytes(weights().tobytes())
    (folder / "sub").symlink_to(folder.parent / "elsewhere")
    return "sub/w.bin"


def a_neighbour(folder: Path) -> str:
    (folder.parent / "secret.bin").write_bytes(weights().tobytes())
    return "../secret.bin"


def a_pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe")
    return "pipe"


OUT: list[tuple[str | Callable[[Path], str], str]] = [
    (lambda f: str(f / "model.onnx.data"), "no plain relative path"),
    (a_neighbour, "leads out of its folder"),
    (lambda f: f"./../{f.name}/model.onnx.data", "leads out of its folder"),
    (a_link, "is a link out of its folder"),
    (a_linked_folder, "is a link out of its folder"),
    ("file:///etc/passwd", "no plain relative path"),
    ("http://127.0.0.1/w.bin", "no plain relative path"),
    ("C:w.bin", "no plain relative path"),
    ("..\\secret.bin", "no plain relative path"),
    ("", "no plain relative path"),
    ("*/_ORT_MEM_ADDR_/*", "is not there"),
    ("nowhere.bin", "is not there"),
    (".", "is no file"),
    (a_pipe, "is no file"),
]


def refused_file(folder: Path, location: str | Callable[[Path], str]) -> Path:
    folder.mkdir(parents=True)
    named = location if isinstance(location, str) else location(folder)
    tensor = numpy_helper.from_array(weights(), "w")
    (folder / "model.onnx.data").write_bytes(outside(tensor, named))
    save(folder / "model.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor])
    return folder / "model.onnx"


@pytest.mark.parametrize(("location", "said"), OUT)
def test_a_location_out_of_the_folder_is_refused_before_any_runtime_sees_it(
    root: Path, location: str | Callable[[Path], str], said: str
):
    path = refused_file(root / "own", location)
    folder = by_hand(root, path)

    with pytest.raises(ArtifactError, match=said):
        load_family(folder)
    family = load_family(folder, verify=False)
    for way in ways():
        with pytest.raises(BackendError, match=rf"keeps weights in .*{said}"):
            answers(root, family, "net", way)


@pytest.mark.parametrize(("location", "said"), OUT)
def test_a_location_out_of_the_folder_is_not_published(
    root: Path, tmp_path: Path, location: str | Callable[[Path], str], said: str
):
    path = refused_file(tmp_path / "made", location)

    with pytest.raises(ArtifactError, match=said):
        publish(root, net=path)

    assert not (root / "own" / "family.toml").exists()


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ({"offset": 1}, "ends at byte 65, the file has 64"),
        ({"offset": 4096, "length": 64}, "ends at byte 4160, the file has 64"),
        ({"offset": -4, "length": 64}, "offset '-4', no whole number"),
        ({"length": 32}, "said to have 32 bytes, its type and shape make 64"),
        ({"length": "many"}, "length 'many', no whole number"),
    ],
)
def test_an_extent_beyond_the_file_is_refused(root: Path, entries: dict[str, int | str], said: str):
    (root / "own").mkdir(parents=True)
    folder = by_hand(root, a_product(root / "own" / "model.onnx", **entries))

    with pytest.raises(ArtifactError, match=said):
        load_family(folder)
    with pytest.raises(BackendError, match=said):
        answers(root, load_family(folder, verify=False), "net")


def test_a_truncated_file_of_weights_is_refused(root: Path):
    (root / "own").mkdir(parents=True)
    folder = by_hand(root, a_product(root / "own" / "model.onnx"))
    (folder / "model.onnx.data").write_bytes(bytes(60))

    with pytest.raises(ArtifactError, match="ends at byte 64, the file has 60"):
        load_family(folder)


def test_a_tensor_is_found_wherever_it_can_be(tmp_path: Path):
    (tmp_path / "m.onnx").write_bytes(everywhere().SerializeToString())

    found = references_in(tmp_path / "m.onnx")

    pairs = [
        f"{n}.{p}"
        for n in ("attribute.sparse", "list.sparse", "initialiser")
        for p in ("values", "indices")
    ]
    inner = ["inner.attribute", "inner.weights"] * 2
    names = ["attribute", "first", "second", "weights", "function", "training", *pairs, *inner]
    assert sorted(r.tensor for r in found) == sorted(names)
    assert {r.location for r in found} == {f"{name}.bin" for name in names}
    assert {r.needed_bytes for r in found} == {64}


def test_new_locations_change_nothing_else(tmp_path: Path):
    (tmp_path / "m.onnx").write_bytes(everywhere().SerializeToString())
    names = {
        r.location: f"weights-{i}.data" for i, r in enumerate(references_in(tmp_path / "m.onnx"))
    }

    (tmp_path / "n.onnx").write_bytes(with_locations(tmp_path / "m.onnx", names))
    back = with_locations(tmp_path / "n.onnx", {new: old for old, new in names.items()})

    assert {r.location for r in references_in(tmp_path / "n.onnx")} == set(names.values())
    assert back == (tmp_path / "m.onnx").read_bytes()


def test_a_location_counts_though_the_tensor_says_that_its_values_are_inside(tmp_path: Path):
    """Readers differ: they cut that number to 32 bits, or merge two tensors of one attribute."""
    path = a_product(tmp_path / "model.onnx", "../secret")
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].data_location = TensorProto.DEFAULT
    path.write_bytes(model.SerializeToString())

    assert [r.location for r in references_in(path)] == ["../secret"]
