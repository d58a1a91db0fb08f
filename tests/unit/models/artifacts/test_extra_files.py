"""Files that are published beside a family's manifest under names of their own."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.artifacts import ArtifactError, load_family, replace_variants, update_family
from models.artifacts.files import LOCK
from models.artifacts.ledger import LEDGER
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

VARIANT = Variant("a", "fp32", "", "", Accuracy(0.9, "measured"))
OWN = Family(
    "own",
    (TensorSpec("x", "FP32", (-1, 4)),),
    (TensorSpec("y", "FP32", (-1, 2)),),
    (VARIANT,),
    Slo(0.05),
)


def a_file(folder: Path, content: str) -> Path:
    path = folder / f"{content}.source"
    path.write_text(content)
    return path


def publish(root: Path, **extras: str) -> Path:
    """Publish the family with these extra files (the ending is .json), and give its folder."""
    work = root.parent
    files = {f"{name}.json": a_file(work, text) for name, text in extras.items()}
    update_family(root, OWN, {"a": a_file(work, "A")}, files)
    return root / "own"


def test_they_lie_beside_the_manifest_under_their_names(tmp_path: Path):
    folder = publish(tmp_path / "models", words="the words", rows="rows")

    assert (folder / "words.json").read_text() == "the words"
    assert (folder / "rows.json").read_text() == "rows"
    assert load_family(folder).variants[0].name == "a"


def test_later_publications_leave_them_there(tmp_path: Path):
    folder = publish(tmp_path / "models", words="the words")

    for content in ("B", "C", "D"):
        replace_variants(tmp_path / "models", "own", [VARIANT], {"a": a_file(tmp_path, content)})

    assert (folder / "words.json").read_text() == "the words"


def test_what_another_file_held_is_kept(tmp_path: Path):
    folder = publish(tmp_path / "models", words="mine")

    publish(tmp_path / "models", words="newer")
    publish(tmp_path / "models", words="newer")

    assert (folder / "words.json").read_text() == "newer"
    old = [path.read_text() for path in folder.glob("words.json.old-*")]
    assert old == ["mine"]
    left = {path.name for path in folder.glob(".*")}
    assert left == {LOCK, LEDGER}


def test_nothing_is_put_through_a_link_or_in_a_folders_place(tmp_path: Path):
    folder = publish(tmp_path / "models")
    (tmp_path / "elsewhere").write_text("theirs")
    (folder / "link.json").symlink_to(tmp_path / "elsewhere")
    (folder / "folder.json").mkdir()

    for name in ("link", "folder"):
        with pytest.raises(ArtifactError, match=rf"{name}\.json is no regular file"):
            publish(tmp_path / "models", **{name: "new"})

    assert (tmp_path / "elsewhere").read_text() == "theirs"


@pytest.mark.parametrize("name", ["family.toml", "tasks.toml", "../out", ".hidden", ""])
def test_no_manifest_and_nothing_outside_is_written(tmp_path: Path, name: str):
    source = a_file(tmp_path, "A")

    with pytest.raises(ArtifactError, match="no extra file may be called"):
        update_family(tmp_path / "models", OWN, {"a": source}, {name: source})


def test_a_refused_publication_leaves_no_family(tmp_path: Path):
    bad = replace(OWN, max_batch=0)
    source = a_file(tmp_path, "A")

    with pytest.raises(ArtifactError):
        update_family(tmp_path / "models", bad, {"a": source}, {"words.json": source})

    assert not (tmp_path / "models" / "own" / "family.toml").exists()
