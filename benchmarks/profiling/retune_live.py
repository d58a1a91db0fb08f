"""A server under steady load while the hardware changes: a core lost and given back, a quota, a burning neighbour.

Nothing is restarted. The server may use every core at first; its affinity is cut to one as an operator would cut it
(`taskset -ap`), then restored; its control group gets a quota of half the cores, where one can be made, then none; at
last a process of the same priority burns all the time it gets on every core. The client records every request; what
happened in each phase is read from its own timeline.
"""

import argparse
import json
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig

WARMUP_S = 4
_PERIOD_US = 100_000
_BURN = "while True: pass"
_ALLOWED = {"OK", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
"""What load alone may bring; anything else would be an error that re-tuning caused."""


@dataclass(frozen=True, slots=True)
class Phase:
    """A stretch of the run: what is done at its beginning, and whether its figures are about a change or a recovery."""

    name: str
    length_s: int
    begin: Callable[["Scene"], None]


class Quota:
    """A control group of its own for one process, whose CPU quota can be set (version 1 or 2)."""

    def __init__(self, pid: int) -> None:
        """Raises OSError where no such group can be made."""
        self._pid = pid
        root = Path("/sys/fs/cgroup")
        self._old = (root / "cpu" / "cpu.cfs_quota_us").exists()
        self._folder = (root / "cpu" if self._old else root) / f"gearshift-benchmark-{pid}"
        self._folder.mkdir()
        try:
            self.set(None)
        except OSError:
            self._folder.rmdir()
            raise

    def enter(self) -> None:
        """Put the process into the group."""
        (self._folder / "cgroup.procs").write_text(str(self._pid))

    def set(self, cores: float | None) -> None:
        """Allow so many cores' time; None: all."""
        if self._old:
            quota = -1 if cores is None else round(cores * _PERIOD_US)
            (self._folder / "cpu.cfs_quota_us").write_text(str(quota))
        else:
            quota = "max" if cores is None else round(cores * _PERIOD_US)
            (self._folder / "cpu.max").write_text(f"{quota} {_PERIOD_US}")

    def leave(self) -> None:
        """Put the process back into the root group."""
        (self._folder.parent / "cgroup.procs").write_text(str(self._pid))

    def remove(self) -> None:
        """The process has ended."""
        with suppress(OSError):
            self._folder.rmdir()


@dataclass(slots=True)
class Scene:
    """The server's process and the neighbours that were started."""

    pid: int
    cores: tuple[int, ...]
    quota: Quota | None = None
    neighbours: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def cut(self) -> None:
        """Leave the server its first core."""
        self._affinity(self.cores[:1])

    def restore(self) -> None:
        """Give it all cores back."""
        self._affinity(self.cores)

    def halve(self) -> None:
        """A CPU quota of half the cores."""
        if self.quota is not None:
            self.quota.enter()
            self.quota.set(len(self.cores) / 2)

    def lift(self) -> None:
        """No quota, and out of the group, where all the server's threads together count as one neighbour does."""
        if self.quota is not None:
            self.quota.set(None)
            self.quota.leave()

    def disturb(self) -> None:
        """One burning process a core."""
        for core in self.cores:
            burn = rig.on_core(core, [sys.executable, "-c", _BURN])
            self.neighbours.append(subprocess.Popen(burn))

    def calm(self) -> None:
        """End them."""
        for process in self.neighbours:
            process.kill()
            process.wait()
        self.neighbours.clear()

    def nothing(self) -> None:
        """Let it run."""

    def _affinity(self, cores: tuple[int, ...]) -> None:
        listed = ",".join(map(str, cores))
        subprocess.run(
            ["taskset", "-acp", listed, str(self.pid)], check=True, stdout=subprocess.DEVNULL
        )


def phases(seconds: int, *, quota: bool) -> tuple[Phase, ...]:
    """The play."""
    quotas = (
        Phase("half the CPU quota", seconds, Scene.halve),
        Phase("no quota again", seconds, Scene.lift),
    )
    return (
        Phase("two cores", seconds, Scene.nothing),
        Phase("one core", seconds, Scene.cut),
        Phase("two cores again", seconds, Scene.restore),
        *(quotas if quota else ()),
        Phase("a neighbour on each", seconds, Scene.disturb),
        Phase("alone again", seconds, Scene.calm),
    )


def main() -> int:
    """Write benchmarks/results/retune_live.{json,md}."""
    options = _options()
    if len(rig.all_cores()) < 2:
        print("retune_live: needs two cores; nothing was measured", file=sys.stderr)
        return 2
    rounds = [_round(options, seed) for seed in range(1, options.rounds + 1)]
    result = {
        "machine": rig.machine(),
        "rate_rps": options.rate,
        "slo_ms": options.slo_ms,
        "seconds_per_phase": options.seconds,
        "rounds": rounds,
    }
    rig.write("retune_live", result, markdown(result))
    return 0


def _round(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    with rig.serving(
        "--slo-ms", f"{options.slo_ms}", "--families", "imagenet", cores=rig.all_cores()
    ) as server:
        scene = Scene(server.pid, rig.all_cores(), _quota(server.pid))
        play = phases(options.seconds, quota=scene.quota is not None)
        total_s = sum(p.length_s for p in play)
        try:
            report = _driven(server, options, seed, total_s, lambda: _perform(scene, play))
        finally:
            scene.calm()
        log = server.metrics()
    if scene.quota is not None:
        scene.quota.remove()
    rows = judged(report["timeline"], play)
    unexpected = {code: row for code, row in report["codes"].items() if code not in _ALLOWED}
    for row in rows:
        print(_line(row), flush=True)
    speeds = [
        line for line in log.splitlines() if line.startswith("gearshift_hardware_changes_total")
    ]
    kept = {key: report[key] for key in ("outcomes", "timeline", "client")}
    return {"phases": rows, "unexpected": unexpected, **kept, "hardware_changes": speeds}


def _quota(pid: int) -> Quota | None:
    try:
        return Quota(pid)
    except OSError as error:
        print(f"retune_live: no control group can be made ({error}); left out", file=sys.stderr)
        return None


def _driven(
    server: rig.Server,
    options: argparse.Namespace,
    seed: int,
    total_s: int,
    perform: Callable[[], None],
) -> dict[str, Any]:
    """The report of a load test during which `perform` runs from the end of the warm-up on."""
    command = rig.load_command(
        server,
        rate_rps=options.rate,
        duration_s=total_s,
        warmup_s=WARMUP_S,
        slo_ms=options.slo_ms,
        seed=seed,
    )
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    process.stderr.readline()  # it says what it does and begins
    actor = threading.Timer(WARMUP_S, perform)
    actor.start()
    out, _ = process.communicate()
    actor.join()
    return json.loads(out)


def _perform(scene: Scene, play: tuple[Phase, ...]) -> None:
    at_s = time.monotonic()
    for phase in play:
        phase.begin(scene)
        at_s += phase.length_s
        time.sleep(max(0.0, at_s - time.monotonic()))


def judged(timeline: list[dict[str, Any]], play: tuple[Phase, ...]) -> list[dict[str, Any]]:
    """Per phase: attainment without its first second, accuracy, and when the first phase's accuracy is back (s).

    `back_after_s` counts from the phase's beginning to the first second whose effective accuracy is within 0.3 points
    of the first phase's median; None where none is.
    """
    rows: list[dict[str, Any]] = []
    at = 0
    former = statistics.median(_accuracy(second) for second in timeline[1 : play[0].length_s])
    for phase in play:
        seconds = timeline[at : at + phase.length_s]
        settled = seconds[1:]
        offered = sum(s["offered"] for s in settled)
        back = [i for i, s in enumerate(seconds) if _accuracy(s) >= former - 0.003]
        rows.append(
            {
                "phase": phase.name,
                "attainment_first_second": seconds[0]["in_time"] / max(1, seconds[0]["offered"]),
                "attainment": sum(s["in_time"] for s in settled) / max(1, offered),
                "least_second": min(s["in_time"] / max(1, s["offered"]) for s in settled),
                "effective_accuracy": statistics.fmean(map(_accuracy, settled)),
                "back_after_s": back[0] if back else None,
            }
        )
        at += phase.length_s
    return rows


def _accuracy(second: dict[str, Any]) -> float:
    return second["effective_accuracy"] or 0.0


def _line(row: dict[str, Any]) -> str:
    return (
        f"{row['phase']:<22} attained {100 * row['attainment']:6.2f} % "
        f"(first second {100 * row['attainment_first_second']:.1f}, worst {100 * row['least_second']:.1f}) "
        f"accuracy {100 * row['effective_accuracy']:.2f} back after {row['back_after_s']} s"
    )


def markdown(result: dict[str, Any]) -> str:
    """Median and range over the rounds."""
    machine, rounds = result["machine"], result["rounds"]
    lines = [
        "# Re-tuning under load\n",
        f"{machine['cpu']}, {machine['usable_cores']} cores; {result['rate_rps']:.0f} requests/s (Poisson), SLO "
        f"{result['slo_ms']} ms, {len(rounds)} rounds, {result['seconds_per_phase']} s a phase; {machine['date']}.",
        "The client shares the cores. Command: `python benchmarks/profiling/retune_live.py`.\n",
        "| phase | attainment % after the first second, median (range) | first second % | effective accuracy % | "
        "first phase's accuracy is back after (s) |",
        "| --- | --- | --- | --- | --- |",
    ]
    for i, first in enumerate(rounds[0]["phases"]):
        rows = [r["phases"][i] for r in rounds]
        cells = [
            _median(rows, key, 100)
            for key in ("attainment", "attainment_first_second", "effective_accuracy")
        ]
        back = ", ".join(
            "never" if r["back_after_s"] is None else str(r["back_after_s"]) for r in rows
        )
        lines.append(f"| {first['phase']} | {' | '.join(cells)} | {back} |")
    unexpected = sum(row["count"] for r in rounds for row in r["unexpected"].values())
    total = sum(sum(r["outcomes"].values()) for r in rounds)
    lines += ["", f"Answers other than OK, overload and deadline: {unexpected} of {total}.", ""]
    return "\n".join(lines)


def _median(rows: list[dict[str, Any]], key: str, scale: float) -> str:
    values = [scale * row[key] for row in rows]
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=float, default=150.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=15)
    parser.add_argument("--slo-ms", type=float, default=50.0)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
