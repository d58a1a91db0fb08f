"""Variants added to a family and taken out of it: what was there stays, and a refusal changes nothing."""

import fcntl
import hashlib
import json
import threading
from collections.abc import Mapping
from pathlib import Path

import pytest

from models.__main__ import main
from models.artifacts import (
    ArtifactError,
    FamilyExists,
    add_variants,
    create_family,
    load_family,
    publish_family,
    remove_variants,
    replace_variants,
)
from models.artifacts.files import LOCK
from models.artifacts.ledger import LEDGER
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

ORIGIN = '{"data": "digits", "selector": "stale", "units": 1200, "seed": 3, "cpu_seconds": 4.5}'


def a_variant(name: str, *, candidate: bool = False) -> Variant:
    return Variant(name, "fp32", "", "", Accuracy(0.9, "measured", 100, 0.05), candidate, ORIGIN)


def a_family(*names: str) -> Family:
    return Family(
        "digits",
        (TensorSpec("images", "FP32", (-1, 1, 8, 8)),),
        (TensorSpec("logits", "FP32", (-1, 2)),),
        tuple(a_variant(n) for n in names),
        Slo(0.02),
        labels=("zero", "one"),
    )


def files(root: Path, contents: Mapping[str, str]) -> dict[str, Path]:
    """An artefact for every name, of the content given."""
    folder = root.parent / "made"
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / f"{name}.onnx").write_text(content)
    return {name: folder / f"{name}.onnx" for name in contents}


def add(root: Path, **contents: str) -> Family:
    variants = [a_variant(n, candidate=True) for n in contents]
    return add_variants(root, "digits", variants, files(root, contents))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with the family `digits` of one variant, `a`."""
    publish_family(tmp_path / "models", a_family("a"), files(tmp_path / "models", {"a": "A"}))
    return tmp_path / "models"


def names(family: Family) -> list[str]:
    return [v.name for v in family.variants]


def contents(root: Path) -> set[str]:
    return {p.name for p in (root / "digits").iterdir()} - {LOCK, LEDGER}


def test_what_is_added_comes_after_what_was_there(root: Path):
    before = load_family(root / "digits")

    after = add(root, b="B", c="C")

    assert load_family(root / "digits") == after
    assert names(after) == ["a", "b", "c"]
    assert after.variants[0] == before.variants[0]
    assert (after.labels, after.slo) == (before.labels, before.slo)
    assert after.variants[1].candidate


def test_adding_the_same_content_again_changes_nothing(root: Path):
    after = add(root, b="B")
    manifest = (root / "digits" / "family.toml").stat()

    assert add(root, b="B") == after
    assert (root / "digits" / "family.toml").stat().st_ino == manifest.st_ino


def test_other_content_under_a_known_name_is_refused_whole(root: Path):
    before = contents(root)

    with pytest.raises(ArtifactError, match=r"variant a with other content.*another name"):
        add(root, b="B", a="not A")

    assert contents(root) == before
    assert names(load_family(root / "digits")) == ["a"]


def test_replacing_takes_other_content_under_a_known_name(root: Path):
    after = replace_variants(root, "digits", [a_variant("a")], files(root, {"a": "not A"}))

    assert names(after) == ["a"]
    assert (root / "digits" / after.variants[0].artifact).read_text() == "not A"


def test_every_variant_added_needs_a_file(root: Path):
    with pytest.raises(ArtifactError, match=r"digits.*\['b'\].*\[\]"):
        add_variants(root, "digits", [a_variant("b")], {})


@pytest.mark.parametrize("change", [lambda r: add(r, b="B"), lambda r: remove_variants(r, "x", ())])
def test_an_unknown_family_is_not_made_by_changing_it(tmp_path: Path, change: object):
    assert callable(change)
    with pytest.raises(ArtifactError, match="cannot be read"):
        change(tmp_path / "models")

    assert not (tmp_path / "models").exists()


def test_a_removed_variants_file_stays_until_the_next_publication(root: Path):
    removed = add(root, b="B").variants[1].artifact

    assert names(remove_variants(root, "digits", ["b"])) == ["a"]
    assert removed in contents(root)
    add(root, c="C")
    assert removed not in contents(root)


@pytest.mark.parametrize(
    ("gone", "said"), [(["z"], r"no variant 'z'; it has \['a'\]"), (["a"], "left without variants")]
)
def test_what_cannot_be_removed_is_refused(root: Path, gone: list[str], said: str):
    with pytest.raises(ArtifactError, match=said):
        remove_variants(root, "digits", gone)

    assert names(load_family(root / "digits")) == ["a"]


def test_a_family_is_created_once(root: Path):
    with pytest.raises(FamilyExists, match="digits exists"):
        create_family(root, a_family("b"), files(root, {"b": "B"}))

    assert names(load_family(root / "digits")) == ["a"]


def note(root: Path, *rows: list[str]) -> None:
    """Into the ledger, as a publisher does before it dies."""
    with (root / "digits" / LEDGER).open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def test_a_dead_publishers_files_go_however_young(root: Path):
    whole = hashlib.sha256(b"whole, but named by no manifest").hexdigest()
    note(root, ["temporary", ".new-0123456789abcdef"], ["file", "orphan-0123abcd.onnx", whole])
    (root / "digits" / ".new-0123456789abcdef").write_text("half")
    (root / "digits" / "orphan-0123abcd.onnx").write_text("whole, but named by no manifest")

    after = add(root, b="B")

    assert contents(root) == {"family.toml", *(v.artifact for v in after.variants)} | {
        p.name for p in (root / "digits").glob("labels-*.txt")
    }


def test_a_dead_publishers_temporary_files_go_even_where_nothing_is_new(root: Path):
    add(root, b="B")
    note(root, ["temporary", ".new-0123456789abcdef"])
    (root / "digits" / ".new-0123456789abcdef").write_text("half")

    add(root, b="B")

    assert ".new-0123456789abcdef" not in contents(root)


def test_publishers_take_turns(root: Path):
    with (root / "digits" / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        waiting = [threading.Thread(target=add, args=(root,), kwargs={n: n}) for n in "bcdef"]
        for thread in waiting:
            thread.start()
        assert names(load_family(root / "digits")) == ["a"]
    for thread in waiting:
        thread.join()

    assert sorted(names(load_family(root / "digits"))) == list("abcdef")


def test_the_list_shows_candidates_and_their_origin(root: Path, capsys: pytest.CaptureFixture[str]):
    add(root, b="B")

    assert main(["list", "--repository", str(root)]) == 0
    assert "candidate; data digits, selector stale, units 1200, seed 3\n" in capsys.readouterr().out


def test_a_family_that_is_no_good_does_not_hide_the_others(
    root: Path, capsys: pytest.CaptureFixture[str]
):
    (root / "broken").mkdir()
    (root / "broken" / "family.toml").write_text("name = ")

    for action in ("list", "verify"):
        assert main([action, "--repository", str(root)]) == 2
        said = capsys.readouterr()
        assert "digits: " in said.out
        assert "broken/family.toml is no TOML" in said.err
        assert said.err.count("\n") == 1


def test_a_damaged_candidate_does_not_verify(root: Path, capsys: pytest.CaptureFixture[str]):
    candidate = add(root, b="B").variants[1]
    assert main(["verify", "--repository", str(root)]) == 0
    assert "2 artefacts verified, 1 of them candidates" in capsys.readouterr().out

    (root / "digits" / candidate.artifact).write_text("not B")

    assert main(["verify", "--repository", str(root)]) == 2
    assert candidate.artifact in capsys.readouterr().err
