"""Publishing deletes what it wrote itself, and nothing else, whatever that is called and whatever goes wrong."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.artifacts import (
    ArtifactError,
    add_variants,
    load_family,
    publish_family,
    remove_variants,
    replace_variants,
    update_family,
)
from models.artifacts.files import LOCK
from models.artifacts.ledger import LEDGER, Ledger
from models.build.recipe import sole_builder
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from tests.support.outside import a_product

FAMILY = Family(
    "own", (TensorSpec("x", "FP32", (-1, 4)),), (TensorSpec("y", "FP32", (-1, 2)),), (), Slo(0.05)
)
THEIRS = {
    "model.onnx": "a network",
    "model.onnx.data": "weights",
    "notes.txt": "notes",
    "rows.npz": "calibration",
    ".new-ideas": "ideas",
    ".new-0123456789abcdef": "looks like ours",
    "net-deadbeef.onnx": "looks like ours",
    "labels-deadbeef.txt": "looks like ours",
    "weights-0123456789abcdef.data": "looks like ours",
    "family.toml.bak": "an older one",
    "sub/deep/notes.txt": "notes",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with the family `own` of the variant `a`, and files of its user's in its folder."""
    publish(tmp_path / "models", "a")
    for name, content in THEIRS.items():
        (tmp_path / "models" / "own" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "models" / "own" / name).write_text(content)
    (tmp_path / "models" / "own" / "link").symlink_to(tmp_path / "elsewhere")
    return tmp_path / "models"


def a_variant(name: str) -> Variant:
    return Variant(name, "fp32", "", "", Accuracy(0.9, "measured"))


def a_file(root: Path, content: str) -> Path:
    (root.parent / "new.onnx").write_text(content)
    return root.parent / "new.onnx"


def publish(root: Path, name: str, content: str = "A") -> Family:
    family = replace(FAMILY, variants=(a_variant(name),))
    return publish_family(root, family, {name: a_file(root, content)})


def add(root: Path, name: str, content: str = "B") -> Variant:
    return add_variants(root, "own", [a_variant(name)], {name: a_file(root, content)}).variants[-1]


def remove(root: Path, name: str) -> None:
    remove_variants(root, "own", [name])


def assert_theirs_are_there(root: Path) -> None:
    for name, content in THEIRS.items():
        assert (root / "own" / name).read_text() == content
    assert (root / "own" / "link").is_symlink()


CHANGES: list[Callable[[Path], object]] = [
    lambda root: [publish(root, "a", str(i)) for i in range(3)],
    lambda root: [add(root, n, n) for n in "bcd"],
    lambda root: [add(root, "b"), remove(root, "b"), add(root, "c")],
    lambda root: [
        replace_variants(root, "own", [a_variant("a")], {"a": a_file(root, str(i))})
        for i in range(3)
    ],
]


@pytest.mark.parametrize("change", CHANGES, ids=["publish", "add", "remove", "replace"])
def test_a_publication_leaves_what_it_did_not_write(root: Path, change: Callable[[Path], object]):
    change(root)

    assert_theirs_are_there(root)
    used = {v.artifact for v in load_family(root / "own").variants}
    assert used <= {p.name for p in (root / "own").iterdir()}


def test_a_failed_publication_leaves_what_somebody_put_there_meanwhile(root: Path):
    def put_and_fail(folder: Path) -> Path:
        for name in ("new.txt", "a-01234567.onnx", ".new-theirs"):
            (folder / name).write_text("theirs")
        return folder / "nowhere.onnx"

    class Files(dict[str, Path]):
        def __getitem__(self, name: str) -> Path:
            return put_and_fail(root / "own") if name == "c" else super().__getitem__(name)

    files = Files({"b": a_file(root, "B"), "c": Path("nowhere")})
    with pytest.raises(OSError, match="nowhere"):
        replace_variants(root, "own", [a_variant("b"), a_variant("c")], files)

    for name in ("new.txt", "a-01234567.onnx", ".new-theirs"):
        assert (root / "own" / name).read_text() == "theirs"
    assert not list((root / "own").glob("b-*"))
    assert_theirs_are_there(root)


def test_a_file_that_somebody_edited_is_theirs_from_then_on(root: Path):
    ours = root / "own" / add(root, "b").artifact
    remove(root, "b")
    ours.write_text("edited")

    for name in "cd":
        add(root, name, name)

    assert ours.read_text() == "edited"


def test_a_copy_and_a_link_to_what_we_wrote_stay(root: Path):
    ours = root / "own" / add(root, "b").artifact
    shutil.copy(ours, root / "own" / "copy.onnx")
    os.link(ours, root / "own" / "hard.onnx")
    remove(root, "b")

    add(root, "c", "C")

    assert not ours.exists()
    assert (root / "own" / "copy.onnx").read_text() == "B"
    assert (root / "own" / "hard.onnx").read_text() == "B"


def test_a_link_in_the_place_of_what_we_wrote_stays(root: Path):
    ours = root / "own" / add(root, "b").artifact
    shutil.move(ours, root.parent / "moved.onnx")
    ours.symlink_to(root.parent / "moved.onnx")
    remove(root, "b")

    add(root, "c", "C")

    assert ours.is_symlink()
    assert (root.parent / "moved.onnx").read_text() == "B"


def test_their_file_of_the_name_that_ours_would_have_is_not_overwritten(root: Path):
    wanted = root / "own" / add(root, "b").artifact
    remove(root, "b")
    add(root, "c", "C")
    wanted.write_text("theirs")

    again = add(root, "b")

    assert wanted.read_text() == "theirs"
    assert (root / "own" / again.artifact).read_text() == "B"


def test_their_file_of_the_same_name_and_content_is_used_and_never_deleted(root: Path):
    theirs = root / "own" / add(root, "b").artifact
    remove(root, "b")
    add(root, "c", "C")
    theirs.write_text("B")

    assert add(root, "b").artifact == theirs.name
    remove(root, "b")
    add(root, "d", "D")

    assert theirs.read_text() == "B"


def test_without_the_ledger_nothing_is_deleted(root: Path):
    ours = root / "own" / add(root, "b").artifact
    (root / "own" / LEDGER).unlink()
    remove(root, "b")

    for name in "cd":
        add(root, name, name)

    assert ours.exists()


def test_notes_that_name_files_elsewhere_are_no_notes(root: Path):
    (root / "secret").write_text("secret")
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"
    rows = [["file", "../secret", digest], ["temporary", "../secret"], ["temporary", ".."], 3]
    with (root / "own" / LEDGER).open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
        file.write('["file", "half')

    add(root, "b")
    ours = root / "own" / add(root, "c", "C").artifact
    remove(root, "c")
    add(root, "d", "D")

    assert (root / "secret").read_text() == "secret"
    assert not ours.exists()


def test_a_file_that_is_called_as_the_ledger_is_not_written_to(root: Path):
    (root / "own" / LEDGER).write_text("my own list\n")

    with pytest.raises(ArtifactError, match=r"is no ledger of Gearshift's; move it elsewhere"):
        add(root, "b")

    assert (root / "own" / LEDGER).read_text() == "my own list\n"


def test_many_publications_leave_little_behind(root: Path):
    before = len(list((root / "own").iterdir()))

    for i in range(25):
        publish(root, "a", f"content {i}")

    assert len(list((root / "own").iterdir())) == before + 1  # the artefact that was replaced last
    assert (root / "own" / LEDGER).stat().st_size < 9_000
    assert (root / "own" / LOCK).stat().st_size == 0


def test_a_manifest_that_somebody_edits_meanwhile_is_not_overwritten(root: Path):
    class Files(dict[str, Path]):
        def __getitem__(self, name: str) -> Path:
            with (root / "own" / "family.toml").open("a") as file:
                file.write("# edited\n")
            return super().__getitem__(name)

    first = load_family(root / "own")
    replace_variants(root, "own", [a_variant("a")], Files({"a": a_file(root, "new")}))

    assert "# edited\n" in (root / "own" / "family.toml").read_text()
    assert load_family(root / "own") != first


def test_a_published_manifest_keeps_its_mode(root: Path):
    (root / "own" / "family.toml").chmod(0o664)

    variant = add(root, "b")

    assert (root / "own" / "family.toml").stat().st_mode & 0o777 == 0o664
    assert (root / "own" / variant.artifact).stat().st_mode & 0o777 == 0o644


def test_an_updated_family_keeps_what_its_operator_set_and_added(root: Path):
    manifest = root / "own" / "family.toml"
    manifest.write_text(manifest.read_text().replace("latency_ms = 50.0", "latency_ms = 20 # ours"))
    own = add(root, "own-net")
    family = replace(FAMILY, description="recipe 2", variants=(a_variant("a"), a_variant("b")))

    after = update_family(root, family, {n: a_file(root, "new") for n in "ab"})

    assert [v.name for v in after.variants] == ["a", "own-net", "b"]
    assert after.variants[1] == own
    assert after.slo.latency_s == 0.02
    assert after.description == "recipe 2"
    assert "# ours" in manifest.read_text()
    assert load_family(root / "own") == after


def test_a_build_clears_away_its_own_folder_alone(tmp_path: Path):
    for name in (".building-plans", ".building-0123456789abcdef"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "notes.txt").write_text("notes")
    with sole_builder(tmp_path) as work:
        (work / "net.onnx").write_text("half")
        dead = tmp_path / ".dead"
        shutil.copy(tmp_path / LEDGER, dead)
    assert not work.exists()
    work.mkdir()
    (work / "net.onnx").write_text("half")
    dead.replace(tmp_path / LEDGER)

    with sole_builder(tmp_path):
        assert not work.exists()

    for name in (".building-plans", ".building-0123456789abcdef"):
        assert (tmp_path / name / "notes.txt").read_text() == "notes"


def test_a_pipe_where_the_ledger_should_be_is_said_and_not_waited_for(tmp_path: Path):
    os.mkfifo(tmp_path / LEDGER)

    with pytest.raises(OSError, match="no regular file"):
        Ledger(tmp_path)


def test_a_manifest_that_is_a_link_stays_one(root: Path, tmp_path: Path):
    manifest = root / "own" / "family.toml"
    manifest.rename(tmp_path / "theirs.toml")
    manifest.symlink_to(tmp_path / "theirs.toml")
    before = manifest.read_text()

    with pytest.raises(ArtifactError, match="is a link"):
        add(root, "second")

    assert manifest.is_symlink()
    assert manifest.read_text() == before


def test_a_pipe_where_the_lock_should_be_is_said_and_not_waited_for(root: Path):
    (root / "own" / LOCK).unlink(missing_ok=True)
    os.mkfifo(root / "own" / LOCK)

    with pytest.raises(ArtifactError, match="no regular file"):
        add(root, "second")


@pytest.mark.parametrize("name", ["notes.txt", "sub", "..", ".", "", "family.toml", ".new-ideas"])
def test_a_ledger_that_came_along_has_nothing_of_theirs_deleted(root: Path, name: str):
    note = json.dumps(["temporary", name]) + "\n"
    head = (root / "own" / LEDGER).read_text().splitlines(True)[0]
    (root / "own" / LEDGER).write_text(head + note)
    (root / LEDGER).write_text(head + note)

    add(root, "b")
    with sole_builder(root):
        pass

    assert_theirs_are_there(root)
    assert (root.parent / "new.onnx").exists()
    assert {v.name for v in load_family(root / "own").variants} == {"a", "b"}


def test_weights_that_a_published_graph_names_stay_whatever_its_manifest_says(tmp_path: Path):
    family = replace(FAMILY, variants=(a_variant("a"),))
    publish_family(tmp_path / "models", family, {"a": a_product(tmp_path / "net.onnx")})
    manifest = tmp_path / "models" / "own" / "family.toml"
    manifest.write_text(manifest.read_text().split("[[variants.data]]")[0])

    for name in ("b", "c"):
        add(tmp_path / "models", name, name)

    assert load_family(tmp_path / "models" / "own").variants[0].data == ()
    assert len(list(manifest.parent.glob("weights-*.data"))) == 1


def test_an_updated_family_of_which_a_file_is_missing_keeps_what_its_operator_set(root: Path):
    add(root, "mine")
    manifest = root / "own" / "family.toml"
    manifest.write_text(manifest.read_text().replace("latency_ms = 50.0", "latency_ms = 7.0"))
    (root / "own" / load_family(root / "own").variants[0].artifact).unlink()

    update_family(root, replace(FAMILY, variants=(a_variant("a"),)), {"a": a_file(root, "A2")})

    found = load_family(root / "own")
    assert found.slo.latency_s == 0.007
    assert [v.name for v in found.variants] == ["a", "mine"]


def test_a_file_called_as_the_copy_of_a_damaged_manifest_is_not_overwritten(root: Path):
    manifest = root / "own" / "family.toml"
    for _ in range(2):
        manifest.write_text("damaged = [")
        publish(root, "a")
        aside = next(iter((root / "own").glob("family.toml.old-*")))
        assert aside.read_text() == "damaged = ["

    aside.write_text("notes of mine")
    manifest.write_text("damaged = [")
    publish(root, "a")

    kept = {path.read_text() for path in (root / "own").glob("family.toml.old-*")}
    assert kept == {"notes of mine", "damaged = ["}


def test_a_disk_that_is_full_once_all_is_visible_makes_no_failure(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def full(_: Ledger) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Ledger, "commit", full)
    variant = add(root, "b")

    assert load_family(root / "own").variants[-1] == variant
    assert "No space left on device" in caplog.text
