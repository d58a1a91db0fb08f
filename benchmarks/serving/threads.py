"""Intra-op threads against parallel instances: one instance with all cores, or one single-threaded instance a core?

Measures throughput and latency of both ways of using N cores, the ways taking turns, and writes the table that
decides the server's default: `python benchmarks/serving/threads.py [--cores 2] [--seconds 2]`.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from models.artifacts import ArtifactError, default_repository, load_family
from models.backends import open_backend
from models.backends.base import Backend, BackendError, Tensors
from models.catalog import Family, Variant
from profiler.hardware.fingerprint import detect, usable_cores
from profiler.measuring.measure import sample_inputs

RESULTS = Path(__file__).parents[1] / "results"
DISTURBED = "The machine was not quiet: run this again before relying on it."
SMALL, LARGE = "mobilenet_v2", "efficientnet_lite2"
BATCHES = (1, 8)
ROUNDS = 3
TOLERATED = 0.08
"""Share of the machine that other processes may take without spoiling a turn."""


@dataclass(frozen=True, slots=True)
class Rate:
    """One way of running one variant at one batch size."""

    variant: str
    batch: int
    instances: int
    threads: int
    rows_per_s: float
    p50_ms: float
    p95_ms: float
    alone_p50_ms: float


class Quiet:
    """Repeats what other processes disturbed, until its patience (s) is spent; `kept` are their shares."""

    def __init__(self, patience_s: float) -> None:
        self._left_s = patience_s
        self.kept: list[float] = []

    def drive(self, backends: Sequence[Backend], inputs: Tensors, seconds: float) -> list[float]:
        """`drive` the first time that others leave it the machine, or at last."""
        while True:
            start_s, others_s = time.perf_counter(), others_busy_s()
            result = drive(backends, inputs, seconds)
            wall_s = time.perf_counter() - start_s
            share = max(0.0, (others_busy_s() - others_s) / (wall_s * (os.cpu_count() or 1)))
            if share <= TOLERATED or self._left_s <= 0:
                self.kept.append(share)
                return result
            self._left_s -= wall_s


def others_busy_s() -> float:
    """Processor time (s) that everyone but this process has used since the machine started."""
    words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    user, nice, system, _, _, irq, softirq, steal = map(int, words[1:9])
    busy_s = (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
    return busy_s - time.process_time()


def main(argv: Sequence[str]) -> int:
    """Measure, print, write `threads.json` and `threads.md`; 2 where there is nothing to measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cores", type=int, default=usable_cores())
    parser.add_argument("--seconds", type=float, default=2.0, help="time for each way and turn")
    parser.add_argument("--repository", type=Path, default=None)
    parser.add_argument("--patience-s", type=float, default=120.0, help="for a quiet machine")
    options = parser.parse_args(argv)
    folder = (options.repository or default_repository()) / "imagenet"
    quiet = Quiet(options.patience_s)
    try:
        family = load_family(folder)
        rows = [
            row
            for variant in family.variants
            if variant.name.startswith((SMALL, LARGE))
            for row in compare((folder, family), variant, options.cores, options.seconds, quiet)
        ]
    except (ArtifactError, BackendError) as error:
        print(f"benchmarks/serving/threads.py: {error}", file=sys.stderr)
        return 2
    write(rows, options.cores, quiet)
    return 0


def compare(
    repository: tuple[Path, Family], variant: Variant, cores: int, seconds: float, quiet: "Quiet"
) -> list[Rate]:
    """Both ways at every batch size; they take turns, so that other processes disturb both alike."""
    folder, family = repository
    ways = {
        threads: [
            open_backend(folder, family, variant, threads=threads) for _ in range(cores // threads)
        ]
        for threads in (1, cores)
    }
    rows: list[Rate] = []
    for batch in BATCHES:
        inputs = sample_inputs(family, batch)
        found = {threads: ([], []) for threads in ways}
        for _ in range(ROUNDS):
            for threads, backends in ways.items():
                turns, alone = found[threads]
                turns.append(quiet.drive(backends, inputs, seconds))
                alone.extend(quiet.drive(backends[:1], inputs, seconds / 2))
        for threads, (turns, alone) in found.items():
            rows.append(_row(variant.name, batch, (cores // threads, threads), turns, alone))
            print(rows[-1], file=sys.stderr)
    return rows


def drive(backends: Sequence[Backend], inputs: Tensors, seconds: float) -> list[float]:
    """Run every backend back to back on a thread of its own; the latencies (s) of all runs."""
    took_s: list[list[float]] = [[] for _ in backends]
    for backend in backends:
        backend.run(inputs)
    stop_s = time.perf_counter() + seconds

    def work(backend: Backend, mine: list[float]) -> None:
        now_s = time.perf_counter()
        while now_s < stop_s:
            start_s = now_s
            backend.run(inputs)
            now_s = time.perf_counter()
            mine.append(now_s - start_s)

    pairs = zip(backends, took_s, strict=True)
    threads = [threading.Thread(target=work, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [s for mine in took_s for s in mine]


def _row(
    name: str, batch: int, way: tuple[int, int], turns: list[list[float]], alone: list[float]
) -> Rate:
    """Medians over the turns: a turn that another process disturbed does not count."""
    instances, threads = way
    rates = [batch * instances / np.mean(turn) for turn in turns]
    p50, p95 = (np.median([np.quantile(turn, q) for turn in turns]) * 1e3 for q in (0.5, 0.95))
    lone = float(np.median(alone)) * 1e3
    return Rate(
        name, batch, instances, threads, float(np.median(rates)), float(p50), float(p95), lone
    )


def write(rows: Sequence[Rate], cores: int, quiet: Quiet) -> None:
    """`results/threads.json` and `results/threads.md`."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    hardware = detect()
    content = {
        "cores": cores,
        "fingerprint": hardware.fingerprint(),
        "hardware": hardware.described(),
        "others_share": {"mean": float(np.mean(quiet.kept)), "worst": max(quiet.kept)},
        "rows": [asdict(row) for row in rows],
    }
    (RESULTS / "threads.json").write_text(json.dumps(content, indent=1) + "\n")
    lines = [
        f"# Intra-op threads against instances, {cores} cores\n",
        f"`python benchmarks/serving/threads.py` on {hardware.cpu}. Every instance runs back to back; "
        "`alone` is the median latency while only one instance runs. Medians of "
        f"{ROUNDS} turns. Meanwhile other processes took {np.mean(quiet.kept):.0%} of the machine, "
        f"{max(quiet.kept):.0%} at worst.\n",
        "| variant | batch | instances x threads | rows/s | p50 ms | p95 ms | alone ms |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| {r.variant} | {r.batch} | {r.instances} x {r.threads} | {r.rows_per_s:.1f} "
            f"| {r.p50_ms:.2f} | {r.p95_ms:.2f} | {r.alone_p50_ms:.2f} |"
            for r in rows
        ),
        "",
        _verdict(rows),
        "" if np.mean(quiet.kept) <= TOLERATED else DISTURBED,
    ]
    text = "\n".join(lines).rstrip() + "\n"
    (RESULTS / "threads.md").write_text(text)
    print(text)


def _verdict(rows: Sequence[Rate]) -> str:
    """Geometric means over all variants and batch sizes: single-threaded instances against one wide one."""
    key = {(r.variant, r.batch, r.threads > 1): r for r in rows}
    pairs = [(key[v, b, False], r) for (v, b, wide), r in key.items() if wide]
    if not pairs:
        return "One core: there is nothing to choose."
    rate = np.exp(np.mean([np.log(many.rows_per_s / wide.rows_per_s) for many, wide in pairs]))
    lone = np.exp(np.mean([np.log(many.alone_p50_ms / wide.alone_p50_ms) for many, wide in pairs]))
    return (
        f"Single-threaded instances carry {rate:.2f}x the rows of one wide instance; "
        f"a lone request takes {lone:.2f}x as long on one of them."
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
