"""The model repository: what is published comes back whole, what is damaged is refused by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from models.__main__ import main
from models.artifacts import (
    ArtifactError,
    default_repository,
    load_family,
    look_through,
    publish_family,
)
from models.artifacts.files import LOCK
from models.artifacts.ledger import LEDGER
from models.catalog import Accuracy, Family, Slo, TensorSpec, Variant


def a_family(name: str = "digits", labels: tuple[str, ...] = ()) -> Family:
    return Family(
        name=name,
        inputs=(TensorSpec("x", "FP32", (-1, 4)),),
        outputs=(TensorSpec("y", "FP32", (-1, 2)),),
        variants=tuple(
            Variant(f"net-{p}", p, "", "", Accuracy(0.75, 'said "so" \\ é', 100, 0.01))
            for p in ("fp32", "int8")
        ),
        slo=Slo(latency_s=0.025, min_accuracy=0.5, percentile=0.95, name="gold"),
        max_batch=16,
        labels=labels,
        description="two\nlines and a \x7f",
    )


ORIGIN = '{"data": "digits", "note": "said \\"so\\"", "units": 1200}'


def publish(root: Path, family: Family, content: str = "weights") -> Family:
    sources = root.parent / "sources"
    sources.mkdir(exist_ok=True)
    files = {v.name: sources / f"{v.name}.onnx" for v in family.variants}
    for name, path in files.items():
        path.write_text(f"{content} of {name}")
    return publish_family(root, family, files)


@pytest.mark.parametrize("labels", [(), ("cat", 'the "dog"')])
def test_a_published_family_comes_back_as_it_was(root: Path, labels: tuple[str, ...]):
    published = publish(root, a_family(labels=labels))

    loaded = look_through(root).families

    assert loaded == {"digits": published}
    blank = tuple(replace(v, artifact="", sha256="") for v in published.variants)
    assert replace(published, variants=blank) == a_family(labels=labels)


def test_a_candidate_comes_back_with_its_origin(root: Path):
    family = a_family()
    candidate = replace(family.variants[1], candidate=True, origin=ORIGIN)
    publish(root, replace(family, variants=(family.variants[0], candidate)))

    loaded = load_family(root / "digits")

    assert [v.candidate for v in loaded.variants] == [False, True]
    assert [v.origin for v in loaded.variants] == ["", ORIGIN]


def test_what_could_not_be_read_back_is_not_published(root: Path):
    published = publish(root, a_family())
    wrong = tuple(replace(v, origin="[1]") for v in a_family().variants)

    with pytest.raises(ArtifactError, match=r"'origin'.*JSON object"):
        publish(root, replace(a_family(), variants=wrong), "other")

    assert load_family(root / "digits") == published


def test_families_come_in_the_order_of_their_names(root: Path):
    for name in ("zebra", "ant", "mule"):
        publish(root, a_family(name))

    assert list(look_through(root).families) == ["ant", "mule", "zebra"]


def test_hidden_and_unfinished_entries_are_no_families(root: Path):
    publish(root, a_family())
    (root / ".building-x").mkdir()
    (root / ".building-x" / "family.toml").write_text("half = ")
    (root / "begun").mkdir()
    (root / "begun" / ".new-123").write_text("half")

    assert list(look_through(root).families) == ["digits"]


def test_publishing_again_replaces_the_family_and_spares_its_last_artefacts(root: Path):
    first, second = (publish(root, a_family(), content) for content in ("one", "two"))
    present = {p.name for p in (root / "digits").iterdir()} - {LOCK, LEDGER}
    third = publish(root, a_family(), "three")

    assert present == {"family.toml"} | {v.artifact for v in (*first.variants, *second.variants)}
    assert load_family(root / "digits") == third
    assert not (root / "digits" / first.variants[0].artifact).exists()


def test_a_failed_publication_leaves_the_old_family(root: Path):
    published = publish(root, a_family())

    with pytest.raises(OSError, match="nowhere"):
        publish_family(root, a_family(), {v.name: Path("nowhere") for v in a_family().variants})

    assert load_family(root / "digits") == published


def test_publishing_needs_a_file_for_every_variant(root: Path):
    with pytest.raises(ArtifactError, match=r"digits.*net-int8"):
        publish_family(root, a_family(), {"net-fp32": Path("x")})


@pytest.mark.parametrize("name", ["../elsewhere", "a b", ""])
def test_a_family_without_a_plain_name_is_refused_and_leaves_no_folder(root: Path, name: str):
    with pytest.raises(ArtifactError, match="must have a plain name"):
        publish(root, a_family(name))

    assert not root.exists()
    assert not (root.parent / "elsewhere").exists()


def test_a_damaged_artefact_is_named(root: Path):
    variant = publish(root, a_family()).variants[1]
    (root / "digits" / variant.artifact).write_text("weights of net-int9")

    with pytest.raises(ArtifactError, match=rf"{variant.artifact}.*net-int8.*damaged.*build"):
        load_family(root / "digits")
    assert load_family(root / "digits", verify=False).name == "digits"


def test_a_missing_artefact_is_named_even_without_verification(root: Path):
    variant = publish(root, a_family()).variants[0]
    (root / "digits" / variant.artifact).unlink()

    with pytest.raises(ArtifactError, match=rf"{variant.artifact}.*missing"):
        load_family(root / "digits", verify=False)


def test_missing_labels_are_named(root: Path):
    publish(root, a_family(labels=("cat",)))
    next((root / "digits").glob("labels-*.txt")).unlink()

    with pytest.raises(ArtifactError, match=r"labels-.*cannot be read"):
        load_family(root / "digits")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("max_batch = 16", "max_batch = 0", "'max_batch'.*>= 1"),
        ("max_batch = 16", "max_batch = 16\ncolour = 1", "'colour' is unknown"),
        ("max_batch = 16", "max_batch = ", "no TOML"),
        ("latency_ms = 25.0", "latency_ms = true", "slo.*'latency_ms'.*number"),
        ("latency_ms = 25.0", "", "slo.*'latency_ms'.*missing"),
        ("value = 0.75", "value = 75", "'value'.*within"),
        ('datatype = "FP32"', 'datatype = "F32"', "inputs.*'datatype'.*FP64"),
        ("shape = [-1, 4]", "shape = [4]", "'shape'.*-1"),
        ("shape = [-1, 4]", "shape = [-1, -1]", "'shape'"),
        ('artifact = "', 'artifact = "../', r"variants\[0\].*'artifact'.*plain name"),
        ('sha256 = "', 'sha256 = "0', "'sha256'.*64"),
        ('sha256 = "', 'candidate = 1\nsha256 = "', "'candidate'.*true or false"),
        ('sha256 = "', 'origin = "{"\nsha256 = "', "'origin'.*JSON object"),
        ('name = "net-int8"', 'name = "net-fp32"', "'variants'.*more than once"),
        ('name = "digits"', 'name = "letters"', "'name'.*letters.*digits"),
        ('name = "digits"', 'name = "digits"\nlabels = 3', "'labels'"),
        ('name = "digits"', 'name = "digits"\nlabels = "../secret"', "'labels'.*beside"),
        ("[slo]", "[[slo]]", "slo must be a table"),
    ],
)
def test_a_mistake_in_the_manifest_is_named_by_file_and_key(
    root: Path, old: str, new: str, complaint: str
):
    publish(root, a_family())
    manifest = root / "digits" / "family.toml"
    manifest.write_text(manifest.read_text().replace(old, new, 1))

    with pytest.raises(ArtifactError, match=rf"(?s)family\.toml.*{complaint}"):
        load_family(root / "digits")


def test_a_sha256_may_be_written_in_capital_letters(root: Path):
    known = publish(root, a_family()).variants[0].sha256
    manifest = root / "digits" / "family.toml"
    manifest.write_text(manifest.read_text().replace(known, known.upper()))

    assert load_family(root / "digits").variants[0].sha256 == known


def test_text_is_said_to_be_given_otherwise(root: Path):
    publish(root, a_family())
    manifest = root / "digits" / "family.toml"
    manifest.write_text(manifest.read_text().replace('"FP32"', '"BYTES"', 1))

    with pytest.raises(ArtifactError, match="text and encoded pictures are given by"):
        load_family(root / "digits")


@pytest.mark.parametrize(
    ("labels", "shape", "told"),
    [
        (2, (-1, 10), True),
        (10, (-1, 10), False),
        (0, (-1, 10), False),
        (2, (-1, 1), False),
        (2, (-1, 9, 4), False),
    ],
)
def test_labels_that_are_not_as_many_as_the_scores_are_doubted_when_verified(
    root: Path, capsys: pytest.CaptureFixture[str], labels: int, shape: tuple[int, ...], told: bool
):
    names = tuple(f"class {i}" for i in range(labels))
    publish(root, replace(a_family(labels=names), outputs=(TensorSpec("y", "FP32", shape),)))

    assert main(["verify", "--repository", str(root)]) == 0
    said = "key 'labels' has 2 labels, output 'y' [-1, 10] has 10 values a row"
    assert (said in capsys.readouterr().err) is told


def test_a_missing_repository_says_how_to_make_one(root: Path):
    with pytest.raises(ArtifactError, match="gearshift models build"):
        look_through(root)


def test_the_environment_chooses_the_repository(monkeypatch: pytest.MonkeyPatch):
    for name in ("GEARSHIFT_REPOSITORY", "GEARSHIFT__MODELS__REPOSITORY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/cache")
    assert default_repository() == Path("/cache/gearshift/models")

    monkeypatch.setenv("GEARSHIFT_REPOSITORY", "/elsewhere")
    assert default_repository() == Path("/elsewhere")

    monkeypatch.setenv("GEARSHIFT__MODELS__REPOSITORY", "/here")
    assert default_repository() == Path("/here")
