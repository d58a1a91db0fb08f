"""Archives unpacked beside themselves, whole or not at all; nothing is written outside the target folder."""

import lzma
import shutil
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

from trainer.data.reading import why
from trainer.errors import TrainError

ENDINGS = (".npz", ".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
_UNREADABLE = (
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError),
    *(RuntimeError, NotImplementedError, ValueError),
)


def unpacked(archive: Path) -> Path:
    """The folder `unpacked` beside a zip or tar archive, made by the first call. Raises TrainError."""
    folder = archive.parent / "unpacked"
    if folder.is_dir():
        return folder
    try:
        temporary = Path(tempfile.mkdtemp(prefix=".new-", dir=archive.parent))
        try:
            _extract(archive, temporary)
            _place(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    except _UNREADABLE as error:
        raise TrainError(
            f"{archive} cannot be unpacked: {why(error)}; check the archive and the room on the disk"
        ) from error
    return folder


def _place(temporary: Path, folder: Path) -> None:
    try:
        temporary.rename(folder)
    except OSError:
        if not folder.is_dir():  # else another process was quicker, with the same content
            raise


def _extract(archive: Path, folder: Path) -> None:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as zipped:
            zipped.extractall(folder)
    else:
        with tarfile.open(archive) as tarred:
            tarred.extractall(folder, filter="data")
