"""File descriptors: every connection takes one, and what is left must do for the rest of the server."""

import logging
import resource
from contextlib import suppress

_log = logging.getLogger(__name__)

RESERVE = 128
"""For models, logs, the operators' port and whatever else the server opens."""
_LEAST = 16


def connections(wanted: int, besides: int = 0) -> int:
    """How many clients may be connected: as many as wanted, or as the process's limit allows, which is raised first.

    `besides`: what is kept back beyond RESERVE.
    """
    reserve = RESERVE + besides
    limit = _raised(wanted + reserve)
    allowed = max(_LEAST, limit - reserve)
    if allowed >= wanted:
        return wanted
    _log.warning(
        "only %d clients may be connected, not %d: the limit of open files is %d; raise it (ulimit -n), "
        "or lower max_connections",
        allowed,
        wanted,
        limit,
    )
    return allowed


def _raised(needed: int) -> int:
    """The limit of open files, raised as far as is needed and allowed."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed if soft == resource.RLIM_INFINITY else soft
    best = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
    with suppress(OSError, ValueError):  # what we have must do
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, best), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]
