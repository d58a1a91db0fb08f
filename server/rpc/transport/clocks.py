"""Moments on time.monotonic's clock, which ours are on, and on the one of gRPC's core."""

import time


def wall(at_s: float) -> float:
    """A moment on the monotonic clock as the core's clock has it."""
    return time.time() + (at_s - time.monotonic())


def monotonic(deadline_unix_s: float | None) -> float | None:
    """A wall-clock deadline on the monotonic clock; None and the core's 'infinite future' mean none."""
    if deadline_unix_s is None or deadline_unix_s > 1e11:
        return None
    return time.monotonic() + (deadline_unix_s - time.time())
