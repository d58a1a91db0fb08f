"""Is a better network let in, and does it go on answering, on a machine that another process uses half of the time?

The walk of docs/sidecar.md, with what a sidecar would publish trained beforehand: a weak network serves, requests come,
as many processes as there are cores burn them for a second and rest for one, and the better network is published. Told
of each round: when it was promoted, which share of the rows it answered, what the log said, which alerts came up.
"""

import argparse
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import numpy as np
import tritonclient.grpc as triton
from sklearn.datasets import load_digits
from tritonclient.utils import InferenceServerException

from benchmarks import rig

ROOT = Path(__file__).resolve().parents[2]
WEAK, BETTER = "cnn-w2-d1", "cnn-w8-d2"
BUDGET = 60000
PRICES = "3.5,1.0,0.02,0.00002"
"""Of a step, a look, bookkeeping, and a unit (s): given, so that every run makes the same networks."""
BURN = (
    "import time\nwhile True:\n e = time.monotonic() + {on}\n"
    " while time.monotonic() < e: pass\n time.sleep({off})"
)
GRACE_S = 5.0
"""Of requests before the better network is published."""
WINDOW_S = 10.0
"""Over which a share of the rows is taken."""
HELD = 0.9
"""The share of the rows that the better network is to answer."""


@dataclass(slots=True)
class Walk:
    """What one round showed; times (s) count from the publication."""

    answers: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    log: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    alerts: dict[str, str] = field(default_factory=dict[str, str])

    def share(self, begin_s: float, end_s: float) -> float:
        """Of the requests sent in that time, those that the better network answered."""
        said = [who for at_s, who in self.answers if begin_s <= at_s < end_s]
        return sum(who.startswith(BETTER) for who in said) / max(1, len(said))

    def held_from_s(self, until_s: float) -> float | None:
        """From when on it answered HELD of every WINDOW_S up to the end; None where it did not."""
        begins = np.arange(0.0, until_s - WINDOW_S + 0.5, 1.0)
        good = [self.share(b, b + WINDOW_S) >= HELD for b in begins]
        if not good[-1]:
            return None
        bad = [b for b, ok in zip(begins, good, strict=True) if not ok]
        return 0.0 if not bad else float(max(bad)) + 1.0

    def row(self, until_s: float) -> dict[str, Any]:
        """The round's figures."""
        serving = [(at_s, line) for at_s, line in self.log if at_s >= -GRACE_S]
        told = [at_s for at_s, line in serving if re.search(r"candidate \S+: promoted", line)]
        refused = sum(who == "refused" for _, who in self.answers)
        return {
            "promoted_s": round(told[0], 1) if told else None,
            "held_from_s": self.held_from_s(until_s),
            "share_last_minute": round(self.share(until_s - 60.0, until_s), 4),
            "refused": refused,
            "requests": len(self.answers),
            "verdicts_against": sum(
                bool(re.search(r"candidate \S+: (rejected|rolled|postponed)", line))
                for _, line in serving
            ),
            "quarantines": sum("is out of use" in line for _, line in serving),
            "lines_per_minute": round(60.0 * len(serving) / (until_s + GRACE_S), 1),
            "alerts": self.alerts,
        }


def main() -> int:
    """Write benchmarks/results/promoted_beside.{json,md}, or print only."""
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _publish(folder / "weak", WEAK)
        shutil.copytree(folder / "weak", folder / "both")
        _publish(folder / "both", BETTER)
        walks = [_walk(folder, number, options) for number in range(options.rounds)]
    rows = [walk.row(options.seconds) for walk in walks]
    if options.out:
        what = {"on_s": options.on_s, "off_s": options.off_s, "rate_rps": options.rate_rps}
        result = {"machine": rig.machine(), "seconds": options.seconds, **what, "rounds": rows}
        rig.write("promoted_beside", result, markdown(result))
    return 0


def markdown(result: dict[str, Any]) -> str:
    """The result as a document."""
    lines = [
        "# A better network beside a busy neighbour",
        "",
        "Made by `python benchmarks/training/promoted_beside.py`, which says what is done.",
        f"{result['machine']['cpu']}, {result['machine']['usable_cores']} cores; "
        f"{result['rate_rps']:.0f} requests/s; the neighbour burns every core for "
        f"{result['on_s']:g} s and rests for {result['off_s']:g} s. Times are from the publication on.",
        "",
        "| round | promoted, s | answers 90 % of every 10 s from, s | share in the last minute | refused "
        "| verdicts against candidates | times out of use | log lines a minute | alerts |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for number, row in enumerate(result["rounds"], 1):
        alerts = ", ".join(f"{a} {s}" for a, s in row["alerts"].items()) or "none"
        lines.append(
            f"| {number} | {row['promoted_s']} | {row['held_from_s']} | {row['share_last_minute']:.1%} "
            f"| {row['refused']} of {row['requests']} | {row['verdicts_against']} | {row['quarantines']} "
            f"| {row['lines_per_minute']} | {alerts} |"
        )
    return "\n".join([*lines, ""])


def _walk(folder: Path, number: int, options: argparse.Namespace) -> Walk:
    repository, walk = folder / f"served-{number}", Walk()
    shutil.copytree(folder / "weak", repository)
    with (
        _burning(options),
        _serving(repository, folder / f"cache-{number}", walk) as (server, ports),
        _alerting(folder / f"prometheus-{number}", ports[1], walk),
    ):
        begun_s = time.monotonic()
        published_s = begun_s + GRACE_S
        client = threading.Thread(target=_ask, args=(ports[0], walk, options, begun_s))
        client.start()
        time.sleep(GRACE_S)
        _add(folder / "both", repository)
        client.join()
        server.terminate()
    walk.answers = [(at_s - published_s, who) for at_s, who in walk.answers]
    walk.log = [(at_s - published_s, line) for at_s, line in walk.log]
    for at_s, line in walk.log:
        if at_s >= -GRACE_S:
            print(f"{at_s:7.1f}  {line}", flush=True)
    print(number, walk.row(options.seconds), flush=True)
    return walk


def _publish(repository: Path, network: str) -> None:
    what = ("--data", "digits", "--network", network, "--budget", str(BUDGET), "--quiet")
    what = (*what, "--prices", PRICES)
    where = ("--publish", str(repository), "--family", "digits", "--slo-ms", "50")
    command = [sys.executable, "-m", "gearshift", "train", *what, *where]
    subprocess.run(command, cwd=ROOT, check=True)


def _add(source: Path, repository: Path) -> None:
    """As publishers do: what is new, and then the manifest in one step."""
    for path in (source / "digits").iterdir():
        if path.name != "family.toml":
            shutil.copy(path, repository / "digits" / path.name)
    beside = repository / "digits" / ".family.toml"
    shutil.copy(source / "digits" / "family.toml", beside)
    beside.replace(repository / "digits" / "family.toml")


@contextmanager
def _burning(options: argparse.Namespace) -> Iterator[None]:
    code = BURN.format(on=options.on_s, off=options.off_s)
    count = options.burners or len(rig.all_cores())
    burners = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


@contextmanager
def _serving(
    repository: Path, cache: Path, walk: Walk
) -> Iterator[tuple["subprocess.Popen[str]", tuple[int, int]]]:
    command = [sys.executable, "-m", "gearshift", "serve", "--repository", str(repository)]
    ports = ("--host", "127.0.0.1", "--port", "0", "--http-port", "0", "--rest-port", "-1")
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    ready, found = threading.Event(), list[tuple[int, int]]()
    with subprocess.Popen(
        [*command, *ports], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    ) as process:

        def read() -> None:
            assert process.stderr is not None
            for line in process.stderr:
                walk.log.append((time.monotonic(), line.rstrip()))
                if ours := re.search(r"gRPC on \S+?:(\d+), metrics on http://\S+?:(\d+)/", line):
                    found.append((int(ours[1]), int(ours[2])))
                if re.search(r"\d+ of \d+ arms ready", line):
                    ready.set()

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        try:
            if not ready.wait(120.0):
                raise RuntimeError("the server is not ready after two minutes")
            yield process, found[0]
        finally:
            process.terminate()
            process.wait(30.0)
            reader.join(5.0)


@contextmanager
def _alerting(folder: Path, http_port: int, walk: Walk) -> Iterator[None]:
    """Prometheus, where there is one, scrapes the server and judges the alerts; what came up is kept."""
    program = shutil.which("prometheus")
    if program is None:
        yield
        return
    folder.mkdir()
    text = (ROOT / "deploy" / "prometheus.yml").read_text()
    (folder / "prometheus.yml").write_text(text.replace("127.0.0.1:8002", f"127.0.0.1:{http_port}"))
    shutil.copy(ROOT / "deploy" / "alerts.yml", folder)
    stop = threading.Event()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    flags = {
        "config.file": folder / "prometheus.yml",
        "storage.tsdb.path": folder / "data",
        "web.listen-address": address,
        "log.level": "error",
    }
    with subprocess.Popen([program, *(f"--{k}={v}" for k, v in flags.items())]) as process:
        watcher = threading.Thread(target=_watch, args=(address, walk, stop))
        watcher.start()
        yield
        stop.set()
        watcher.join()
        process.terminate()


def _watch(address: str, walk: Walk, stop: threading.Event) -> None:
    while not stop.wait(5.0):
        with suppress(OSError, ValueError):
            with urllib.request.urlopen(f"http://{address}/api/v1/alerts", timeout=5) as answer:
                found: Any = json.load(answer)
            for alert in found["data"]["alerts"]:
                name, state = alert["labels"]["alertname"], alert["state"]
                if walk.alerts.get(name) != "firing":
                    walk.alerts[name] = state


def _ask(port: int, walk: Walk, options: argparse.Namespace, begun_s: float) -> None:
    """One request of one row at a time, at a steady rate; what is late is not made up for."""
    pixels = load_digits().data.reshape(-1, 1, 1, 8, 8).astype(np.float32) * np.float32(255 / 16)
    client = triton.InferenceServerClient(f"127.0.0.1:{port}")
    number, due_s = 0, begun_s
    while time.monotonic() < begun_s + GRACE_S + options.seconds:
        due_s = max(due_s + 1.0 / options.rate_rps, time.monotonic() - 0.1)
        time.sleep(max(0.0, due_s - time.monotonic()))
        given = triton.InferInput("images", pixels[0].shape, "FP32")
        given.set_data_from_numpy(pixels[number % len(pixels)])
        number, sent_s = number + 1, time.monotonic()
        try:
            answer: Any = client.infer("digits", [given]).get_response()
            walk.answers.append((sent_s, answer.parameters["variant"].string_param))
        except InferenceServerException:
            walk.answers.append((sent_s, "refused"))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=120.0, help="from the publication on")
    parser.add_argument("--rate-rps", type=float, default=50.0)
    parser.add_argument("--burners", type=int, default=0, help="processes; 0: one a core")
    parser.add_argument("--on-s", type=float, default=1.0)
    parser.add_argument("--off-s", type=float, default=1.0)
    parser.add_argument("--out", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
