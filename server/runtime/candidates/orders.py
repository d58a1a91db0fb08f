"""What operators want done with candidates: asked on any thread, carried out on the tuner's."""

import threading
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Future

from models.catalog import Family
from server.errors import BadInput, NotReady, UnknownModel
from server.policy.candidates.candidacy import Ordered
from server.texts import shown


class Orders:
    """A queue of (variant, order), each with a future for whoever waits for the outcome."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: deque[tuple[str, Ordered, Future[None]]] = deque()
        self._stopped = False

    def add(self, variant: str, order: Ordered) -> "Future[None]":
        """Have it done. Raises NotReady while stopping."""
        done: Future[None] = Future()
        with self._lock:
            if self._stopped:
                raise NotReady("the server is stopping; ask another replica")
            self._waiting.append((variant, order, done))
        return done

    def obey(self, carry_out: Callable[[str, Ordered], None]) -> None:
        """Carry out all that wait, one after the other; what one raises goes to who gave it."""
        while (one := self._next()) is not None:
            variant, order, done = one
            try:
                carry_out(variant, order)
            except Exception as error:  # noqa: BLE001 - whatever it is, who gave the order is to be told
                done.set_exception(error)
            else:
                done.set_result(None)

    def stop(self) -> None:
        """Take no more; refuse those that wait."""
        with self._lock:
            self._stopped = True
        while (one := self._next()) is not None:
            one[2].set_exception(NotReady("the server stopped before that was done"))

    def _next(self) -> tuple[str, Ordered, "Future[None]"] | None:
        with self._lock:
            return self._waiting.popleft() if self._waiting else None


def check(
    name: str, order: Ordered, published: Family, candidates: Collection[str], serving: Family
) -> None:
    """Raises UnknownModel or BadInput for a variant of which that cannot be asked."""
    if name not in candidates:
        there = ", ".join(candidates) or "none"
        if published.variant(name) is None:
            raise UnknownModel(
                f"model '{published.name}' has no candidate '{shown(name)}'; its candidates: {there}"
            )
        raise BadInput(
            f"variant '{name}' of model '{published.name}' is no candidate: its publisher decides on it, in the "
            f"repository; candidates: {there}"
        )
    if not order.promote and {v.name for v in serving.variants} == {name}:
        raise BadInput(
            f"variant '{name}' is the only one of '{published.name}' that serves; promote another first"
        )
