"""Runs what may never return: a call of a runtime cannot be cancelled, but nobody else need hang with it."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

from models.backends.base import BackendError

T = TypeVar("T")


def within(limit_s: float, call: Callable[[], T], what: str) -> T:
    """What `call` returns or raises. Raises BackendError where it does not come back within `limit_s`.

    Its thread then stays until it does; what it uses must only be let go, not closed.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is waited for
            done.set_exception(error)

    threading.Thread(target=run, name="guarded", daemon=True).start()
    try:
        return done.result(limit_s)
    except TimeoutError:
        if done.done():
            raise
        raise BackendError(f"{what} did not come back within {limit_s:.1f} s") from None
