"""English sentences, as token ids: to calibrate int8 with, and to measure a server's arms with.

The text is scikit-learn's own descriptions of its data sets (BSD-3-Clause), out of its wheel.
"""

import re
from collections.abc import Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.build.errors import BuildError
from models.build.pictures import SCIKIT_LEARN
from models.build.sentences.encoder import INPUTS
from models.build.wheels import fetch, read_member

DESCRIPTIONS: Mapping[str, str] = {
    "breast_cancer": "3c5855182a44d12c91f1fb27388741fb70b4b92ba40fb742dca9b5e404c68f19",
    "california_housing": "0abe9df01cc2c1b1e32998b6d6a48d2ee990a69c08ce3c78cc62096f149411f1",
    "covtype": "0ba0e67338ad8ed9eb3be5e10888bc5aa353d2e3e06273d6358b4ac094f0727e",
    "diabetes": "07dcfc13957a82485bdfce44aecffba72e7977595966d118b81f162cb827e381",
    "digits": "8e7e58d612958f7d9b0de1931ed68b211703eeb239e808f3d82c5f0837cc0222",
    "iris": "71f86749a8bc528d21b7db0f95332e3230d13231a05c2720e537b2c5aa8ef5e9",
    "kddcup99": "a91cf65fc5e6521f0864a8f34f538025de6c8fdd5b068d31a5d715e6b4b6264a",
    "lfw": "f2c8fc0293306431da6e76a4b0be12f961d2d55fa4f9d8af53b0c63c958fec0c",
    "linnerud": "8c323e008b15799653555592894ceda799442f81f6bacf38edb805dc54866f5b",
    "olivetti_faces": "8bc63bfa0e1f38f74bbeea6027c8bfcded69034846a5f0e00283c21af08f1712",
    "rcv1": "98b8f8594eda115a9a260ee181249ef35a08ef82fafe9184091ef63bc744319e",
    "species_distributions": "2fcd1e68b71bf72989399c852e84210f2914f5dc22a2e4454530fefc8aca16c2",
    "twenty_newsgroups": "67979f1b8fa67444f81f8b17802b77ec81cbd3c114cca6e7b9c075f74a3f183f",
    "wine_data": "47872b969a7f6f543f07d268dbe26afb7763c1b40ee6aa414ed79ef72eade9c6",
}
"""Name of a description in the wheel -> the file's sha256."""

Rows = dict[str, NDArray[np.int64]]
"""Input -> token ids, mask or types, [rows, tokens]."""

_PROSE = re.compile(r"[A-Z`(\d]")
"""How a paragraph of running text begins: others are lists, tables, titles and code."""
_ENDS = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_SHORTEST, _LONGEST = 30, 300
"""Characters of what counts as a sentence."""


def calibration_sentences(downloads: Path) -> list[str]:
    """The descriptions' sentences, always the same ones. Raises BuildError."""
    wheel = fetch(SCIKIT_LEARN, downloads)
    texts = [
        read_member(wheel, f"sklearn/datasets/descr/{name}.rst", sha256).decode()
        for name, sha256 in DESCRIPTIONS.items()
    ]
    return sentences_of(texts)


def sentences_of(texts: Sequence[str]) -> list[str]:
    """The sentences in the running text of these documents, each once, in their order."""
    paragraphs = [p for text in texts for p in re.split(r"\n\s*\n", text)]
    lines = [" ".join(p.split()) for p in paragraphs if _PROSE.match(p)]
    found = [s for line in lines for s in _ENDS.split(line)]
    return list(dict.fromkeys(s for s in found if s.endswith(".") and _fits(s)))


def _fits(sentence: str) -> bool:
    return _SHORTEST <= len(sentence) <= _LONGEST


def read_tokenizer(content: bytes, most: int) -> Tokenizer:
    """The tokenizer in the bytes of a `tokenizer.json`: cuts at `most` tokens, fills nothing in. Raises BuildError."""
    try:
        tokenizer = Tokenizer.from_buffer(content)
    except Exception as error:  # the library raises no class of its own
        raise BuildError(f"the tokenizer cannot be read: {error}; download it anew") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(most)
    return tokenizer


def row_of(tokenizer: Tokenizer, text: str) -> Rows:
    """One row of the encoder's inputs, [1, tokens]."""
    found: Any = tokenizer.encode(text)
    return _rows([found.ids], [found.attention_mask], [found.type_ids])


def running_text(tokenizer: Tokenizer, sentences: Sequence[str], rows: int, tokens: int) -> Rows:
    """So many rows of so many tokens, none filled in; each begins at another sentence and goes on with the next."""
    ids: list[list[int]] = [tokenizer.encode(s).ids for s in sentences]
    begin, end = ids[0][:1], ids[0][-1:]
    kept: list[list[int]] = []
    for i in range(rows):
        start = i * len(ids) // rows
        words = (word for sentence in islice(cycle(ids), start, None) for word in sentence[1:-1])
        kept.append([*begin, *islice(words, tokens - 2), *end])
    return _rows(kept, np.ones((rows, tokens)), np.zeros((rows, tokens)))


def _rows(*arrays: Any) -> Rows:
    return {n: np.array(a, np.int64) for n, a in zip(INPUTS, arrays, strict=True)}
