"""Text to token ids, as a Hugging Face `tokenizer.json` says."""

import os
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.catalog import Family, TensorSpec
from models.coded import Undecodable

MADE = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
"""Input of a transformer -> what holds it of an encoded text."""
_SHOWN = 3
"""Rows that an error names."""


class Tokens:
    """A tokeniser; texts of unlike length are filled up as the family's inputs say. Raises ValueError where `file` is
    none, or the family takes other inputs than a transformer's."""

    def __init__(self, file: Path, family: Family) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the cores are the workers'
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(file))
        except Exception as error:  # its errors share no base
            raise ValueError(f"{file} is no tokenizer.json: {error}") from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()  # what is too long is said, never cut in silence
        odd = [spec.name for spec in family.inputs if spec.name not in MADE]
        if odd or not any(spec.name == "input_ids" for spec in family.inputs):
            known = ", ".join(MADE)
            raise ValueError(
                f"text is made into {known}, and the family {family.name} has {odd or 'no input_ids'}"
            )
        self._specs = family.inputs
        self._most = min(
            (size.most for size in family.sizes), default=family.inputs[0].row_elements
        )
        self._fixed = None if family.sizes else self._most

    def decode(self, rows: Sequence[bytes]) -> Mapping[str, NDArray[Any]]:
        """Token ids and what goes with them, (rows, longest text). Raises Undecodable."""
        encoded = self._tokenizer.encode_batch([_text(row, i) for i, row in enumerate(rows)])
        lengths = [len(one.ids) for one in encoded]
        if long := [(i, n) for i, n in enumerate(lengths) if n > self._most]:
            shown = ", ".join(f"row {i} has {n}" for i, n in long[:_SHOWN])
            raise Undecodable(f"{self._most} tokens are the most a text may have; {shown}")
        if len(set(lengths)) > 1 and any(spec.pad is None for spec in self._specs):
            raise Undecodable(
                f"texts of unlike length ({min(lengths)} to {max(lengths)} tokens) share no request of this model; "
                "send each in a request of its own"
            )
        return {spec.name: self._filled(encoded, spec) for spec in self._specs}

    def _filled(self, encoded: Sequence[Any], spec: TensorSpec) -> NDArray[Any]:
        rows = [getattr(one, MADE[spec.name]) for one in encoded]
        columns = zip_longest(*rows, fillvalue=spec.pad or 0)
        return np.array(list(zip(*columns, strict=True)), spec.dtype)


def _text(row: bytes, index: int) -> str:
    try:
        return row.decode()
    except UnicodeDecodeError as error:
        raise Undecodable(f"row {index} is no UTF-8 text: {error.reason}") from error
