"""Where runtimes keep what they compiled between starts: engines and their timings."""

import os
from pathlib import Path


def engine_cache() -> Path:
    """`$XDG_CACHE_HOME/gearshift/engines`, or the same under `~/.cache`; made if it can be."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    folder = Path(base).expanduser() / "gearshift" / "engines"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:  # a read-only cache costs the compiling anew, not the service
        return folder
    return folder
