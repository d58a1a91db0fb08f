"""How long the default server takes to have all arms from stored profiles, what memory and, asked nothing, what CPU.

`--beside DIR` starts another checkout in turns with this one, from the same profiles if it reads them. Each has a
cache in the folder `--work`; the first start of each, which may measure and compile, is not counted.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig

HERE = Path(__file__).resolve().parents[2]
FAMILY = "imagenet"
SETTLE_S = 15.0
LOAD_S = 2


def main() -> int:
    """Run the rounds; write benchmarks/results/start.{json,md}."""
    options = _options()
    trees = {"this": HERE} | ({"beside": options.beside} if options.beside else {})
    print("measuring, if there are no profiles yet", file=sys.stderr)
    _prepare(trees, options.work)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in trees}
    for _ in range(options.rounds):
        for name, tree in trees.items():
            found[name].append(_round(tree, options.work / name, options.idle_s))
        result = {"machine": rig.machine(), "idle_s": options.idle_s, "rounds": found}
        rig.write("start", result, _markdown(result))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--beside", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--idle-s", type=float, default=60.0)
    return parser.parse_args()


def _prepare(trees: dict[str, Path], work: Path) -> None:
    for name, tree in trees.items():
        cache = work / name / "gearshift"
        if name != "this" and not (cache / "profiles").exists():
            shutil.copytree(work / "this" / "gearshift" / "profiles", cache / "profiles")
            for path in (cache / "profiles").glob("*.json"):
                path.write_text(_without_graphs(path.read_text()))
        with _started(tree, work / name) as start:
            start.await_arms()


def _without_graphs(text: str) -> str:
    """A profile file as checkouts before graphs were chosen read it."""
    content = json.loads(text)
    for row in content["profiles"]:
        row.pop("graphs", None)
    return json.dumps(content)


class _Start:
    """A server, and what was seen while its arms came."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.begun_s = time.perf_counter()
        self.process = process
        self.seen: list[dict[str, float]] = []
        self.lines: list[str] = []
        self.ready = threading.Event()
        self.server: rig.Server | None = None
        threading.Thread(target=self._read, daemon=True).start()

    def await_arms(self) -> rig.Server:
        """All there are; notes memory and time as each comes."""
        while not self.ready.wait(0.02):
            if self.server is not None:
                self._note(self.server)
            if self.process.poll() is not None:
                raise RuntimeError("\n".join(self.lines[-5:]))
        assert self.server is not None
        self._note(self.server)
        return self.server

    def _note(self, server: rig.Server) -> None:
        text = server.metrics()
        arms = float(_sample(text, f'gearshift_ready_arms{{family="{FAMILY}"}}'))
        if not self.seen or arms != self.seen[-1]["arms"]:
            at_s, rss = time.perf_counter() - self.begun_s, server.rss_bytes() / 2**20
            self.seen.append({"arms": arms, "s": at_s, "cpu_s": server.cpu_s(), "rss_mib": rss})

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line.strip())
            if ports := re.search(r"gRPC on \S+?:(\d+), metrics on http://\S+?:(\d+)/", line):
                self.server = rig.Server(self.process.pid, int(ports[1]), int(ports[2]))
            if re.search(r"\d+ of \d+ arms ready", line):
                self.ready.set()


@contextmanager
def _started(tree: Path, cache: Path) -> Iterator[_Start]:
    from models.artifacts import default_repository

    ports = ["--port", "0", "--http-port", "0", "--rest-port", "-1", "--families", FAMILY]
    command = [sys.executable, "-m", "gearshift", "serve", *ports]
    command += ["--repository", str(default_repository())]
    environment = {**os.environ, "PYTHONPATH": str(tree), "XDG_CACHE_HOME": str(cache.resolve())}
    process = subprocess.Popen(
        command, cwd=tree, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        yield _Start(process)
    finally:
        process.terminate()
        process.wait(timeout=60)


def _round(tree: Path, cache: Path, idle_s: float) -> dict[str, Any]:
    with _started(tree, cache) as start:
        server = start.await_arms()
        first = next(row for row in start.seen if row["arms"])
        ready, seen = start.seen[-1], start.seen
        time.sleep(SETTLE_S)
        cpu_s = server.cpu_s()
        time.sleep(idle_s)
        idle = (server.cpu_s() - cpu_s) / idle_s
        quiet_mib = server.rss_bytes() / 2**20
        for variant in _variants(server):
            rig.load(
                server,
                mode="closed",
                variant=variant,
                concurrency=16,
                duration_s=LOAD_S,
                slo_ms=5000,
            )
        return {
            "arms": ready["arms"],
            "first_arm_s": first["s"],
            "first_arm_cpu_s": first["cpu_s"],
            "all_arms_s": ready["s"],
            "all_arms_cpu_s": ready["cpu_s"],
            "rss_mib": quiet_mib,
            "rss_after_load_mib": server.rss_bytes() / 2**20,
            "idle_cpu_percent": 100 * idle,
            "seen": seen,
        }


def _variants(server: rig.Server) -> list[str]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.http_port}/metrics") as answer:
        text = answer.read().decode()
    found = set(re.findall(r'gearshift_speed_scale_ratio\{.*?variant="([^"]+)"', text))
    return sorted(name for name in found if name.endswith("-int8"))


def _sample(text: str, name: str) -> str:
    found = re.search(re.escape(name) + r" (\S+)", text)
    return found[1] if found else "0"


def _markdown(result: dict[str, Any]) -> str:
    machine, rounds = result["machine"], result["rounds"]
    names = list(rounds)
    lines = [
        "# Start, memory, idle CPU\n",
        f"{machine['cpu']}, {machine['usable_cores']} cores, shared with others; {machine['date']}. The default server "
        f"(`gearshift serve`, family `{FAMILY}`) from stored profiles, `beside` with the same ones. Medians of "
        f"{len(rounds[names[0]])} rounds in turns (least, most). Idle: {result['idle_s']:.0f} s without a request. "
        f"After load: every int8 variant, 16 clients, {LOAD_S} s each.",
        "Command: `python benchmarks/serving/start.py --beside DIR --work DIR`.\n",
        "| figure | " + " | ".join(names) + " |",
        "| --- |" + " --- |" * len(names),
    ]
    for key in (key for key in rounds[names[0]][0] if key != "seen"):
        cells: list[str] = []
        for name in names:
            values = [one[key] for one in rounds[name]]
            cells.append(f"{statistics.median(values):.2f} ({min(values):.2f}, {max(values):.2f})")
        lines.append(f"| {key.replace('_', ' ')} | " + " | ".join(cells) + " |")
    for name in names:
        lines += ["", f"As its arms came, first round of `{name}`:\n", "| arms | s | CPU s | MiB |"]
        lines.append("| --- | --- | --- | --- |")
        for row in rounds[name][0]["seen"]:
            lines.append(
                f"| {row['arms']:.0f} | {row['s']:.2f} | {row['cpu_s']:.2f} | {row['rss_mib']:.0f} |"
            )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
