"""The family `sentences` as it is published, the text it is calibrated with, and when it is there already."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers, processors

from models.artifacts import update_family
from models.artifacts.samples import SAMPLES
from models.build.embedded import EMBEDDED, Embedded, is_current
from models.build.errors import BuildError
from models.build.sentences.corpus import read_tokenizer, row_of, running_text, sentences_of
from models.build.sentences.family import AGREEMENT, PRECISIONS, TOKENIZER, sentences

RESULTS = Path(__file__).parents[5] / "benchmarks" / "results" / "sentences.json"
TEXT = """
Title of it
-----------

The first sentence is long enough to count. The second one, which
goes on in the next line, is as well. Short. Not a sentence without its end

- A list has items that look like sentences but are none.
    Indented code looks like a sentence, too, but is none of them.

The first sentence is long enough to count.
"""


def a_tokenizer() -> bytes:
    """One of few words that puts marks around a text, and fills and cuts as published ones do."""
    words = {"[CLS]": 1, "[SEP]": 2, "[UNK]": 3, "a": 4, "b": 5, "c": 6, "[PAD]": 0}
    made = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    made.post_processor = processors.BertProcessing(("[SEP]", 2), ("[CLS]", 1))
    made.enable_padding(length=8)
    made.enable_truncation(8)
    return made.to_str().encode()


def test_sentences_are_taken_from_running_text_once_each():
    assert sentences_of([TEXT, TEXT]) == [
        "The first sentence is long enough to count.",
        "The second one, which goes on in the next line, is as well.",
    ]


def test_rows_are_as_long_as_their_text_and_no_longer_than_the_most():
    tokenizer = read_tokenizer(a_tokenizer(), most=6)

    short, long = row_of(tokenizer, "a b"), row_of(tokenizer, "a b c a b c a b c")

    np.testing.assert_array_equal(short["input_ids"], [[1, 4, 5, 2]])
    np.testing.assert_array_equal(short["attention_mask"], np.ones((1, 4)))
    assert long["input_ids"].shape == (1, 6)
    assert long["input_ids"].dtype == np.int64


def test_running_text_fills_rows_from_different_sentences():
    tokenizer = read_tokenizer(a_tokenizer(), most=6)

    rows = running_text(tokenizer, ["a b", "c"], rows=2, tokens=7)

    np.testing.assert_array_equal(rows["input_ids"], [[1, 4, 5, 6, 4, 5, 2], [1, 6, 4, 5, 6, 4, 2]])
    assert rows["attention_mask"].all()
    assert not rows["token_type_ids"].any()


def test_a_damaged_tokenizer_is_refused_in_one_line():
    with pytest.raises(BuildError, match="the tokenizer cannot be read") as caught:
        read_tokenizer(b'{"version": ', most=6)

    assert "\n" not in str(caught.value)


def test_the_family_says_what_was_measured():
    rows = {row["precision"]: row for row in json.loads(RESULTS.read_text())}

    assert {p for p, row in rows.items() if row["published"]} == set(PRECISIONS)
    for precision, known in AGREEMENT.items():
        measured = rows[precision]
        assert known.n == measured["n"] >= 500
        assert known.mean == pytest.approx(measured["mean"], abs=1e-4)
        assert known.interval == pytest.approx(measured["interval"], abs=1e-4)


def test_rows_of_unlike_lengths_may_run_together():
    family = sentences()

    assert family.pads
    assert family.outputs[0].shape == (-1, 384)
    assert family.largest_row_units <= family.most_units


@pytest.fixture
def built(tmp_path: Path) -> tuple[Path, Embedded]:
    """A repository with the family, made of other files, and the recipe that they are those of."""
    files = {v.name: tmp_path / v.name for v in sentences().variants}
    for path in files.values():
        path.write_text(path.name)
    extras = {TOKENIZER: tmp_path / "words", SAMPLES: tmp_path / "rows"}
    for path in extras.values():
        path.write_text("same")
    same = "0967115f2813a3541eaef77de9d9d5773f1c0c04314b0bbfe4ff3b3b1c55b5d5"
    (coded,) = sentences().coded
    family = replace(sentences(), coded=(replace(coded, sha256=same),))
    update_family(tmp_path / "models", family, files, extras)
    recipe = Embedded(
        lambda: family, EMBEDDED["sentences"].build, 1, "", {TOKENIZER: same, SAMPLES: ""}
    )
    return tmp_path / "models", recipe


def test_a_family_that_is_there_whole_is_current(built: tuple[Path, Embedded]):
    root, recipe = built

    assert is_current(root, recipe)
    (root / "sentences" / SAMPLES).write_text("the operator's own")
    assert is_current(root, recipe)


@pytest.mark.parametrize("name", [TOKENIZER, SAMPLES, "family.toml"])
def test_a_family_that_lacks_a_file_is_not(built: tuple[Path, Embedded], name: str):
    root, recipe = built

    (root / "sentences" / name).unlink()

    assert not is_current(root, recipe)


def test_a_family_with_another_tokenizer_or_artefact_is_not(built: tuple[Path, Embedded]):
    root, recipe = built
    (root / "sentences" / TOKENIZER).write_text("another")

    assert not is_current(root, recipe)

    (root / "sentences" / TOKENIZER).write_text("same")
    next((root / "sentences").glob("*int8*")).write_text("damaged")
    assert not is_current(root, recipe)
