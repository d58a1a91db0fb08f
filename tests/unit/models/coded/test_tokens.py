"""Texts become what their tokeniser says, filled up as the inputs say; nothing is cut in silence."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from models.catalog import TensorSpec
from models.coded import Undecodable
from models.coded.tokens import Tokens
from tests.support.adding.wording import FAMILY, IDS, MASK, MOST, tokenizer


@pytest.fixture
def file(tmp_path: Path) -> Path:
    tokenizer().save(str(tmp_path / "tokenizer.json"))
    return tmp_path / "tokenizer.json"


def test_texts_of_unlike_length_are_filled_up(file: Path):
    made = Tokens(file, FAMILY).decode([b"the cat sat", b"a dog on the mat"])

    assert made["input_ids"].tolist() == [[2, 9, 5, 7, 3, 0, 0], [2, 4, 6, 8, 9, 10, 3]]
    assert made["attention_mask"].tolist() == [[1, 1, 1, 1, 1, 0, 0], [1] * 7]
    assert {array.dtype for array in made.values()} == {np.dtype(np.int64)}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([b"cat " * (MOST - 1)], f"{MOST} tokens are the most a text may have; row 0 has 13"),
        ([b"cat", b"\xff\xfe"], "row 1 is no UTF-8 text"),
    ],
)
def test_what_is_no_text_or_too_long_is_refused(file: Path, texts: list[bytes], words: str):
    with pytest.raises(Undecodable, match=words):
        Tokens(file, FAMILY).decode(texts)


def test_texts_that_cannot_be_filled_up_go_one_by_one(file: Path):
    bare = replace(FAMILY, inputs=(replace(IDS, pad=None), replace(MASK, pad=None)))
    tokens = Tokens(file, bare)

    assert tokens.decode([b"cat", b"dog"])["input_ids"].tolist() == [[2, 5, 3], [2, 6, 3]]
    with pytest.raises(Undecodable, match="send each in a request of its own"):
        tokens.decode([b"cat", b"the dog"])


def test_a_family_of_other_inputs_is_refused(file: Path):
    other = replace(FAMILY, inputs=(TensorSpec("x", "FP32", (-1, 4)),), sizes=())
    with pytest.raises(ValueError, match=r"text is made into input_ids.* has \['x'\]"):
        Tokens(file, other)


@pytest.mark.parametrize("content", [b"", b"{}", b"\x00\x01", b'{"model": 3}'])
def test_a_file_that_is_no_tokeniser_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"tokenizer\.json is no tokenizer\.json"):
        Tokens(path, FAMILY)


FIXED = replace(
    FAMILY,
    inputs=tuple(TensorSpec(s.name, "INT64", (-1, MOST)) for s in (IDS, MASK)),
    sizes=(),
)


def test_a_family_of_one_length_has_texts_filled_up_to_it(file: Path):
    made = Tokens(file, FIXED).decode([b"the cat", b"mat"])

    assert made["input_ids"].tolist() == [[2, 9, 5, 3, *[0] * 8], [2, 10, 3, *[0] * 9]]
    assert made["attention_mask"].sum(axis=1).tolist() == [4, 3]


def test_without_a_mask_texts_must_have_that_length(file: Path):
    bare = replace(FIXED, inputs=FIXED.inputs[:1])
    exact = " ".join(["cat"] * (MOST - 2)).encode()

    assert Tokens(file, bare).decode([exact])["input_ids"].shape == (1, MOST)
    with pytest.raises(Undecodable, match=f"must have {MOST} tokens"):
        Tokens(file, bare).decode([b"cat"])


@pytest.mark.parametrize("texts", [[b""], [b"cat", b"  "]])
def test_a_text_without_tokens_is_refused(tmp_path: Path, texts: list[bytes]):
    bare = tokenizer()
    bare.post_processor = None  # pyright: ignore[reportAttributeAccessIssue] - its stub lacks the setter
    bare.save(str(tmp_path / "bare.json"))
    with pytest.raises(Undecodable, match=f"row {len(texts) - 1} has no tokens"):
        Tokens(tmp_path / "bare.json", FAMILY).decode(texts)


@pytest.mark.parametrize(
    "odd",
    [
        replace(MASK, datatype="FP32"),
        replace(MASK, shape=(-1, 3), sizes=()),
        replace(MASK, shape=(-1, -1, 2)),
    ],
)
def test_inputs_of_other_shapes_are_refused(file: Path, odd: TensorSpec):
    with pytest.raises(ValueError, match="whole numbers, all of one shape"):
        Tokens(file, replace(FAMILY, inputs=(IDS, odd)))
