"""What is known of one family's plain requests: how the native front tells them, and who takes what each asks for."""

from typing import final

import numpy as np

from models.catalog import Family, TensorSpec
from server.engine.plain import Plain, PlainInput
from server.rpc.answer_size import AnswerSize
from server.rpc.transport.native._core import asks

Asked = tuple[float | None, ...]
"""Parameters of a plain request, in the order of the core's `asks`; None where it has not this one."""
Signature = tuple[int, str, list[tuple[str, str, tuple[int, ...], int, int]], list[str], int]
"""As the core is given it."""

_NOTHING, _TRUTH = 0, 4
_FINITE = {2: 1, 4: 2, 8: 3}
"""By the bytes of a float: how the core is told what to refuse in an input."""
_KNOWN = 1024
"""Demands that are remembered. A client may make another with each request."""


@final
class Way:
    """One family's. `asking` is for one thread, the front's."""

    def __init__(self, plain: Plain) -> None:
        self.plain = plain
        """Of requests that ask for nothing."""
        self.inputs: tuple[TensorSpec, ...] = plain.served.family.inputs
        self._known: dict[Asked, Plain] = {}

    def asking(self, asked: Asked) -> Plain:
        """The way in for requests that ask for this. Raises RequestError where nobody may ask for it."""
        found = self._known.get(asked)
        if found is None:
            given = zip(asks, asked, strict=True)
            found = self.plain.asking({name: one for name, one in given if one is not None})
            if len(self._known) >= _KNOWN:
                self._known.clear()
            self._known[asked] = found
        return found

    def signature(self, key: int, most_bytes: int) -> Signature:
        """For the core; `most_bytes`: of a message."""
        family, signature = self.plain.served.family, self.plain.signature
        rows = min(signature.most_rows, AnswerSize(family, most_bytes).most_rows(raw=True))
        inputs = [
            (one.name, one.datatype, one.row_shape, one.row_bytes, _vet(one))
            for one in signature.inputs
        ]
        return key, family.name, inputs, [spec.name for spec in signature.outputs], rows


def has_plain(family: Family) -> bool:
    """Whether its answers are its requests' rows: where each is run by itself, they may be of any length."""
    return not family.one_row and all(spec.datatype != "BYTES" for spec in family.inputs)


def _vet(one: PlainInput) -> int:
    if one.truth:
        return _TRUTH
    elements = max(1, int(np.prod(one.row_shape)))
    return _FINITE[one.row_bytes // elements] if one.finite else _NOTHING
