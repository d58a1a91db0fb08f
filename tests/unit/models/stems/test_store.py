"""Task packages on disk: what is published comes back whole, what does not fit is refused by name."""

from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from models.__main__ import main
from models.artifacts import ArtifactError, load_family, look_through, publish_family
from models.artifacts.files import LOCK, TASKS_MANIFEST
from models.artifacts.ledger import LEDGER
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant
from models.stems import (
    CutError,
    Package,
    load_package,
    look_through_packages,
    publish_package,
)
from models.stems.store import Files
from tests.support.sharing.packages import a_head, a_package, add_task, in_place


@pytest.fixture
def package(root: Path) -> Package:
    return a_package(root)


def names(package: Package) -> list[str]:
    return [t.name for t in package.tasks]


def present(root: Path) -> set[str]:
    return {p.name for p in (root / "tiny").iterdir()} - {LOCK, LEDGER}


def artefacts(package: Package) -> set[str]:
    return {package.base.artifact} | {h.artifact for t in package.tasks for h in t.heads}


def test_a_published_package_comes_back_as_it_was(root: Path, package: Package):
    assert load_package(root / "tiny") == package
    assert look_through_packages(root).packages == {"tiny": package}
    assert present(root) == {TASKS_MANIFEST} | artefacts(package)


def test_a_base_without_tasks_is_a_package(root: Path):
    published = a_package(root, tasks=())

    assert load_package(root / "tiny") == published
    assert names(add_task(root, published, "first")) == ["first"]


def test_tasks_are_added_and_a_task_of_the_same_name_is_upgraded(root: Path, package: Package):
    added = add_task(root, package, "c", 0.25)
    upgraded = add_task(root, package, "a", 0.9)

    assert names(added) == ["a", "b", "c"]
    assert names(upgraded) == ["b", "c", "a"]
    assert load_package(root / "tiny") == upgraded
    assert upgraded.tasks[:2] == added.tasks[1:]
    assert artefacts(added) <= present(root)  # those who are about to open the old ones still can


def test_the_files_of_a_task_left_out_stay_until_the_next_publication(root: Path, package: Package):
    gone = {h.artifact for h in package.tasks[0].heads}

    assert names(publish(root, replace(package, tasks=package.tasks[1:]))) == ["b"]
    assert gone <= present(root)
    after = add_task(root, package, "c")
    assert present(root) == {TASKS_MANIFEST} | artefacts(after)


def publish(root: Path, package: Package, files: Files | None = None) -> Package:
    """Again, by the artefacts that lie in its folder."""
    own = in_place(root, package.base, package.tasks)
    return publish_package(root, package, own | dict(files or {}))


def head_file(root: Path, model: onnx.ModelProto) -> Path:
    path = root.parent / "head.onnx"
    onnx.save(model, path)
    return path


def test_publishing_again_replaces_the_package(root: Path, package: Package):
    fewer = replace(package, tasks=package.tasks[:1], stream_fps=25.0)

    published = publish(root, fewer)

    assert load_package(root / "tiny") == published == fewer


def test_every_artefact_needs_a_file_and_no_other_is_taken(root: Path, package: Package):
    with pytest.raises(ArtifactError, match=r"missing or not asked for: \('c', 2\)"):
        publish(root, package, {("c", 2): Path("x")})
    with pytest.raises(
        ArtifactError, match=r"\('a', 0\), \('a', 1\), .*tiny; give one for the base"
    ):
        publish_package(root, package, {})


def test_a_package_may_be_left_without_tasks(root: Path, package: Package):
    assert publish(root, replace(package, tasks=())).tasks == ()
    assert load_package(root / "tiny").tasks == ()


def with_head(package: Package, **change: object) -> Package:
    """The first task's head at point 2 changed."""
    task = package.tasks[0]
    heads = tuple(replace(h, **change) if h.frozen == 2 else h for h in task.heads)  # pyright: ignore
    return replace(package, tasks=(replace(task, heads=heads), *package.tasks[1:]))


def test_a_head_of_another_stem_is_refused_with_both_hashes(root: Path, package: Package):
    other, own = "0" * 64, package.base.points[2].stem

    with pytest.raises(
        ArtifactError,
        match=rf"task a behind 2 .*mismatched stem hash.*{other}.*point 2 has {own}; train it on",
    ):
        publish(root, with_head(package, stem=other))
    assert load_package(root / "tiny") == package


def test_a_base_that_hashes_otherwise_is_refused(root: Path, package: Package):
    points = tuple(replace(p, stem="1" * 64) if p.frozen == 3 else p for p in package.base.points)

    with pytest.raises(ArtifactError, match=r"point 3 \(tensor 'layer3'\): mismatched stem hash"):
        publish(root, replace(package, base=replace(package.base, points=points)))


def test_a_point_inside_a_block_is_refused(root: Path, package: Package):
    points = (*package.base.points[:3], replace(package.base.points[3], tensor="layer3.conv"))

    with pytest.raises(CutError, match=r"'layer3\.conv' lies inside a block"):
        publish(root, replace(package, base=replace(package.base, points=points)))
    assert load_package(root / "tiny") == package


def test_a_head_that_takes_something_else_is_refused(root: Path, package: Package):
    wide = a_head(2, 3, 0.5)
    wide.graph.input[0].type.tensor_type.shape.dim[3].dim_value = 9
    named = a_head(2, 3, 0.5)
    named.graph.output[0].name = named.graph.node[-1].output[0] = "scores"

    for model, said in ((wide, r"a behind 2.*it takes.*1, 8, 9.*'layer2'"), (named, "it gives")):
        with pytest.raises(ArtifactError, match=said):
            publish(root, package, {("a", 2): head_file(root, model)})
    (root.parent / "head.onnx").write_text("no network")
    with pytest.raises(ArtifactError, match=r"head\.onnx is no ONNX network"):
        publish(root, package, {("a", 2): root.parent / "head.onnx"})
    assert load_package(root / "tiny") == package
    assert present(root) == {TASKS_MANIFEST} | artefacts(package)


@pytest.mark.parametrize("name", ["../elsewhere", "a b", ""])
def test_names_that_are_not_plain_are_refused(root: Path, package: Package, name: str):
    with pytest.raises(ArtifactError, match="must have a plain name"):
        publish_package(root / "new", replace(package, base=replace(package.base, name=name)), {})
    task = replace(package.tasks[0], name=name)
    with pytest.raises(ArtifactError, match="must have a plain name"):
        publish(root, replace(package, tasks=(task,)))

    assert not (root / "new").exists()


def test_a_damaged_artefact_is_named_when_verified(root: Path, package: Package):
    head = package.tasks[1].heads[3]
    (root / "tiny" / head.artifact).write_bytes(b"other")

    with pytest.raises(ArtifactError, match=rf"{head.artifact} is damaged.*{head.sha256}"):
        load_package(root / "tiny")
    assert load_package(root / "tiny", verify=False) == package
    (root / "tiny" / head.artifact).unlink()
    with pytest.raises(ArtifactError, match=rf"{head.artifact} is missing"):
        load_package(root / "tiny", verify=False)


def edit(root: Path, old: str, new: str) -> None:
    manifest = root / "tiny" / TASKS_MANIFEST
    assert old in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(old, new))


def test_a_base_changed_with_its_sha256_is_known_by_its_stems(root: Path, package: Package):
    a_package(root.parent / "other", points=(0, 1, 2, 3, 4))
    other = load_package(root.parent / "other" / "tiny").base
    (root / "tiny" / "other.onnx").write_bytes(
        (root.parent / "other" / "tiny" / other.artifact).read_bytes()
    )
    edit(root, f'"{package.base.artifact}"', '"other.onnx"')
    edit(root, package.base.sha256, other.sha256)
    assert load_package(root / "tiny").base.artifact == "other.onnx"  # the first layers are alike

    edit(root, package.base.points[3].stem, "2" * 64)
    with pytest.raises(ArtifactError, match=r"point 3.*mismatched stem hash.*says 2222"):
        load_package(root / "tiny")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("stream_fps = 10.0", "stream_fps = 0", "'stream_fps'.*within"),
        ("stream_fps = 10.0", "stream_fps = 10.0\ncolour = 1", "'colour' is unknown"),
        ("stream_fps = 10.0", "stream_fps = ", "no TOML"),
        ('name = "tiny"', 'name = "other"', "base.name is 'other', the folder 'tiny'"),
        ('name = "b"', 'name = "a"', "'tasks'.*more than once"),
        ('name = "b"', 'name = "a b"', r"tasks\[1\].*'name'.*plain name"),
        ("shape = [1, 8, 8]", "shape = [1, 8, 0]", "'shape'.*sizes >= 1"),
        ("frozen = 0\ntensor", "frozen = 1\ntensor", "'points'.*begin with the input"),
        ("frozen = 2\ntensor", "frozen = 1\ntensor", "'points'.*ascending"),
        ('tensor = "layer2"', 'tensor = "layer1"', "'points'.*'layer1' more than once"),
        ("frozen = 2\nstem", "frozen = 1\nstem", r"heads\[2\].*'stem' of task a.*another stem"),
        ("frozen = 3\nstem", "frozen = 7\nstem", r"'frozen' is 7.*\[0, 1, 2, 3\]"),
        ("event_length_s = 0.5", "event_length_s = -1", "'event_length_s'.*within"),
        ("event_frequency = 0.3", 'event_frequency = "often"', "'event_frequency'.*number"),
        ("correlation = 0.2", "", "'correlation' is missing"),
        ("threshold = 0.5", "threshold = 1.5", "'threshold'.*within"),
        ('artifact = "a-0', 'artifact = "../a-0', r"heads\[0\].*'artifact'.*plain name"),
        ('sha256 = "', 'sha256 = "0', "'sha256'.*64"),
        ('origin = "', 'origin = "[', "'origin'.*JSON object"),
    ],
)
def test_a_mistake_in_the_manifest_is_named_by_file_and_key(
    root: Path, package: Package, old: str, new: str, complaint: str
):
    edit(root, old, new)

    with pytest.raises(ArtifactError, match=rf"(?s)tasks\.toml.*{complaint}"):
        load_package(root / package.base.name, verify=False)


def test_tasks_out_of_their_manifests_range_are_not_published(root: Path, package: Package):
    with pytest.raises(ArtifactError, match=r"'true_positive'.*within"):
        publish(root, with_head(package, true_positive=95.0))

    assert load_package(root / "tiny") == package


def a_family() -> Family:
    variant = Variant("net", "fp32", "", "", Accuracy(0.9, "measured"))
    specs = [TensorSpec(name, "FP32", (-1, 2)) for name in ("x", "y")]
    return Family("tiny", (specs[0],), (specs[1],), (variant,), Slo(0.02), labels=("no", "yes"))


def test_a_family_and_a_package_of_one_name_spare_each_others_files(root: Path, package: Package):
    source = root.parent / "net.onnx"
    for content in ("one", "two", "three"):
        source.write_text(content)
        family = publish_family(root, a_family(), {"net": source})
        after = add_task(root, package, content)
        package = publish(root, after)

        assert load_family(root / "tiny") == family
        assert load_package(root / "tiny") == package
    assert list(look_through(root).families) == ["tiny"]
    family_files = {"family.toml", family.variants[0].artifact}
    labels = {n for n in present(root) if n.startswith("labels-")}
    assert present(root) == family_files | labels | {TASKS_MANIFEST} | artefacts(package)


@pytest.mark.usefixtures("package")
def test_a_damaged_neighbour_keeps_its_files(root: Path):
    edit(root, "stream_fps = 10.0", "stream_fps = ")
    before = present(root)
    source = root.parent / "net.onnx"

    for content in ("one", "two", "three"):
        source.write_text(content)
        publish_family(root, a_family(), {"net": source})

    assert before <= present(root)


def test_packages_are_listed_and_verified(
    root: Path, package: Package, capsys: pytest.CaptureFixture[str]
):
    assert main(["list", "--repository", str(root)]) == 0
    listed = capsys.readouterr().out
    assert main(["verify", "--repository", str(root)]) == 0
    verified = capsys.readouterr().out
    (root / "tiny" / package.base.artifact).write_bytes(b"other")

    assert "tiny: tasks that share its layers; points 0, 1, 2, 3" in listed
    assert "branches at 0, 1, 2, 3  brighter than its level" in listed
    assert verified == "tiny: base and 8 heads of 2 tasks verified, stems as hashed\n"
    assert main(["verify", "--repository", str(root)]) == 2
    assert "is damaged" in capsys.readouterr().err
