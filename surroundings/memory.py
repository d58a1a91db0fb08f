"""How the C library keeps memory that has been freed."""

import ctypes
import os

_M_ARENA_MAX = -8  # of glibc's malloc.h


def share_one_arena() -> None:
    """Keep what is freed where every thread finds it, unless the user has set MALLOC_ARENA_MAX. glibc only.

    glibc gives threads arenas of their own, and what is freed in one stays for its threads. gRPC's core receives each
    large message on whichever of its threads is free: each arena then keeps the largest that it has ever seen. Call it
    before threads start.
    """
    if "MALLOC_ARENA_MAX" not in os.environ:
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, 1)
