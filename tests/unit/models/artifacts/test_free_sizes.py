"""A manifest with sizes that requests choose."""

import pytest

from models.artifacts.manifest import parse, render
from models.artifacts.tables import ArtifactError
from models.catalog import FreeSize

TEXT = """
name = "text"
{top}
[slo]
latency_ms = 50
[[inputs]]
name = "ids"
datatype = "INT64"
shape = {ids}
[[outputs]]
name = "y"
datatype = "FP32"
shape = {y}
{sizes}
[[variants]]
name = "only"
precision = "fp32"
artifact = "a.onnx"
sha256 = "{sha}"
accuracy = {{ value = 0.5, source = "made up" }}
"""
TOKENS = '[[sizes]]\nname = "tokens"\ntypical = 32\nmost = 512\n'


def manifest(
    ids: str = '[-1, "tokens"]', y: str = '[-1, "tokens", 8]', sizes: str = TOKENS, top: str = ""
) -> str:
    return TEXT.format(ids=ids, y=y, sizes=sizes, top=top, sha="0" * 64)


def test_free_sizes_are_read_and_written_as_they_are():
    family = parse(manifest(), "here").family

    assert family.sizes == (FreeSize("tokens", 32, 512),)
    assert [(s.shape, s.sizes) for s in family.inputs] == [((-1, -1), ("tokens",))]
    assert [(s.shape, s.sizes) for s in family.outputs] == [((-1, -1, 8), ("tokens",))]
    assert parse(render(family), "here").family == family


def test_outputs_may_be_of_sizes_that_follow_from_a_row():
    family = parse(manifest(y='[-1, "", 6]'), "here").family

    assert (family.outputs[0].shape, family.outputs[0].sizes) == ((-1, -1, 6), ("",))
    assert parse(render(family), "here").family == family


def test_a_family_of_one_row_says_so():
    family = parse(manifest(top="one_row = true\nmax_batch = 1"), "here").family

    assert family.one_row
    assert parse(render(family), "here").family == family


def test_most_is_what_is_typical_where_it_is_not_given():
    sizes = TOKENS.replace("most = 512\n", "")

    assert parse(manifest(sizes=sizes), "here").family.sizes == (FreeSize("tokens", 32, 32),)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (manifest(sizes=""), "lacks tokens"),
        (manifest(ids='[-1, ""]'), 'lacks ""'),
        (manifest(ids="[-1, 4]", y="[-1, 4]"), "names tokens, which is in no input's shape"),
        (manifest(sizes=TOKENS.replace("512", "31")), "below the typical size"),
        (manifest(sizes=TOKENS.replace("32", "0")), "whole number >= 1"),
        (manifest(sizes=TOKENS + TOKENS), "more than once"),
        (manifest(ids='["tokens", 4]'), "must be \\[-1, then"),
        (manifest(ids="[-1, -1]"), "must be \\[-1, then"),
        (manifest(ids="[-1, 2.5]"), "must be \\[-1, then"),
        (manifest(top="one_row = true"), "must be 1 where one_row is true"),
    ],
)
def test_what_cannot_be_meant_is_refused(text: str, why: str):
    with pytest.raises(ArtifactError, match=why):
        parse(text, "here")
