"""Several client processes at once, for loads that one cannot offer: the load is dealt out and
the records merged."""

import multiprocessing
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

from loadtest.client import ClosedLoop, Drive, Loop, OpenLoop, drive
from loadtest.records import Records, merge
from loadtest.target import Target

_START_UP_S = 1.5  # for the other processes to import and connect before the common start


def deal(loop: Loop, processes: int) -> list[Loop]:
    """The load in `processes` even parts, none of them empty."""
    if isinstance(loop, OpenLoop):
        count = max(1, min(processes, len(loop.arrivals_s)))
        return [OpenLoop(loop.arrivals_s[part::count]) for part in range(count)]
    count = min(processes, loop.concurrency)
    sizes = [loop.concurrency // count + (part < loop.concurrency % count) for part in range(count)]
    return [ClosedLoop(size, loop.duration_s) for size in sizes]


def drive_all(
    target: Target,
    pool: Sequence[bytes],
    loop: Loop,
    processes: int,
    watch: Callable[[Drive], None] | None = None,
) -> Records:
    """As `client.drive`, by `processes` processes; `watch` sees this one's share."""
    parts = deal(loop, processes)
    if len(parts) == 1:
        return drive(target, pool, parts[0], watch)
    start_s = (
        time.perf_counter() + _START_UP_S
    )  # one monotonic clock for all processes of a machine
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(parts) - 1, mp_context=context) as others:
        shares = [others.submit(drive, target, pool, part, None, start_s) for part in parts[1:]]
        own = drive(target, pool, parts[0], watch, start_s)
        return merge([own, *(share.result() for share in shares)])
