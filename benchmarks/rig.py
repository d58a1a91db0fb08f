"""What the live benchmarks share: a server and a load generator pinned to different cores, and the machine's name."""

import json
import os
import platform
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
_GEARSHIFT = [sys.executable, "-m", "gearshift"]
_ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Server:
    """A running `gearshift serve`: its process and ports."""

    pid: int
    port: int
    http_port: int

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Keep it from using the processor for a while: another server has the core."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def cpu_s(self) -> float:
        """User and system time the process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_bytes(self) -> int:
        """Resident memory of the process."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf(
            "SC_PAGESIZE"
        )

    def metrics(self) -> str:
        """The text of /metrics."""
        with urllib.request.urlopen(
            f"http://127.0.0.1:{self.http_port}/metrics", timeout=5
        ) as answer:
            return answer.read().decode()


def server_and_client() -> tuple[int, int]:
    """(server's core, client's core): different ones where the machine has two."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[0], usable[-1]


def all_cores() -> tuple[int, ...]:
    """Every core this process may use."""
    return tuple(sorted(os.sched_getaffinity(0)))


def on_core(core: int | Sequence[int], arguments: Sequence[str]) -> list[str]:
    """The command line that runs `arguments` pinned to one core, or to several."""
    listed = [core] if isinstance(core, int) else core
    return ["taskset", "-c", ",".join(map(str, listed)), *arguments]


@contextmanager
def serving(
    *flags: str, all_arms: bool = True, log: Path | None = None, cores: Sequence[int] = ()
) -> Iterator[Server]:
    """A server on `cores` (by default the server's), ready, with every arm profiled if `all_arms`; ended at the end."""
    command = on_core(
        cores or server_and_client()[0],
        [*_GEARSHIFT, "serve", "--port", "0", "--http-port", "0", "--rest-port", "-1", *flags],
    )
    process = subprocess.Popen(command, cwd=_ROOT, stderr=subprocess.PIPE, text=True)
    try:
        yield _await(process, all_arms, log)
    finally:
        process.terminate()
        process.communicate(timeout=30)


def _await(process: subprocess.Popen[str], all_arms: bool, log: Path | None) -> Server:
    assert process.stderr is not None
    server: Server | None = None
    for line in process.stderr:
        if log is not None:
            with log.open("a") as file:
                file.write(line)
        ports = re.search(r"gRPC on \S+?:(\d+), metrics on http://\S+?:(\d+)/", line)
        if ports:
            server = Server(process.pid, int(ports[1]), int(ports[2]))
        if server and (re.search(r"\d+ of \d+ arms ready", line) or not all_arms):
            return server
    raise RuntimeError(
        f"the server ended with {process.wait()} before it was ready; run it by hand to see why"
    )


def load_command(server: Server, **options: str | float | None) -> list[str]:
    """The command of a load test: `slo_ms=50` is `--slo-ms 50`, True the flag alone, None is left out."""
    command = [*_GEARSHIFT, "loadtest", "--url", f"127.0.0.1:{server.port}", "--json"]
    for name, value in options.items():
        if value is not None:
            command += [f"--{name.replace('_', '-')}", *([] if value is True else [str(value)])]
    return command


def load(server: Server, **options: str | float | None) -> dict[str, Any]:
    """One load test on the client's core, with options as `load_command` has them; its JSON report."""
    command = on_core(server_and_client()[1], load_command(server, **options))
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"load test failed: {done.stderr[-2000:]}")
    return json.loads(done.stdout)


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    model = re.search(r"model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text())
    server, client = server_and_client()
    return {
        "cpu": model[1] if model else platform.processor(),
        "usable_cores": len(os.sched_getaffinity(0)),
        "server_core": server,
        "client_core": client,
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d"),
    }


def write(name: str, result: dict[str, Any], markdown: str) -> None:
    """Store a result as JSON and Markdown, and print the latter."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / f"{name}.md").write_text(markdown)
    print(markdown)
