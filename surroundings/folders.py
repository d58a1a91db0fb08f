"""Where what we keep goes: one place for all commands, and what is done where there is no home folder."""

import logging
import os
import stat
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/gearshift`, or the same under `~/.cache`; without a home, one in the temporary folder.

    That there is no home is said by `kept`, once.
    """
    if base := os.environ.get("XDG_CACHE_HOME"):
        try:
            return expanded(Path(base)) / "gearshift"
        except OSError:
            return _homeless()
    try:
        return Path("~/.cache").expanduser() / "gearshift"
    except RuntimeError:
        return _homeless()


def kept(name: str) -> Path:
    """The folder `name` of the cache folder, which is not made here; says so where there is no home to keep it in."""
    folder = cache_folder()
    if _has_no_home():
        _warn_homeless(str(folder))
    return folder / name


def expanded(path: Path) -> Path:
    """`path` with `~` replaced. Raises FileNotFoundError where there is no such home."""
    try:
        return path.expanduser()
    except RuntimeError:
        raise FileNotFoundError(
            2, "there is no home folder for ~ (HOME is not set); give the whole path", str(path)
        ) from None


@contextmanager
def spelled(path: Path) -> Generator[Path]:
    """The same file by a name that is text: runtimes take no path with bytes that are not UTF-8."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            yield Path(f"/proc/self/fd/{folder}") / path.name
        finally:
            os.close(folder)
    else:
        yield path


def _has_no_home() -> bool:
    try:
        Path("~/.cache").expanduser()
    except RuntimeError:
        return not os.environ.get("XDG_CACHE_HOME")
    return False


@cache
def _homeless() -> Path:
    """A folder that nobody else can have made for us."""
    try:
        folder = Path(tempfile.gettempdir()) / f"gearshift-{os.getuid()}"
    except OSError:  # nothing is writable: whoever wants to keep something says so
        return Path("/nonexistent/gearshift")
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return folder / "gearshift"
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if not ours or found.st_mode & 0o022:
        folder = Path(tempfile.mkdtemp(prefix="gearshift-"))
    return folder / "gearshift"


@cache
def _warn_homeless(folder: str) -> None:
    _log.warning(
        "there is no home folder (HOME is not set and user %d has none): profiles, verdicts and caches are kept in %s; "
        "set XDG_CACHE_HOME to a folder that stays",
        os.getuid(),
        folder,
    )
