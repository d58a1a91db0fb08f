"""Rows of plain requests, where the native front has them."""

from collections.abc import Sequence
from typing import Self, final

import numpy as np
from numpy.typing import NDArray

from models.catalog import TensorSpec
from server.rpc.transport.native._core import Exchange, gather
from server.runtime.dispatch.jobs import Arrays, Rows


@final
class NativeRows(Rows):
    """A plain request's inputs, where the front has them."""

    __slots__ = ("_exchange", "_inputs")

    def __init__(self, exchange: Exchange, inputs: tuple[TensorSpec, ...]) -> None:
        self._exchange, self._inputs = exchange, inputs

    def arrays(self) -> Arrays:
        """Every input's rows, not to be written to."""
        rows = self._exchange.rows
        return {
            spec.name: _array(self._exchange.raw(i), spec, rows)
            for i, spec in enumerate(self._inputs)
        }

    @classmethod
    def gather(cls, parts: Sequence[Self], into: Arrays) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - Self is final
        """Copy the rows of all, one after the other."""
        gather([part._exchange for part in parts], list(into.values()))  # noqa: SLF001 - of its own kind


def _array(raw: object, spec: TensorSpec, rows: int) -> NDArray[np.generic]:
    array = np.frombuffer(raw, spec.dtype)  # pyright: ignore[reportArgumentType, reportCallIssue] - a buffer
    if not array.flags.aligned:
        array = array.copy()
    return array.reshape(rows, *spec.shape[1:])
