"""Inputs that clients may give in coded form, as bytes: text becomes token ids, an encoded picture becomes pixels."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from numpy.typing import NDArray


class Undecodable(Exception):
    """What a client gave is none of the kind, or too much; the message says what and where."""


def always() -> bool:
    """Somebody waits for what is decoded."""
    return True


class Decoder(Protocol):
    """Makes a family's inputs of rows of bytes. Any thread, several at once."""

    def decode(
        self, rows: Sequence[bytes], wanted: Callable[[], bool] = always
    ) -> Mapping[str, NDArray[Any]]:
        """Each of the family's inputs, with a row for each of `rows`; given up where it is `wanted` no more.

        Raises Undecodable.
        """
        ...


def check_wanted(wanted: Callable[[], bool]) -> None:
    """Raises Undecodable where nobody waits any more."""
    if not wanted():
        raise Undecodable("its client has left, or its time was up, before it was decoded")
