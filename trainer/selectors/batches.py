"""The queue between selection and training: selected examples go in as they come and come out in full batches. Pure."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from trainer.selectors.base import Ids, Losses, State


class Batches:
    """A queue of examples and their weights in two arrays that grow only when a push does not fit."""

    def __init__(self, size: int) -> None:
        if size < 1:
            raise ValueError(f"a batch needs at least one example, not {size}")
        self.size = size
        self._ids = np.empty(8 * size, np.intp)
        self._weights = np.empty(8 * size, np.float32)
        self._first = self._end = 0

    def __len__(self) -> int:
        return self._end - self._first

    def push(self, ids: Ids, weights: Losses) -> None:
        """Queues these examples, in this order; ValueError if they are not as many as their weights."""
        if len(ids) != len(weights):
            raise ValueError(f"{len(ids)} examples came with {len(weights)} weights")
        if self._end + len(ids) > len(self._ids):
            self._make_room(len(ids))
        self._ids[self._end : self._end + len(ids)] = ids
        self._weights[self._end : self._end + len(ids)] = weights
        self._end += len(ids)

    def pop(self) -> tuple[Ids, Losses] | None:
        """The next `size` examples and their weights; None while fewer wait."""
        if len(self) < self.size:
            return None
        taken = slice(self._first, self._first + self.size)
        self._first += self.size
        return self._ids[taken].copy(), self._weights[taken].copy()

    def state(self) -> State:
        return {
            "ids": self._ids[self._first : self._end].copy(),
            "weights": self._weights[self._first : self._end].copy(),
        }

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        self._first = self._end = 0
        self.push(state["ids"], state["weights"])

    def _make_room(self, more: int) -> None:
        waiting = len(self)
        ids, weights = self._ids, self._weights
        if waiting + more > len(ids):
            room = 2 * (waiting + more)
            self._ids, self._weights = np.empty(room, np.intp), np.empty(room, np.float32)
        self._ids[:waiting] = ids[self._first : self._end]
        self._weights[:waiting] = weights[self._first : self._end]
        self._first, self._end = 0, waiting
