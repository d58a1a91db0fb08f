"""Where modules are looked for, kept as it is: some libraries add folders of their own, whose modules hide ours."""

import sys
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def search_path_kept() -> Generator[None]:
    """Around imports: what they add to sys.path is gone afterwards.

    onnxruntime.transformers adds its own folder, which has a module called `profiler`.
    """
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before
