"""Who publishes a task package and is killed, or whose disk is full, leaves the old package or the new, whole."""

import subprocess
import sys
from pathlib import Path

import pytest

import models
from models.artifacts import load_family, publish_family
from models.artifacts.files import LOCK
from models.artifacts.ledger import LEDGER
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from models.stems import load_package
from tests.support.sharing.packages import a_package, add_task

_CODE = Path(models.__file__).parents[1]

_COMMON = """
import resource, sys
from dataclasses import replace
from pathlib import Path
from tests.support.killing import at_every_step
from models.stems import load_package, publish_package
from tests.support.sharing.packages import in_place

work = Path(sys.argv[1])
new = load_package(work / "made" / "tiny")
files = in_place(work / "made", new.base, new.tasks)
blank = [replace(t, heads=tuple(replace(h, artifact="", sha256="") for h in t.heads)) for t in new.tasks]
"""

_KILLED_AT_EVERY_STEP = (
    _COMMON
    + """
def change(root):
    old = load_package(root / "tiny", verify=False)
    kept = () if sys.argv[2] == "instead" else old.tasks[:1]
    added = () if sys.argv[2] == "fewer" else blank
    own = in_place(root, old.base, kept)
    publish_package(root, replace(new, tasks=(*kept, *added)), {**own, **(files if added else {})})

at_every_step(work, change)
"""
)

_ON_A_FULL_DISK = (
    _COMMON
    + """
blank[0] = replace(blank[0], meaning="x" * int(sys.argv[2]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), resource.RLIM_INFINITY))
try:
    publish_package(work / "models", replace(new, tasks=tuple(blank)), files)
except OSError as error:
    print(error)
"""
)


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A repository `models` with a package of tasks a and b, and in `made` one of tasks b, other than that, and c.

    Beside the package, in the same folder, lies a family of the same name.
    """
    a_package(tmp_path / "models", ("a", "b"), points=(0, 2))
    a_package(tmp_path / "made", ("c", "b"), points=(0, 2))
    (tmp_path / "net.onnx").write_bytes(b"net" * 300)
    family = Family(
        "tiny",
        (TensorSpec("images", "FP32", (-1, 1, 8, 8)),),
        (TensorSpec("logits", "FP32", (-1, 2)),),
        (Variant("net", "fp32", "", "", Accuracy(0.8, "made up")),),
        Slo(0.02),
        labels=("zero", "one"),
    )
    publish_family(tmp_path / "models", family, {"net": tmp_path / "net.onnx"})
    return tmp_path


def script(text: str, *arguments: object) -> str:
    command = [sys.executable, "-c", text, *map(str, arguments)]
    return subprocess.run(
        command, check=True, cwd=_CODE, timeout=100, stdout=subprocess.PIPE, text=True
    ).stdout


def tasks(root: Path) -> tuple[tuple[str, str], ...]:
    """The tasks as a reader finds them, all verified: their names and the content of their first head."""
    package = load_package(root / "tiny", verify=True)
    return tuple((task.name, task.heads[0].sha256) for task in package.tasks)


@pytest.mark.parametrize(
    ("change", "names"), [("beside", "acb"), ("fewer", "a"), ("instead", "cb")]
)
def test_a_kill_at_any_step_leaves_the_old_package_or_the_new(work: Path, change: str, names: str):
    old, made = tasks(work / "models"), dict(tasks(work / "made"))

    script(_KILLED_AT_EVERY_STEP, work, change)

    new = tuple((n, made.get(n, dict(old)["a"])) for n in names)
    roots = sorted((work / "killed").iterdir(), key=lambda p: int(p.name))
    found = [tasks(root) for root in roots]
    assert len(found) > 20
    assert set(found) == {old, new}
    assert found == sorted(found, key=lambda tasks: tasks == new)  # one moment divides old from new
    for root in roots[:: max(1, len(roots) // 40)]:
        assert_usable_and_clean(root)


def assert_usable_and_clean(root: Path) -> None:
    """The next publisher succeeds and clears away what the dead one left, but nothing of the family's."""
    replaced = load_package(root / "tiny", verify=False)
    after = add_task(root, replaced, "later")

    assert load_package(root / "tiny") == after
    assert load_family(root / "tiny").name == "tiny"
    heads = {h.artifact for p in (replaced, after) for t in p.tasks for h in t.heads}
    left = {p.name for p in (root / "tiny").iterdir()} - heads
    named = {"tasks.toml", after.base.artifact, "family.toml", LOCK, LEDGER}
    assert {n for n in left if not n.startswith(("net-", "labels-"))} == named


@pytest.mark.parametrize(
    ("meaning_bytes", "limit_bytes", "named"),
    [(10, 200, "tiny-"), (9000, 4000, "tasks.toml")],
    ids=["artefact", "manifest"],
)
def test_a_full_disk_changes_nothing_and_leaves_nothing(
    work: Path, meaning_bytes: int, limit_bytes: int, named: str
):
    old = tasks(work / "models")
    before = {p.name for p in (work / "models" / "tiny").iterdir()}

    said = script(_ON_A_FULL_DISK, work, meaning_bytes, limit_bytes)

    assert "File too large" in said
    assert named in said
    assert tasks(work / "models") == old
    assert {p.name for p in (work / "models" / "tiny").iterdir()} == before
