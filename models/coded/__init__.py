"""Inputs that clients may give in coded form, as bytes: text becomes token ids, an encoded picture becomes pixels."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray


class Undecodable(Exception):
    """What a client gave is none of the kind, or too much; the message says what and where."""


class Decoder(Protocol):
    """Makes a family's inputs of rows of bytes. Any thread, several at once."""

    def decode(self, rows: Sequence[bytes]) -> Mapping[str, NDArray[Any]]:
        """Each of the family's inputs that it makes, with a row for each of `rows`. Raises Undecodable."""
        ...
