"""Weights beside the graph are part of the artefact: copied, named, hashed; what leads out of the folder is refused."""

import hashlib
import os
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from models.__main__ import main
from models.artifacts import (
    ArtifactError,
    add_variants,
    load_family,
    publish_family,
    remove_variants,
    size_of,
)
from models.artifacts.onnx_wire import references_in, with_locations
from models.backends import RUNTIMES, Way, is_installed, open_backend
from models.backends.base import BackendError
from models.catalog import Family, Variant
from models.stems import Base, Package, publish_package
from tests.support.outside import FAMILY, WIDTH, a_product, a_variant, outside, save, weights

ROWS = np.random.default_rng(5).standard_normal((3, WIDTH)).astype(np.float32)
ANYWHERE = [Way("onnxruntime"), Way("openvino"), Way("torch")]


@pytest.fixture
def made(tmp_path: Path) -> Path:
    (tmp_path / "made").mkdir()
    return tmp_path / "made"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "models"


def publish(root: Path, **files: Path) -> Family:
    variants = tuple(a_variant(name) for name in files)
    return publish_family(root, replace(FAMILY, variants=variants), files)


def answers(root: Path, family: Family, name: str, way: Way | None = None) -> np.ndarray:
    variant = family.variant(name)
    assert variant is not None
    backend = open_backend(root / "own", family, variant, threads=1, way=way)
    try:
        return np.asarray(backend.run({"x": ROWS})["y"])
    finally:
        backend.close()


def by_hand(root: Path, path: Path, text: str = "") -> Path:
    """A family as a user writes it: a manifest with the graph's sha256, `text` at its end."""
    folder = root / "own"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    (folder / "family.toml").write_text(
        f"""
name = "own"
slo = {{ latency_ms = 50 }}
inputs = [{{ name = "x", datatype = "FP32", shape = [-1, {WIDTH}] }}]
outputs = [{{ name = "y", datatype = "FP32", shape = [-1, {WIDTH}] }}]

[[variants]]
name = "net"
precision = "fp32"
artifact = "{path.name}"
sha256 = "{digest}"
accuracy = {{ value = 0.8, source = "mine" }}
{text}"""
    )
    return folder


def ways() -> list[Way]:
    there = {r.name for r in RUNTIMES if is_installed(r)}
    return [way for way in ANYWHERE if way.backend in there]


@pytest.mark.parametrize("way", ways(), ids=lambda way: way.backend)
def test_what_is_published_answers_as_its_source_on_every_runtime(root: Path, made: Path, way: Way):
    family = publish(root, net=a_product(made / "net.onnx"))

    assert np.allclose(answers(root, family, "net", way), ROWS @ weights(), atol=1e-5)
    assert load_family(root / "own") == family


def test_variants_that_call_their_weights_alike_keep_their_own(root: Path, made: Path):
    files = {}
    for seed, name in enumerate(("one", "two")):
        (made / name).mkdir()
        files[name] = a_product(made / name / "net.onnx", seed=seed)

    family = publish(root, **files)

    for seed, name in enumerate(files):
        assert np.allclose(answers(root, family, name), ROWS @ weights(seed), atol=1e-5)


def test_the_same_weights_lie_there_once(root: Path, made: Path):
    source = a_product(made / "net.onnx")

    family = publish(root, one=source, two=source)

    assert family.variants[0].data == family.variants[1].data
    assert len(list((root / "own").glob("weights-*.data"))) == 1


def test_adding_the_same_content_again_changes_nothing(root: Path, made: Path):
    family = publish(root, net=a_product(made / "net.onnx"))
    manifest = (root / "own" / "family.toml").stat().st_ino

    again = add_variants(root, "own", [a_variant("net")], {"net": made / "net.onnx"})

    assert again == family
    assert (root / "own" / "family.toml").stat().st_ino == manifest


def test_other_weights_behind_the_same_graph_are_other_content(root: Path, made: Path):
    publish(root, net=a_product(made / "net.onnx"))
    a_product(made / "net.onnx", seed=1)

    with pytest.raises(ArtifactError, match="net with other content"):
        add_variants(root, "own", [a_variant("net")], {"net": made / "net.onnx"})


def test_the_weights_of_a_variant_that_is_gone_go_with_it(root: Path, made: Path):
    family = publish(root, net=a_product(made / "net.onnx"), other=a_product(made / "b.onnx", "b"))
    (gone,) = family.variants[0].data

    remove_variants(root, "own", ["net"])
    assert (root / "own" / gone.file).exists() or family.variants[1].data == (gone,)
    add_variants(root, "own", [a_variant("third")], {"third": a_product(made / "c.onnx", seed=2)})

    used = {d.file for v in load_family(root / "own").variants for d in v.data}
    assert {p.name for p in (root / "own").glob("*.data")} == used


def test_zeroed_weights_do_not_verify_and_are_not_served(
    root: Path, made: Path, capsys: pytest.CaptureFixture[str]
):
    family = publish(root, net=a_product(made / "net.onnx"))
    file = root / "own" / family.variants[0].data[0].file
    assert main(["verify", "--repository", str(root)]) == 0
    assert "1 artefacts verified, and 1 files of weights beside them" in capsys.readouterr().out

    file.write_bytes(bytes(file.stat().st_size))

    assert main(["verify", "--repository", str(root)]) == 2
    assert file.name in capsys.readouterr().err
    with pytest.raises(ArtifactError, match=r"weights of net.*damaged"):
        load_family(root / "own")


@pytest.mark.parametrize("way", ways(), ids=lambda way: way.backend)
def test_weights_changed_after_they_were_verified_are_not_opened(root: Path, made: Path, way: Way):
    publish(root, net=a_product(made / "net.onnx"))
    family = load_family(root / "own")
    file = root / "own" / family.variants[0].data[0].file

    file.write_bytes(bytes(file.stat().st_size))

    with pytest.raises(BackendError, match=r"weights of net.*damaged"):
        answers(root, family, "net", way)


@pytest.mark.parametrize("way", ways(), ids=lambda way: way.backend)
@pytest.mark.parametrize("left", [0, 1])
def test_weights_changed_after_they_were_opened_change_no_answer(
    root: Path, made: Path, way: Way, left: int
):
    family = publish(root, net=a_product(made / "net.onnx"))
    file = root / "own" / family.variants[0].data[0].file
    backend = open_backend(root / "own", family, family.variants[0], threads=1, way=way)

    file.write_bytes(bytes(left * file.stat().st_size))
    found = [np.asarray(backend.run({"x": ROWS[:rows]})["y"]) for rows in (1, 2, 3)]
    backend.close()

    for rows, answer in enumerate(found, 1):
        assert np.allclose(answer, ROWS[:rows] @ weights(), atol=1e-5)


def test_a_manifest_without_the_weights_digest_is_served_but_does_not_verify(
    root: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
):
    (root / "own").mkdir(parents=True)
    by_hand(root, a_product(root / "own" / "model.onnx"))

    family = load_family(root / "own")

    assert np.allclose(answers(root, family, "net"), ROWS @ weights(), atol=1e-5)
    assert "the weights of net in model.onnx.data are not verified" in caplog.text
    assert main(["verify", "--repository", str(root)]) == 2
    said = capsys.readouterr().err
    assert "the weights of net in model.onnx.data are not verified" in said
    assert "[[variants.data]]" in said


def test_weights_that_a_written_manifest_names_are_verified(root: Path):
    (root / "own").mkdir(parents=True)
    source = a_product(root / "own" / "model.onnx", "parts/w.bin")
    digest = hashlib.sha256((root / "own" / "parts" / "w.bin").read_bytes()).hexdigest()
    by_hand(root, source, f'[[variants.data]]\nfile = "parts/w.bin"\nsha256 = "{digest}"\n')
    assert main(["verify", "--repository", str(root)]) == 0

    (root / "own" / "parts" / "w.bin").write_bytes(bytes(64))

    assert main(["verify", "--repository", str(root)]) == 2


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


def everywhere() -> onnx.ModelProto:
    """A model with a tensor outside in every place that a tensor can be in."""

    def away(name: str) -> TensorProto:
        tensor = numpy_helper.from_array(weights(), name)
        outside(tensor, f"{name}.bin")
        return tensor

    def node(name: str, **attributes: object) -> onnx.NodeProto:
        return helper.make_node("Any", [], [f"{name}.out"], **attributes)

    def sparse(name: str) -> onnx.SparseTensorProto:
        return helper.make_sparse_tensor(away(f"{name}.values"), away(f"{name}.indices"), [4, 16])

    branch = helper.make_graph(
        [node("inner", value=away("inner.attribute"))], "branch", [], [], [away("inner.weights")]
    )
    nodes = [
        node("one", value=away("attribute")),
        node("many", values=[away("first"), away("second")]),
        node("graph", then_branch=branch),
        node("graphs", branches=[branch]),
        node("sparse", sparse_value=sparse("attribute.sparse")),
        node("sparses", sparse_values=[sparse("list.sparse")]),
    ]
    graph = helper.make_graph(
        nodes, "main", [], [], [away("weights"), numpy_helper.from_array(weights(), "in")]
    )
    graph.sparse_initializer.append(sparse("initialiser"))
    model = helper.make_model(graph)
    model.functions.append(
        helper.make_function("d", "f", [], [], [node("f", value=away("function"))], [], [])
    )
    info = model.training_info.add()
    info.algorithm.CopyFrom(helper.make_graph([], "train", [], [], [away("training")]))
    return model


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


def test_large_weights_are_copied_without_being_held_in_memory(root: Path, made: Path):
    tensor = helper.make_tensor("w", TensorProto.FLOAT, [0], b"", raw=True)
    del tensor.dims[:]
    tensor.dims.extend([WIDTH, 1 << 24])
    outside(tensor, "w.bin")
    save(made / "net.onnx", [helper.make_node("MatMul", ["x", "w"], ["y"])], [tensor])
    with (made / "w.bin").open("wb") as file:
        file.truncate(WIDTH << 26)

    tracemalloc.start()
    try:
        family = publish(root, net=made / "net.onnx")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < 8 << 20
    assert size_of(root / "own", family.variants[0]) > WIDTH << 26


def test_the_networks_of_a_task_package_hold_their_weights_themselves(root: Path, made: Path):
    source = a_product(made / "base.onnx")

    with pytest.raises(ArtifactError, match=r"keeps weights in 'model.onnx.data'.*task package"):
        publish_package(
            root, Package(Base("tiny", (WIDTH,), "", "", ()), 10.0, ()), {"tiny": source}
        )


def test_other_weights_are_another_network_to_whoever_remembers_it(root: Path, made: Path):
    one = publish(root, net=a_product(made / "net.onnx")).variants[0]
    two = publish(root, net=a_product(made / "net.onnx", seed=1)).variants[0]

    assert one.content != two.content
    assert Variant("a", "fp32", "a.onnx", "0" * 64, one.accuracy).content == "0" * 64


def test_a_location_counts_though_the_tensor_says_that_its_values_are_inside(tmp_path: Path):
    """Readers differ: they cut that number to 32 bits, or merge two tensors of one attribute."""
    path = a_product(tmp_path / "model.onnx", "../secret")
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].data_location = TensorProto.DEFAULT
    path.write_bytes(model.SerializeToString())

    assert [r.location for r in references_in(path)] == ["../secret"]
