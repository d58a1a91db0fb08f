"""`gearshift models remove` deletes what a manifest named and what Gearshift wrote, and no file of anybody else's."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.__main__ import main
from models.artifacts import ArtifactError, load_family, publish_family
from models.artifacts.files import TASKS_MANIFEST
from models.artifacts.ledger import LEDGER
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from models.managing.removing import remove_family
from tests.support.outside import a_product

FAMILY = Family(
    "own", (TensorSpec("x", "FP32", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 2)),), (), Slo(0.05)
)
LABELS = ("cat", "dog")


def published(root: Path, *names: str, labels: tuple[str, ...] = LABELS) -> Path:
    """The folder of a family with a variant of each name; what is published later replaces what was."""
    variants = tuple(Variant(n, "fp32", "", "", Accuracy(0.9, "measured")) for n in names)
    files = {n: root.parent / f"{n}.source" for n in names}
    for name, path in files.items():
        path.write_text(name)
    publish_family(root, replace(FAMILY, variants=variants, labels=labels), files)
    return root / "own"


def below(folder: Path) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir()}


def run(root: Path, *words: str) -> int:
    return main(["remove", *words, "--repository", str(root)])


def test_a_family_goes_with_all_that_was_ever_written_for_it(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    published(root, "a", "b")
    folder = published(root, "c")

    assert run(root, "own") == 0

    assert not folder.exists()
    assert root.is_dir()
    said = capsys.readouterr().out
    assert "removed family own" in said
    assert all(f"deleted {folder}/{name}" in said for name in ("family.toml", "a-", "c-", "labels"))


def test_files_that_the_manifest_does_not_name_stay_and_are_listed(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    folder = published(root, "a")
    theirs = {"notes.txt", "a.onnx", "sub/rows.npz", "family.toml.bak"}
    for name in theirs:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("theirs")

    assert run(root, "own") == 0

    assert below(folder) == theirs
    said = capsys.readouterr().out
    assert all(name in said.partition(" stays with ")[2] for name in theirs)
    assert run(root, "own") == 2
    assert "no family 'own'" in capsys.readouterr().err


def test_a_file_that_is_not_what_the_manifest_says_stays(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    folder = published(root, "a")
    artefact = folder / load_family(folder).variants[0].artifact
    artefact.write_text("trained on for a week")

    assert run(root, "own") == 0

    assert artefact.read_text() == "trained on for a week"
    assert f"stays with {artefact.name}" in capsys.readouterr().out


def test_of_a_family_written_by_hand_what_it_names_goes(root: Path):
    folder = published(root, "a", labels=())
    (folder / LEDGER).unlink()
    (folder / "labels.txt").write_text("cat\ndog\n")
    manifest = folder / "family.toml"
    manifest.write_text(f'labels = "labels.txt"\n{manifest.read_text()}')

    assert run(root, "own") == 0

    assert not folder.exists()


def test_weights_beside_a_graph_go_with_it_and_links_lose_nothing_but_themselves(
    root: Path, tmp_path: Path
):
    (tmp_path / "elsewhere").mkdir()
    graph = a_product(tmp_path / "elsewhere" / "net.onnx")
    variant = Variant("a", "fp32", "", "", Accuracy(0.9, "measured"))
    publish_family(root, replace(FAMILY, variants=(variant,)), {"a": graph})
    folder = root / "own"
    (weights,) = folder.glob("weights-*")
    kept = tmp_path / "kept.data"
    weights.rename(kept)
    weights.symlink_to(kept)

    remove_family(root, "own")

    assert not folder.exists()
    assert kept.is_file()
    assert graph.is_file()


def test_weights_that_a_linked_folder_leads_to_stay(root: Path, tmp_path: Path):
    folder = published(root, "a", labels=())
    (tmp_path / "outside").mkdir()
    weights = tmp_path / "outside" / "w.data"
    weights.write_text("a")
    (folder / "sub").symlink_to(tmp_path / "outside")
    manifest = folder / "family.toml"
    digest = load_family(folder).variants[0].sha256
    manifest.write_text(
        f'{manifest.read_text()}\n[[variants.data]]\nfile = "sub/w.data"\nsha256 = "{digest}"\n'
    )

    remove_family(root, "own")

    assert weights.read_text() == "a"


@pytest.mark.parametrize("linked", ["own", "own/family.toml"])
def test_what_is_a_link_is_refused(
    root: Path, tmp_path: Path, linked: str, capsys: pytest.CaptureFixture[str]
):
    published(root, "a")
    (root / linked).rename(tmp_path / "real")
    (root / linked).symlink_to(tmp_path / "real")
    before = below(root)

    assert run(root, "own") == 2

    assert below(root) == before
    assert "is a link" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["other", "..", ".", "", "own/../own", "/"])
def test_a_name_that_is_no_familys_is_refused_with_those_there_are(
    root: Path, name: str, capsys: pytest.CaptureFixture[str]
):
    published(root, "a")
    (root.parent / "family.toml").write_text("")
    before = below(root.parent)

    assert run(root, name) == 2

    assert below(root.parent) == before
    assert "there are: own" in capsys.readouterr().err


def test_a_damaged_manifest_names_nothing_and_nothing_goes(root: Path):
    folder = published(root, "a")
    (folder / "family.toml").write_text("name = ")
    before = below(folder)

    with pytest.raises(ArtifactError, match="is no TOML"):
        remove_family(root, "own")

    assert below(folder) == before


def test_what_a_task_package_beside_the_family_names_stays(root: Path):
    folder = published(root, "a")
    artefact = load_family(folder).variants[0].artifact
    (folder / TASKS_MANIFEST).write_text(f'base = "{artefact}"\n')

    remove_family(root, "own")

    assert {artefact, TASKS_MANIFEST} <= below(folder)
    with pytest.raises(ArtifactError, match="no family 'own'"):
        remove_family(root, "own")


def test_one_variant_goes_and_the_last_one_does_not(root: Path, capsys: pytest.CaptureFixture[str]):
    folder = published(root, "a", "b")
    kept, gone = (v.artifact for v in load_family(folder).variants)
    manifest = folder / "family.toml"
    manifest.write_text(f"# ours\n{manifest.read_text()}")

    assert run(root, "own", "--variant", "b") == 0

    assert f"deleted {folder / gone}" in capsys.readouterr().out
    assert not (folder / gone).exists()
    assert [v.artifact for v in load_family(folder).variants] == [kept]
    assert manifest.read_text().startswith("# ours\n")
    assert run(root, "own", "--variant", "b") == 2
    assert "no variant 'b'" in capsys.readouterr().err
    assert run(root, "own", "--variant", "a") == 2
    assert "gearshift models remove own" in capsys.readouterr().err
    assert load_family(folder)


def test_a_file_that_two_variants_share_goes_with_the_last(root: Path):
    folder = published(root, "a", "b", labels=())
    manifest = folder / "family.toml"
    a, b = load_family(folder).variants
    manifest.write_text(
        manifest.read_text().replace(b.artifact, a.artifact).replace(b.sha256, a.sha256)
    )

    assert run(root, "own", "--variant", "b") == 0

    assert load_family(folder).variants == (a,)


def test_a_variant_whose_file_is_missing_can_be_removed(root: Path):
    folder = published(root, "a", "b")
    (folder / load_family(folder).variants[1].artifact).unlink()

    assert run(root, "own", "--variant", "b") == 0

    assert [v.name for v in load_family(folder).variants] == ["a"]
