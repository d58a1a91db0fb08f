"""`gearshift models edit` changes what was asked for and nothing else, and writes nothing that could not be served."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.__main__ import main
from models.artifacts import load_family, publish_family
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant

FAMILY = Family(
    "own",
    (TensorSpec("x", "FP32", (-1, 4)),),
    (TensorSpec("y", "FP32", (-1, 2)),),
    tuple(
        Variant(name, "fp32", "", "", Accuracy(value, "measured", 100, 0.02))
        for name, value in (("a", 0.9), ("b", 0.8))
    ),
    Slo(0.05),
)


@pytest.fixture
def folder(root: Path) -> Path:
    """The folder of a family whose manifest somebody has written comments into."""
    source = root.parent / "net"
    source.write_text("a network")
    publish_family(root, FAMILY, {"a": source, "b": source})
    manifest = root / "own" / "family.toml"
    text = manifest.read_text().replace("latency_ms = 50.0", "latency_ms = 50 # as agreed")
    manifest.write_text(f"# the cats\n{text}# the end\n")
    return root / "own"


def run(folder: Path, *words: str) -> int:
    return main(["edit", "own", *words, "--repository", str(folder.parent)])


def test_all_that_can_be_changed_is_changed_and_comments_stay(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    before = load_family(folder)
    (tmp_path / "labels").write_text("cat\r\ndog\n")
    words = "--slo-ms 20 --percentile 0.95 --min-accuracy 0.5 --max-batch 8 --description pets"

    assert run(folder, *words.split(), "--labels", str(tmp_path / "labels")) == 0

    wanted = replace(
        before,
        slo=Slo(0.02, 0.5, 0.95),
        max_batch=8,
        labels=("cat", "dog"),
        description="pets",
    )
    assert load_family(folder) == wanted
    text = (folder / "family.toml").read_text()
    assert all(comment in text for comment in ("# the cats\n", "# as agreed\n", "# the end\n"))
    said = capsys.readouterr().out
    assert "slo.latency_ms: 50.0 -> 20.0" in said
    assert "max_batch: 32 -> 8" in said


def test_an_accuracy_is_one_variants_and_says_how_it_is_known(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    words = ("--variant", "b", "--accuracy", "0.85", "--source", "own test split")

    assert run(folder, *words) == 0

    a, b = load_family(folder).variants
    assert a.accuracy == Accuracy(0.9, "measured", 100, 0.02)
    assert b.accuracy == Accuracy(0.85, "own test split")
    assert "b.accuracy.value: 0.8 -> 0.85" in capsys.readouterr().out


def test_what_is_so_already_is_not_written(folder: Path, capsys: pytest.CaptureFixture[str]):
    before = (folder / "family.toml").stat()

    assert run(folder, "--slo-ms", "50") == 0

    after = (folder / "family.toml").stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    assert "nothing to change" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("", "give one of --slo-ms"),
        ("--slo-ms 0", "--slo-ms must be within"),
        ("--slo-ms nan", "--slo-ms must be within"),
        ("--percentile 0.2", "--percentile must be within 0.5 and 1"),
        ("--max-batch 0", "--max-batch must be within"),
        ("--min-accuracy 0.95", "above 0.9, the best"),
        ("--variant a --accuracy 0.5", "go together"),
        ("--source x", "give one of"),
        ("--slo-ms 5 --source x", "go together"),
        ("--variant c --accuracy 0.5 --source x", "no variant 'c'; it has a, b"),
        ("--labels nowhere", "nowhere cannot be read"),
        ("--labels one", "1 labels, output 'y' [-1, 2] has 2"),
        ("--labels gap", "gap, line 2: no label"),
        ("--description \x07", "printable"),
    ],
)
def test_what_cannot_be_meant_changes_nothing(
    folder: Path,
    words: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    monkeypatch.chdir(folder.parents[1])
    Path("one").write_text("cat\n")
    Path("gap").write_text("cat\n\ndog\n")
    before = {p: p.read_bytes() for p in folder.iterdir()}

    assert run(folder, *words.split(" ") if words else ()) == 2

    assert said in capsys.readouterr().err
    assert {p: p.read_bytes() for p in folder.iterdir()} == before


def test_a_family_of_one_row_keeps_batches_of_one(folder: Path, capsys: pytest.CaptureFixture[str]):
    manifest = folder / "family.toml"
    text = manifest.read_text().replace("max_batch = 32", "max_batch = 1\none_row = true")
    manifest.write_text(text)

    assert run(folder, "--max-batch", "2") == 2

    assert manifest.read_text() == text
    assert "must be 1 where one_row is true" in capsys.readouterr().err
    assert not list(folder.glob("*.old-*"))


def test_a_family_whose_artefacts_are_missing_can_be_edited(folder: Path):
    for path in folder.glob("*-*"):
        path.unlink()

    assert run(folder, "--slo-ms", "20") == 0

    assert "latency_ms = 20.0 # as agreed" in (folder / "family.toml").read_text()


def test_an_unknown_family_is_refused_with_those_there_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
):
    assert main(["edit", "cats", "--slo-ms", "9", "--repository", str(folder.parent)]) == 2

    assert "no family 'cats'" in (said := capsys.readouterr().err)
    assert "there are: own" in said
