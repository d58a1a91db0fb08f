"""The next arm is opened on a thread of its own while the last one is warmed: runtimes load outside of Python."""

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def opened_ahead(
    items: Sequence[T], opened: Callable[[T], R], may: Callable[[], bool]
) -> Generator[tuple[T, R]]:
    """Each item with what `opened` made of it, in order; one at a time is opened, never two.

    The next is begun beforehand where there `may` be: otherwise when it is asked for. Ended early, it begins no more;
    what was begun is dropped. What `opened` raises, so does this.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="opener") as pool:
        coming = None
        for at, item in enumerate(items):
            made = coming.result() if coming is not None else opened(item)
            following = items[at + 1 : at + 2]
            coming = pool.submit(opened, following[0]) if following and may() else None
            yield item, made
