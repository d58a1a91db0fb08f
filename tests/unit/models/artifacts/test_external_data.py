"""Weights beside the graph are part of the artefact: copied, named, hashed, verified."""

import hashlib
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from models.__main__ import main
from models.artifacts import (
    ArtifactError,
    add_variants,
    external,
    load_family,
    remove_variants,
    size_of,
)
from models.artifacts.onnx_wire import Reference
from models.backends import Way, open_backend
from models.backends.base import BackendError
from models.catalog import Variant
from models.stems import Base, Package, publish_package
from tests.support.outside import (
    ROWS,
    WIDTH,
    a_product,
    a_variant,
    answers,
    by_hand,
    outside,
    publish,
    save,
    ways,
    weights,
)


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


def test_a_graph_is_walked_for_its_files_once_and_again_when_it_is_another(
    made: Path, monkeypatch: pytest.MonkeyPatch
):
    graph = a_product(made / "net.onnx")
    walked: list[Path] = []
    whole = external.references_in

    def counted(path: Path) -> list[Reference]:
        walked.append(path)
        return whole(path)

    monkeypatch.setattr(external, "references_in", counted)
    first, again = external.references(graph), external.references(graph)
    graph.write_bytes(a_product(made / "other.onnx").read_bytes())
    external.references(graph)

    assert first == again
    assert walked == [graph, graph]


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
