"""Memory that was let go, given back to the system: the C library keeps what libraries free while they load."""

import ctypes
from collections.abc import Callable
from functools import cache


def give_back() -> None:
    """Hand free memory of the C library's heap back to the system; nothing where it is none that can (glibc can)."""
    _trim()(0)


@cache
def _trim() -> Callable[[int], object]:
    try:
        return ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return lambda _pad: 0
