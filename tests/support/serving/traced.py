"""A command under strace: whom it spoke to, and what it wrote where. C++ sockets are invisible to Python."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.support.serving.commands import ended
from tests.support.serving.server import ROOT, surroundings

STRACE = shutil.which("strace")
_CALLS = "network,open,openat,openat2,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,symlink,symlinkat,mknod"
_INTERNET = re.compile(r'sa_family=AF_INET6?,.*?(?:inet_addr\("|inet_pton\(AF_INET6, ")([^"]+)"')
_SPOKE = re.compile(r"^\d+\s+(?:<\.\.\. )?(?:connect|sendto|sendmsg|sendmmsg)\b")
_WROTE = re.compile(
    r"^\d+\s+(open|openat|openat2|creat|mkdir|mkdirat|rename\w*|link\w*|symlink\w*|mknod)\("
)
_RESOLVER = re.compile(r"connect\(.*(?:io\.systemd\.Resolve|avahi)")
_PATH = re.compile(r'(?:<([^>"]*)>, )?"((?:[^"\\]|\\.)*)"')
_SET_BY_OURS = {
    "ORT_DISABLE_TELEMETRY",
    "CI",
    "MPLCONFIGDIR",
    "TORCHINDUCTOR_CACHE_DIR",
    "TRITON_CACHE_DIR",
    "TORCH_HOME",
    "CUDA_CACHE_PATH",
}
"""What importing our packages sets in the test's own process too, and CI, which quietens OpenVINO."""
_SYSTEM = ("/dev/", "/proc/", "/sys/")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a traced command may write: everything below `folder`. Its home, which must stay empty, is elsewhere."""

    folder: Path
    home: Path

    def environment(self, more: Mapping[str, str] = {}) -> dict[str, str]:
        """As in a container: a home of its own, temporary files and caches below `folder`."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        self.home.mkdir(exist_ok=True)
        own = {"HOME": str(self.home), "TMPDIR": str(self.folder / "tmp")}
        ours = surroundings(self.folder / "cache", {**own, **more})
        return {k: v for k, v in ours.items() if k not in _SET_BY_OURS}


@cache
def why_not() -> str:
    """Why nothing can be traced here; empty where it can."""
    if STRACE is None:
        return "needs strace on PATH (on Debian: apt-get install strace)"
    tried = subprocess.run(
        [STRACE, "-o", "/dev/null", "true"], capture_output=True, text=True, check=False
    )
    return f"strace may not trace here: {tried.stderr.strip()}" if tried.returncode else ""


def traced(log: Path, command: Sequence[str]) -> list[str]:
    """The command line that runs `command`, children too, under strace into `log`."""
    return [
        str(STRACE),
        "-f",
        "-y",
        "-qq",
        "-s",
        "4096",
        "-e",
        f"trace={_CALLS}",
        "-e",
        "signal=none",
        "-o",
        str(log),
        *command,
    ]


def run_traced(place: Place, *command: str, **environment: str) -> str:
    """Run our python with these arguments under strace; what it printed. Fails where it spoke or wrote elsewhere."""
    log = place.folder / "trace"
    done = ended(traced(log, [sys.executable, *command]), place.environment(environment))
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    check(place, log)
    return done.stdout


def check(place: Place, log: Path) -> None:
    """Fail where the trace shows a conversation beyond loopback, or something written outside `place.folder`."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    assert len(lines) > 10, "nothing was traced"
    found = [*spoken_to(lines), *written(lines, place.folder), *map(str, place.home.rglob("*"))]
    assert not found, "\n".join(found)


def spoken_to(lines: Iterable[str]) -> Iterable[str]:
    """Calls that reach, or look up, somebody beyond this machine."""
    for line in lines:
        if _RESOLVER.search(line):
            yield line
        if _SPOKE.match(line) and (found := _INTERNET.search(line)) and not _is_loopback(found[1]):
            yield line


def written(lines: Iterable[str], folder: Path) -> Iterable[str]:
    """Calls that make or change a file anywhere but below `folder`; bytecode beside its source is Python's."""
    for line in lines:
        found = _WROTE.match(line)
        if found is None or " = -1 " in line:
            continue
        if found[1].startswith("open") and not re.search("O_WRONLY|O_RDWR|O_CREAT", line):
            continue
        if any(not _is_ours(path, folder) for path in _paths(line)):
            yield line


def _paths(line: str) -> Iterable[str]:
    """Every path of a call, relative ones behind the folder that the call names by its descriptor."""
    for folder, path in _PATH.findall(line):
        yield path if path.startswith("/") else f"{folder or ROOT}/{path}"


def _is_ours(path: str, folder: Path) -> bool:
    return path.startswith((f"{folder}/", *_SYSTEM)) or "/__pycache__" in path


def _is_loopback(address: str) -> bool:
    return address.startswith(("127.", "::ffff:127.")) or address in ("::1", "0.0.0.0", "::")
