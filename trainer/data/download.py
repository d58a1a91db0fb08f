"""Archives from the network, trusted only by their sha256 and kept in the user's cache folder."""

import hashlib
import http.client
import os
import re
import tempfile
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urldefrag, urlsplit

from tqdm import tqdm

from models.artifacts.digests import sha256_of
from surroundings.folders import kept
from trainer.data.reading import why
from trainer.data.unpack import ENDINGS, unpacked
from trainer.errors import TrainError

_SCHEMES = ("https", "file")
_SHA256 = re.compile(r"sha256=([0-9a-fA-F]{64})")
_TIMEOUT_S = 60.0  # without a byte; a whole download may take as long as it does
_CHUNK_BYTES = 1 << 18


def default_cache() -> Path:
    """`$XDG_CACHE_HOME/gearshift/data`, or the same under `~/.cache`."""
    return kept("data")


def fetch(url: str, cache: Path) -> Path:
    """What the archive at `url`, https://...#sha256=... or file://...#sha256=..., holds, downloaded if need be.

    An npz file is given as it is, a zip or tar archive as the folder it was unpacked into. A kill at any moment leaves
    the cache without the archive or with all of it. Raises TrainError.
    """
    address, sha256 = _parsed(url)
    archive = cache / sha256 / Path(unquote(urlsplit(address).path)).name
    try:
        archive.parent.mkdir(parents=True, exist_ok=True)
        if not archive.is_file() or sha256_of(archive) != sha256:
            _written(archive, lambda file: _download(address, file, sha256))
    except (OSError, http.client.HTTPException) as error:
        raise TrainError(
            f"{address} cannot be brought to {archive}: {why(error)}; check the address, the network and the disk, "
            "or download it by hand and give its path"
        ) from error
    return archive if archive.suffix == ".npz" else unpacked(archive)


def _parsed(url: str) -> tuple[str, str]:
    address, fragment = urldefrag(url)
    if urlsplit(address).scheme not in _SCHEMES:
        raise TrainError(
            f"{url} is neither an https nor a file address; give one of these or a path"
        )
    checksum = _SHA256.fullmatch(fragment)
    if checksum is None:
        raise TrainError(
            f"{url} has no checksum; add #sha256= and the archive's 64 hexadecimal digits"
        )
    if not urlsplit(address).path.endswith(ENDINGS):
        raise TrainError(
            f"{address} is no archive that can be read; its name must end in {', '.join(ENDINGS)}"
        )
    return address, checksum[1].lower()


def _written(path: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write by temporary file, fsync and rename, so that `path` is whole or as it was."""
    handle, temporary = tempfile.mkstemp(prefix=".new-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).replace(path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def _download(address: str, file: BinaryIO, sha256: str) -> None:
    digest = hashlib.sha256()
    with (
        urllib.request.urlopen(address, timeout=_TIMEOUT_S) as answer,
        _bar(address, answer) as bar,
    ):
        while chunk := answer.read(_CHUNK_BYTES):
            file.write(chunk)
            digest.update(chunk)
            bar.update(len(chunk))
        if digest.hexdigest() != sha256:
            raise TrainError(
                f"{address} has sha256 {digest.hexdigest()} ({bar.n} bytes), not {sha256}; nothing was kept: "
                "check the address and the checksum, and try again if the download broke off"
            )


def _bar(address: str, answer: Any) -> Any:
    total = answer.headers.get("Content-Length")
    name, size = Path(urlsplit(address).path).name, int(total) if total else None
    return tqdm(desc=name, total=size, unit="B", unit_scale=True, leave=False, disable=None)
