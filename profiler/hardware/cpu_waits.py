"""How long the calling thread waited for a CPU while others had them, as Linux counts it."""

from pathlib import Path

_COUNTED = Path("/proc/thread-self/schedstat")
"""Two numbers of nanoseconds and one more: on a CPU; able to run, but waiting for one."""


def waited_s() -> float:
    """Since the thread began (s); 0 where nobody counts. About 15 us."""
    try:
        return int(_COUNTED.read_bytes().split()[1]) * 1e-9
    except (OSError, IndexError, ValueError):
        return 0.0
