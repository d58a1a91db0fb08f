"""Text to token ids, as a Hugging Face `tokenizer.json` says."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from models.catalog import Family, TensorSpec
from models.coded import Undecodable, always, check_wanted

MADE = {"input_ids": "ids", "attention_mask": "attention_mask", "token_type_ids": "type_ids"}
"""Input of a transformer -> what holds it of an encoded text."""
LEFT_OUT = {"attention_mask": 1.0, "token_type_ids": 0.0}
"""Inputs that a request may leave out, and what they are then full of: all is looked at, and is one text."""
_SHOWN = 3
"""Rows that an error names."""


class Tokens:
    """A tokeniser; texts are filled up as the inputs say, or to the one length that they take, hidden by the mask.

    Raises ValueError where `file` is none, or the family takes other inputs than a transformer's.
    """

    def __init__(self, file: Path, family: Family) -> None:
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")  # the cores are the workers'
        try:
            self._tokenizer: Any = Tokenizer.from_file(str(file))
        except Exception as error:  # its errors share no base
            raise ValueError(f"{file} is no tokenizer.json: {error}") from error
        padding: Any = self._tokenizer.padding
        self._pad_id = int(padding["pad_id"]) if padding else 0
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()  # what is too long is said, never cut in silence
        self._specs = family.inputs
        _check_inputs(family)
        (dim,) = {spec.shape[1] for spec in family.inputs}
        self._fixed = dim if dim > 0 else None
        self._most = dim if dim > 0 else min(size.most for size in family.sizes)
        masked = any(spec.name == "attention_mask" for spec in family.inputs)
        self._fills = masked if self._fixed else all(s.pad is not None for s in family.inputs)

    def decode(
        self, rows: Sequence[bytes], wanted: Callable[[], bool] = always
    ) -> Mapping[str, NDArray[Any]]:
        """Token ids and what goes with them, (rows, longest text or the fixed length). Raises Undecodable."""
        check_wanted(wanted)
        encoded = self._tokenizer.encode_batch([_text(row, i) for i, row in enumerate(rows)])
        lengths = [len(one.ids) for one in encoded]
        self._check(lengths)
        length = self._fixed or max(lengths)
        return {spec.name: self._filled(encoded, spec, length) for spec in self._specs}

    def _check(self, lengths: Sequence[int]) -> None:
        if 0 in lengths:
            raise Undecodable(f"row {lengths.index(0)} has no tokens")
        if long := [(i, n) for i, n in enumerate(lengths) if n > self._most]:
            shown = ", ".join(f"row {i} has {n}" for i, n in long[:_SHOWN])
            raise Undecodable(f"{self._most} tokens are the most a text may have; {shown}")
        if self._fills or set(lengths) == {self._fixed or lengths[0]}:
            return
        if self._fixed:
            raise Undecodable(
                f"a text must have {self._fixed} tokens, as this model has no attention_mask that hides what is "
                f"filled up; these have {min(lengths)} to {max(lengths)}"
            )
        raise Undecodable(
            f"texts of unlike length ({min(lengths)} to {max(lengths)} tokens) share no request of this model; "
            "send each in a request of its own"
        )

    def _filled(self, encoded: Sequence[Any], spec: TensorSpec, length: int) -> NDArray[Any]:
        fill = self._pad_id if self._fixed and spec.name == "input_ids" else spec.pad or 0
        table = np.full((len(encoded), length), fill, spec.dtype)
        for row, one in zip(table, encoded, strict=True):
            values = getattr(one, MADE[spec.name])
            row[: len(values)] = values
        return table


def _check_inputs(family: Family) -> None:
    names = [spec.name for spec in family.inputs]
    odd = [name for name in names if name not in MADE]
    if odd or "input_ids" not in names:
        known = ", ".join(MADE)
        raise ValueError(
            f"text is made into {known}, and the family {family.name} has {odd or 'no input_ids'}"
        )
    if len({(spec.shape, spec.sizes) for spec in family.inputs}) > 1 or any(
        len(spec.shape) != 2 or spec.is_float for spec in family.inputs
    ):
        raise ValueError(
            f"text is made into inputs of whole numbers, all of one shape [-1, tokens]; those of {family.name} are not"
        )


def _text(row: bytes, index: int) -> str:
    try:
        return row.decode()
    except UnicodeDecodeError as error:
        raise Undecodable(f"row {index} is no UTF-8 text: {error.reason}") from error
