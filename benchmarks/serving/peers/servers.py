"""How to install and start each server of the transport benchmark, all of them pinned to one
core."""

import json
import os
import shutil
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
_PACKAGES = {"mlserver": ("mlserver==1.7.1",), "kserve": ("kserve==0.21.0",)}
_BESIDE = ("onnxruntime>=1.31,<1.33",)


@dataclass(frozen=True, slots=True)
class Launch:
    """A command that serves the MLP as model `mlp` on `port`, and where to run it."""

    name: str
    command: list[str]
    port: int
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)


def install(name: str, venv_dir: Path) -> None:
    """Give a peer a virtual environment of its own; quick where it has one already."""
    ready = venv_dir / name / ".ready"
    if name not in _PACKAGES or ready.exists():
        return
    print(f"installing {name} into {venv_dir / name}", file=sys.stderr)
    subprocess.run([sys.executable, "-m", "venv", str(venv_dir / name)], check=True)
    pip = [str(venv_dir / name / "bin" / "python"), "-m", "pip", "install", "-q"]
    subprocess.run([*pip, *_PACKAGES[name], *_BESIDE], check=True)
    ready.touch()


def version(name: str, venv_dir: Path) -> str:
    """The installed version of a server."""
    ask = f"from importlib.metadata import version; print(version({name!r}))"
    python = sys.executable if name == "gearshift" else str(venv_dir / name / "bin" / "python")
    return subprocess.run(
        [python, "-c", ask], check=True, capture_output=True, text=True
    ).stdout.strip()


def launch(name: str, venv_dir: Path, work: Path, onnx_path: Path) -> Launch:
    """What starts server `name`; `work` is a scratch folder that holds the published family."""
    port, http_port, extra_port = free_ports(3)
    environment = {
        "GEARSHIFT_BENCH_MLP": str(onnx_path),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(HERE),
    }
    if name == "gearshift":
        program = Path(sys.executable).parent / "gearshift"
        folders = ["--repository", work / "repository", "--profiles", work / "profiles"]
        ports = ["--port", port, "--http-port", http_port, "--rest-port", "-1"]
        command = [str(part) for part in (program, "serve", *folders, *ports)]
        return Launch(name, command, port, ROOT)
    binaries = venv_dir / name / "bin"
    if name == "kserve":
        command = [str(binaries / "python"), str(HERE / "kserve_mlp.py"), str(port), str(http_port)]
        return Launch(name, command, port, work, environment)
    folder = _mlserver_folder(work, (port, http_port, extra_port))
    return Launch(name, [str(binaries / "mlserver"), "start", "."], port, folder, environment)


def _mlserver_folder(work: Path, ports: tuple[int, int, int]) -> Path:
    """MLServer's settings: one process, no debug logging, which is its cheapest way to serve one
    model."""
    folder = work / "mlserver"
    folder.mkdir(exist_ok=True)
    shutil.copy(HERE / "mlserver_mlp.py", folder)
    grpc_port, http_port, metrics_port = ports
    settings = {
        "debug": False,
        "parallel_workers": 0,
        "host": "127.0.0.1",
        "grpc_port": grpc_port,
        "http_port": http_port,
        "metrics_port": metrics_port,
    }
    model = {"name": "mlp", "implementation": "mlserver_mlp.Mlp"}
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(model))
    return folder


def start(launch: Launch, core: int, log: Path) -> subprocess.Popen[bytes]:
    """Start it pinned to `core`, its output in `log`."""
    with log.open("wb") as out:
        return subprocess.Popen(
            launch.command,
            cwd=launch.folder,
            env={**os.environ, **launch.environment},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            preexec_fn=lambda: os.sched_setaffinity(0, {core}),  # noqa: PLW1509 - one thread here
        )


def cpu_s(pid: int) -> float:
    """CPU seconds so far of process `pid` and all its descendants that are alive."""
    parents: dict[int, int] = {}
    ticks: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(") ")[2].split()
        except OSError:
            continue  # ended meanwhile
        parents[int(entry.name)] = int(fields[1])
        ticks[int(entry.name)] = int(fields[11]) + int(fields[12])
    family = {pid}
    while grown := {child for child, parent in parents.items() if parent in family} - family:
        family |= grown
    return sum(ticks.get(member, 0) for member in family) / os.sysconf("SC_CLK_TCK")


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at the moment."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports
