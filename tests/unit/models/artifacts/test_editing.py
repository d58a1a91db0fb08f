"""Manifests written by hand: what a publication changes is changed, all else stays as somebody wrote it."""

import hashlib
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from models.artifacts import (
    add_variants,
    load_family,
    publish_family,
    remove_variants,
    replace_variants,
)
from models.artifacts.editing import edited
from models.artifacts.manifest import parse
from models.catalog import Accuracy, Variant

PLAIN = """\
# The family of our own photographs.
# Ask Ann before you change the SLO.
name = "own"   # as clients call it
description = \"\"\"
Two lines, and what looks like a table:
[[variants]]
name = "none"
\"\"\"
max_batch=8

[slo]  # agreed in May
latency_ms = 50          # ms, as an integer
percentile = 0.95

# --- what goes in and out ---
[[inputs]]
name = 'x'
datatype = "FP32"
shape = [
    -1,  # rows
    4,
]

[[outputs]]
name = "y"
datatype = "FP32"
shape = [-1, 2]

# --- variants, the largest first ---

# The large one. [[variants]] are measured on the test split.
[[variants]]
name = "large"
precision = "fp32"
artifact = "large.onnx"
sha256 = "SUM"
candidate = false   # not any more
[variants.accuracy]
source = "own test split"  # 5,000 rows
value = 0.9

# The small one.
[[variants]]
name = "small"  # for the rush
precision = "fp32"
artifact = "small.onnx"
sha256 = "SUM"
accuracy = { value = 0.8, source = "own test split" }  # guessed

# The end.
"""

INLINE = """\
inputs = [ { name = "x", datatype = "FP32", shape = [-1, 4] } ] # one
outputs = [{name="y",datatype="FP32",shape=[-1,2]}]
slo.latency_ms = 50
variants = [
{ name = "large", precision = "fp32", artifact = "large.onnx", sha256 = "SUM", accuracy = {value=0.9,source="a"} },
{ name = "small", precision = "fp32", artifact = "small.onnx", sha256 = "SUM", accuracy = {value=0.8,source="b"} },
]
# last, its name
name = "own"
"""

DOTTED = """\
name = "own"
[[variants]] # first of all
name = "large"
precision = "fp32"
artifact = "large.onnx"
sha256 = "SUM"
accuracy.value = 0.9 # measured
accuracy.source = 'a'
[slo]
latency_ms = 5e1
[[variants]]
name = "small"
precision = "fp32"
artifact = "small.onnx"
sha256 = "SUM"
"accuracy" . value = 0.8
accuracy.source = "b"
[[inputs]]
name = "x"
datatype = "FP32"
shape = [-1, 4]
[[outputs]]
name = "y"
datatype = "FP32"
shape = [-1, 2] # no line end after this"""

SPREAD = """\
name = "own"
slo = { latency_ms = 50 } # agreed
inputs = [ # what goes in
  { name = "x", datatype = "FP32", shape = [-1, 4] }, # pixels
]
outputs = [{ name = "y", datatype = "FP32", shape = [-1, 2] }]
variants = [
  # the good one
  {name="large",precision="fp32",artifact="large.onnx",sha256="SUM",accuracy={value=0.9,source="a"}}, # slow
  # for the rush
  {name="small",precision="fp32",artifact="small.onnx",sha256="SUM",accuracy={value=0.8,source="b"}} # quick
  # no more than two
] # all
"""

STYLES = {
    "plain": PLAIN,
    "inline": INLINE,
    "spread": SPREAD,
    "dotted": DOTTED.rstrip("\n"),
    "crlf": PLAIN.replace("\n", "\r\n"),
    "marked": "\ufeff" + PLAIN,
}
CONTENT = b"a network"


@pytest.fixture(params=STYLES)
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(tmp_path, STYLES[request.param])


def written(tmp_path: Path, text: str) -> Path:
    """A family's folder as a user makes it, the manifest in that style."""
    folder = tmp_path / "models" / "own"
    folder.mkdir(parents=True)
    for name in ("large", "small"):
        (folder / f"{name}.onnx").write_bytes(CONTENT)
    digest = hashlib.sha256(CONTENT).hexdigest()
    (folder / "family.toml").write_bytes(text.replace("SUM", digest).encode())
    return folder


def text_of(folder: Path) -> str:
    return (folder / "family.toml").read_bytes().decode()


def a_variant(name: str, value: float = 0.7) -> Variant:
    return Variant(name, "int8", "", "", Accuracy(value, 'measured\n"here"', 40, 0.05), True, "{}")


def a_file(folder: Path, content: str = "new") -> Path:
    path = folder.parent.parent / "new.onnx"
    path.write_text(content)
    return path


def test_an_added_variant_leaves_every_line_as_it_was(folder: Path):
    before = text_of(folder)

    after = add_variants(folder.parent, "own", [a_variant("new")], {"new": a_file(folder)})

    assert load_family(folder) == after
    assert [v.name for v in after.variants] == ["large", "small", "new"]
    if "[[variants]]" in before:
        left = iter(text_of(folder).splitlines())
        assert all(line in left for line in before.splitlines() if line.strip())
    assert comments(before) <= comments(text_of(folder))


def comments(text: str) -> set[str]:
    return {line.partition("#")[2] for line in text.splitlines() if "#" in line}


def test_a_replaced_variant_keeps_its_place_and_its_comments(folder: Path):
    before = text_of(folder)

    after = replace_variants(
        folder.parent, "own", [a_variant("large", 0.75)], {"large": a_file(folder)}
    )

    assert load_family(folder) == after
    assert [v.name for v in after.variants] == ["large", "small"]
    assert comments(before) <= comments(text_of(folder))


def test_a_removed_variant_takes_only_its_own_lines_with_it(folder: Path):
    before = text_of(folder)

    after = remove_variants(folder.parent, "own", ["large"])

    assert load_family(folder) == after
    assert [v.name for v in after.variants] == ["small"]
    own = (
        " The large one. [[variants]]",
        " 5,000 rows",
        " first of all",
        " measured",
        " not any more",
    )
    assert {c for c in comments(before) if not c.startswith(own)} <= comments(text_of(folder))


def test_what_is_added_and_removed_again_leaves_the_text_as_it_was(tmp_path: Path):
    folder = written(tmp_path, PLAIN)
    before = text_of(folder)

    add_variants(folder.parent, "own", [a_variant("new")], {"new": a_file(folder)})
    remove_variants(folder.parent, "own", ["new"])

    assert text_of(folder).rstrip() == before.rstrip()


def test_a_family_published_anew_keeps_what_does_not_change(folder: Path):
    present = load_family(folder)
    before = text_of(folder)
    files = {v.name: a_file(folder) for v in present.variants}

    after = publish_family(folder.parent, present, files)

    assert load_family(folder) == after
    assert comments(before) <= comments(text_of(folder))


def test_a_family_published_with_other_variants_and_labels_says_so(folder: Path):
    present = load_family(folder)
    wanted = replace(present, variants=(a_variant("b"), a_variant("a")), labels=("no", "yes"))

    after = publish_family(folder.parent, wanted, {"a": a_file(folder), "b": a_file(folder)})

    assert load_family(folder) == after
    assert [v.name for v in after.variants] == ["b", "a"]


@pytest.mark.parametrize("style", ["plain", "crlf", "marked"])
def test_line_ends_and_a_byte_order_mark_stay(tmp_path: Path, style: str):
    folder = written(tmp_path, STYLES[style])

    add_variants(folder.parent, "own", [a_variant("new")], {"new": a_file(folder)})

    text = text_of(folder)
    assert text.startswith("\ufeff") == (style == "marked")
    assert text.count("\r\n") == (text.count("\n") if style == "crlf" else 0)


def test_labels_in_a_file_of_the_users_stay_there(tmp_path: Path):
    folder = written(tmp_path, PLAIN.replace("max_batch=8", 'labels = "classes.txt" # ours'))
    (folder / "classes.txt").write_text("no\nyes\n")

    after = add_variants(folder.parent, "own", [a_variant("new")], {"new": a_file(folder)})

    assert after.labels == ("no", "yes")
    assert 'labels = "classes.txt" # ours' in text_of(folder)
    assert not list(folder.glob("labels-*"))


def test_a_damaged_manifest_is_kept_beside_the_one_that_replaces_it(tmp_path: Path):
    folder = written(tmp_path, PLAIN)
    family = load_family(folder)
    broken = text_of(folder).replace("percentile = 0.95", "percentile = ")
    (folder / "family.toml").write_text(broken)

    publish_family(folder.parent, family, {v.name: a_file(folder) for v in family.variants})

    (aside,) = folder.glob("family.toml.old-*")
    assert aside.read_text() == broken
    assert [v.name for v in load_family(folder).variants] == ["large", "small"]


@pytest.mark.parametrize(
    ("text", "after", "wanted"),
    [
        ("a = 1 # one\n", {"a": 2}, "a = 2 # one\n"),
        ("a = 1", {"a": 1, "b": "x"}, 'a = 1\nb = "x"\n'),
        ("a = 1\n\n[t]\nb = 2\n", {"a": 1, "c": 3, "t": {"b": 2}}, "a = 1\nc = 3\n\n[t]\nb = 2\n"),
        ("a = 1\nb = 2 # two\n", {"a": 1}, "a = 1\n"),
        ("t = { a = 1, b = 2 } # t\n", {"t": {"a": 1, "b": 3}}, "t = { a = 1, b = 3 } # t\n"),
        ("t.a = 1\n", {"t": {"a": 1, "b": 2}}, "t.a = 1\nt.b = 2\n"),
        ("[t]\na = 1\n", {"t": {"a": 1, "u": {"b": 2}}}, None),
        ('a = "#" # one\n', {"a": "#2"}, 'a = "#2" # one\n'),
        ("a = '''x\n# no\n''' # one\n", {"a": 1}, "a = 1 # one\n"),
        ('"odd key" = 1\n', {"odd key": 2}, '"odd key" = 2\n'),
        ("[[l]]\nname = 1\n[[l]]\nname = 2\n", {"l": [{"name": 2}, {"name": 1}]}, None),
        ("a = 1\n", {"a": 1, "l": [{"name": "x", "data": [{"file": "f"}]}]}, None),
        ("l = []\n", {"l": [{"name": "x"}]}, None),
        ("[[l]]\nname = 1\n# about two\n[[l]]\nname = 2\n", {"l": [{"name": 2}]}, None),
        ("[[l]]\nname = 1\n", {}, ""),
        ("a = [ # one\n 1, # b\n 2] # c\n", {"a": [1, 3]}, "a = [ # one\n 1, # b\n 3] # c\n"),
        ("a = [ 1, # b\n]\n", {"a": [1, 2]}, "a = [ 1, # b\n2,\n]\n"),
        ("a = [\n  1 # b\n]\n", {"a": [1, 2]}, "a = [\n  1, # b\n  2\n]\n"),
        ("a = [\n  1, # b\n  2, # c\n]\n", {"a": [1]}, "a = [\n  1, # b\n   # c\n]\n"),
        ("a = [\n  1, # b\n] # c\n", {"a": "x"}, '# b\na = "x" # c\n'),
        ('a = ["#", # b\n"]"]\n', {"a": ["#", "["]}, 'a = ["#", # b\n"["]\n'),
        ('a = [{name="x"}, # x\n]\n', {"a": [{"name": "y"}, {"name": "x"}]}, None),
    ],
)
def test_small_changes(text: str, after: dict[str, object], wanted: str | None):
    made = edited(text, tomllib.loads(text), after)

    assert tomllib.loads(made) == after
    assert wanted is None or made == wanted
    assert ("# about two" in text) == ("# about two" in made)


def test_what_is_alike_before_and_after_is_not_touched():
    text = PLAIN.replace("SUM", "0" * 64)
    content = tomllib.loads(text)
    assert parse(text, "here").family.name == "own"

    assert edited(text, content, content) == text
