"""A publisher that is killed, or whose disk is full, leaves the family as it was or as it was to be: never between."""

import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest

import models
from models.artifacts import add_variants, load_family, publish_family
from models.artifacts.files import LOCK
from models.artifacts.ledger import LEDGER
from models.artifacts.samples import SAMPLES
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from models.managing.removing import remove_family

_CODE = Path(models.__file__).parents[1]

_COMMON = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from tests.support.killing import at_every_step
from models.artifacts import add_variants, create_family, publish_family, remove_variants, load_family
from models.managing.removing import remove_family
from models.catalog import Accuracy, Variant

work = Path(sys.argv[1])
files = {n: work / f"{n}.onnx" for n in ("new1", "new2")}
variants = [Variant(n, "fp32", "", "", Accuracy(0.9, "made up"), True, "{}") for n in files]
"""

_KILLED_AT_EVERY_STEP = (
    _COMMON
    + """
def change(root):
    if sys.argv[2] == "add":
        add_variants(root, "digits", variants, files)
    elif sys.argv[2] == "create":
        whole = load_family(root / "digits")
        new = replace(whole, name="new", variants=tuple(variants))
        create_family(root, new, files, work / "old.onnx")
    elif sys.argv[2] == "remove":
        remove_family(root, "digits")
    else:
        whole = load_family(root / "digits")
        publish_family(root, replace(whole, variants=tuple(variants)), files)

at_every_step(work, change)
"""
)

_DEAD_AGAIN_AND_AGAIN = (
    _COMMON
    + """
import os
from models.artifacts import replace_variants
from tests.support.killing import die_at
root = work / "models"
for step in range(0, int(sys.argv[2]), 5):
    files["new1"].write_bytes(b"%d" % step * 300)
    child = os.fork()
    if child == 0:
        die_at(step)
        replace_variants(root, "digits", variants, files)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        remove_variants(root, "digits", list(files))
"""
)

_FOR_EVER = (
    _COMMON
    + """
while True:
    add_variants(work / "models", "digits", variants, files)
    print("added", flush=True)
    remove_variants(work / "models", "digits", list(files))
    print("removed", flush=True)
"""
)

_ON_A_FULL_DISK = (
    _COMMON
    + """
variants[1] = replace(variants[1], origin='{"note": "%s"}' % ("x" * int(sys.argv[2])))
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, resource.RLIM_INFINITY))
try:
    add_variants(work / "models", "digits", variants, files)
except OSError as error:
    print(error)
"""
)


def _publisher(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-c", script, *arguments]


def _variant(name: str) -> Variant:
    return Variant(name, "fp32", "", "", Accuracy(0.8, "made up"))


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository `models` with the family `digits` of one variant, and artefacts for two more."""
    for name in ("old", "new1", "new2"):
        (tmp_path / f"{name}.onnx").write_bytes(name.encode() * 300)
    family = Family(
        "digits",
        (TensorSpec("images", "FP32", (-1, 1, 8, 8)),),
        (TensorSpec("logits", "FP32", (-1, 2)),),
        (_variant("old"),),
        Slo(0.02),
        labels=("zero", "one"),
    )
    publish_family(tmp_path / "models", family, {"old": tmp_path / "old.onnx"})
    return tmp_path


def names(root: Path) -> tuple[str, ...]:
    """The variants of the family as a reader finds it, every artefact verified."""
    return tuple(v.name for v in load_family(root / "digits", verify=True).variants)


def assert_usable_and_clean(root: Path, work: Path, theirs: Collection[str] = ()) -> None:
    """The next publisher succeeds and finds nothing of the dead one's in its way."""
    after = add_variants(root, "digits", [_variant("later")], {"later": work / "old.onnx"})
    assert "later" in names(root)
    left = {p.name for p in (root / "digits").iterdir()} - {v.artifact for v in after.variants}
    unnamed = {n for n in left if not n.startswith(("old-", "labels-"))}
    assert unnamed == {LOCK, LEDGER, "family.toml", *theirs}


@pytest.mark.parametrize(
    ("change", "whole"), [("add", ("old", "new1", "new2")), ("publish", ("new1", "new2"))]
)
def test_a_kill_at_any_step_leaves_the_old_family_or_the_new(
    work: Path, change: str, whole: tuple[str, ...]
):
    subprocess.run(
        _publisher(_KILLED_AT_EVERY_STEP, str(work), change), check=True, cwd=_CODE, timeout=60
    )

    roots = sorted((work / "killed").iterdir(), key=lambda p: int(p.name))
    found = [names(root) for root in roots]
    assert len(found) > 40
    assert set(found) == {("old",), whole}
    assert found == sorted(found, key=lambda n: n == whole)  # one moment divides old from new
    for root in roots:
        assert_usable_and_clean(root, work)


def test_publishers_that_die_one_after_another_leave_nothing_that_grows(work: Path):
    folder = work / "models" / "digits"
    before = {p.name for p in folder.iterdir()}
    (folder / "notes.txt").write_text("the user's")

    subprocess.run(
        _publisher(_DEAD_AGAIN_AND_AGAIN, str(work), "150"), check=True, cwd=_CODE, timeout=60
    )
    assert_usable_and_clean(work / "models", work, {"notes.txt"})

    after = add_variants(
        work / "models", "digits", [_variant("last")], {"last": work / "new2.onnx"}
    )
    left = {p.name for p in folder.iterdir()} - {"notes.txt"}
    assert left == before | {
        v.artifact for v in after.variants
    }  # the last one may have died content


@pytest.mark.parametrize("lines", [1, 2, 3, 4, 7, 10])
def test_a_publisher_killed_from_outside_does_no_harm(work: Path, lines: int):
    command = _publisher(_FOR_EVER, str(work))
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=_CODE) as publisher:
        assert publisher.stdout
        for _ in range(lines):
            assert publisher.stdout.readline()
        publisher.kill()

    assert names(work / "models") in {("old",), ("old", "new1", "new2")}
    assert_usable_and_clean(work / "models", work)


@pytest.mark.parametrize(
    ("artefact_bytes", "origin_bytes", "named"),
    [(9000, 10, "new2-"), (100, 9000, "family.toml")],
    ids=["artefact", "manifest"],
)
def test_a_full_disk_changes_nothing_and_leaves_nothing(
    work: Path, artefact_bytes: int, origin_bytes: int, named: str
):
    (work / "new2.onnx").write_bytes(b"x" * artefact_bytes)
    before = {p.name for p in (work / "models" / "digits").iterdir()}

    said = subprocess.run(
        _publisher(_ON_A_FULL_DISK, str(work), str(origin_bytes)),
        check=True,
        cwd=_CODE,
        capture_output=True,
        text=True,
        timeout=60,
    ).stdout

    assert "File too large" in said
    assert named in said
    assert names(work / "models") == ("old",)
    assert {p.name for p in (work / "models" / "digits").iterdir()} == before


def test_a_kill_at_any_step_of_a_removal_leaves_the_family_whole_or_gone(work: Path):
    subprocess.run(
        _publisher(_KILLED_AT_EVERY_STEP, str(work), "remove"), check=True, cwd=_CODE, timeout=60
    )

    roots = sorted((work / "killed").iterdir(), key=lambda p: int(p.name))
    whole = [(root / "digits" / "family.toml").exists() for root in roots]
    assert len(roots) > 15
    assert whole == sorted(whole, reverse=True)
    assert set(whole) == {True, False}
    for root, there in zip(roots, whole, strict=True):
        if there:
            assert names(root) == ("old",)
        if (root / "digits" / LEDGER).exists():
            remove_family(root, "digits")
            assert not (root / "digits").exists()


def test_a_kill_at_any_step_of_a_creation_leaves_no_family_or_a_whole_one_with_its_rows(work: Path):
    subprocess.run(
        _publisher(_KILLED_AT_EVERY_STEP, str(work), "create"), check=True, cwd=_CODE, timeout=60
    )

    folders = [root / "new" for root in (work / "killed").iterdir()]
    whole = [(folder / "family.toml").exists() for folder in folders]
    assert len(folders) > 40
    assert set(whole) == {True, False}
    for folder, there in zip(folders, whole, strict=True):
        if there:
            assert len(load_family(folder).variants) == 2
            assert (folder / SAMPLES).read_bytes() == b"old" * 300
        if (folder / LEDGER).exists():
            remove_family(folder.parent, "new")
            assert not folder.exists()
