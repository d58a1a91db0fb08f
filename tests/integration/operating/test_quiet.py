"""No command speaks to anybody beyond this machine, and none writes outside its folders: seen by strace."""

import json
import subprocess
import sys
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from tests.support.serving import traced
from tests.support.serving.families import ECHO, publish_mlp, publish_scripted, rows
from tests.support.serving.server import ROOT, Server, a_request, serve_command
from tests.support.serving.traced import Place, check, run_traced
from tests.support.sharing.packages import a_package

pytestmark = pytest.mark.skipif(bool(traced.why_not()), reason=traced.why_not() or "traced")

EVERY_RUNTIME = """
from importlib import import_module
from models.backends import RUNTIMES, is_installed
for runtime in RUNTIMES:
    if is_installed(runtime):
        print(runtime.name, import_module(runtime.module).devices())
import onnx, onnxruntime, openvino
openvino.convert_model
"""
WORKLOAD = {
    "layer_costs": [1.0, 2.0, 3.0],
    "tasks": [
        {
            "name": "bus",
            "branches": {"0": [0.95, 0.02], "2": [0.94, 0.02]},
            "event_length_ms": 400,
            "event_frequency": 0.2,
            "correlation": 0.1,
            "weight": 3,
        }
    ],
    "stream_fps": 10,
    "rates": [1, 2, 5],
    "budget": 60,
}
PROFILE = "variant,accuracy,batch,latency_ms_p50\nsmall,0.70,1,3.0\nlarge,0.80,1,12.0\n"
TASKS = (
    "--network resnet-w4-d1 --base-budget 4000 --tasks six=6 --points 3 --head-budget 2000 --frames 1000 "
    "--choosing-frames 600 --measuring-windows 20 --threads 1 --quiet"
)
SHORT = "--data digits --network cnn-w2-d1 --budget 3000 --threads 1 --quiet"
ROWS = "--calibration {0}/rows.npz --repository {0}/models"

FAMILY = "--repository {0}/models --family mlp --budget-s 1"
ARRIVALS = "--slo-ms 50 --rate-rps 50 --duration-s 1"
KEPT = "--family digits --logs {0}/log --checkpoint {0}/c"

COMMANDS = {
    "importing every runtime": ("-c", EVERY_RUNTIME),
    "profile": f"-m gearshift profile {FAMILY} --explain --plot {{0}}/p.png",
    "python -m profiler": f"-m profiler {FAMILY} --json",
    "models list": "-m gearshift models list --repository {0}/models",
    "python -m models verify": "-m models verify --repository {0}/models",
    "models quantize": f"-m gearshift models quantize mlp --precisions int8 {ROWS}",
    "simulate": f"-m gearshift simulate --profile {{0}}/profile.csv {ARRIVALS} --out {{0}}/s",
    "plan-tasks": "-m gearshift plan-tasks {0}/workload.json",
    "train": f"-m gearshift train {SHORT} --publish {{0}}/models {KEPT}",
    "train-tasks": f"-m gearshift train-tasks --data digits {TASKS} --publish {{0}}/models",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder with a repository and inputs, which is all that these commands may touch; a home that stays empty."""
    folder = tmp_path_factory.mktemp("quiet")
    (folder / "models").mkdir()
    publish_scripted(folder / "models", ECHO)
    publish_mlp(folder / "models")
    a_package(folder / "models")
    x = np.random.default_rng(0).standard_normal((64, 16)).astype(np.float32)
    np.savez(folder / "rows.npz", x=x)
    (folder / "profile.csv").write_text(PROFILE)
    (folder / "workload.json").write_text(json.dumps(WORKLOAD))
    return Place(folder, tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_speaks_to_nobody_and_writes_only_where_it_was_told(place: Place, name: str):
    if name.startswith("train") and (find_spec("torch") is None or find_spec("sklearn") is None):
        pytest.skip("training needs torch and scikit-learn")
    command = COMMANDS[name]
    words = command.split() if isinstance(command, str) else command

    said = run_traced(place, *(word.replace("{0}", str(place.folder)) for word in words))

    assert said


@pytest.mark.parametrize("module", ["gearshift serve", "server"])
def test_a_server_and_those_who_ask_it_speak_on_loopback_only(place: Place, module: str):
    log = place.folder / "serve.trace"
    flags = (
        "--repository",
        f"{place.folder}/models",
        "--share-package",
        "tiny",
        "--host",
        "0.0.0.0",
    )
    command = [sys.executable, "-m", *module.split(), *serve_command(*flags)[4:]]
    environment = place.environment({"GEARSHIFT__POLICY__REHEARSE_EVERY_S": "0.2"})
    with subprocess.Popen(
        traced.traced(log, command), cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            server = Server(process)
            server.await_serving()
            for model in ("echo", "mlp"):
                server.infer(a_request(model, rows(1.0)))
            page = urllib.request.urlopen(
                f"http://127.0.0.1:{server.http_port}/metrics", timeout=10
            )
            url = f"localhost:{server.port}"
            if module == "gearshift serve":
                run_traced(place, "-m", "gearshift", "status", "--url", url)
                run_traced(place, "-m", "gearshift", "tasks", "plan", "--url", url)
                driven = f"-m gearshift loadtest --url {url} --model mlp --duration-s 0.5 --out {place.folder}/out"
                run_traced(place, *driven.split())
            server.channel.close()
        finally:
            _end_traced(process)

    assert page.status == 200
    check(place, log)


def _end_traced(process: "subprocess.Popen[str]") -> None:
    """SIGTERM to the server: strace passes none on."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        subprocess.run(["kill", "-TERM", child], check=False)
    process.wait(30)


def test_what_is_forbidden_is_seen(place: Place):
    away = (
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('192.0.2.1', 53))"
    )
    with pytest.raises(AssertionError, match=r"192\.0\.2\.1"):
        run_traced(place, "-c", away)

    with pytest.raises(AssertionError, match="elsewhere"):
        run_traced(place, "-c", f"open('{place.folder}-elsewhere', 'w')")
