"""What a switch costs: a batch on another arm than the worker's last, beside a batch on the same arm again.

One thread, two arms of the embedded family at a time: `a a b b a a ...`, so that both kinds meet the same machine.
Also each arm after all the others. What counts is CPU time, so that other work on the machine counts as little as it
can. Medians and quartiles over `--batches` of each kind: what does not stand out of the quartiles is not there.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig
from models.artifacts import default_repository, load_family
from models.backends import Way, open_backend
from profiler.measuring.measure import sample_inputs

ARMS = (
    ("mobilenet_v2-int8", "onnxruntime"),
    ("mobilenet_v2-int8", "openvino"),
    ("efficientnet_lite0-int8", "openvino"),
    ("efficientnet_lite2-int8", "onnxruntime"),
    ("efficientnet_lite2-int8", "openvino"),
    ("efficientnet_lite2-bf16", "openvino"),
    ("efficientnet_lite2-fp32", "onnxruntime"),
)
PAIRS = ((1, 0), (2, 4), (4, 5), (1, 4), (0, 3), (3, 6))
"""Indices of arms between which an adaptive server alternates."""
ROWS = 1
WARM = 5

Run = Callable[[], object]


def main() -> int:
    """Write benchmarks/results/switches.{json,md}."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--batches", type=int, default=300)
    options = parser.parse_args()
    os.sched_setaffinity(0, {rig.server_and_client()[0]})
    runs = _opened()
    found = [one for a, b in PAIRS for one in _pair(runs, (a, b), options.batches)]
    found += _round(runs, options.batches)
    content = {"machine": rig.machine(), "batches": options.batches, "rows": found}
    rig.write("switches", content, markdown(content))
    return 0


def _opened() -> list[Run]:
    folder = default_repository() / "imagenet"
    family = load_family(folder, verify=False)
    inputs = sample_inputs(family, ROWS)
    runs: list[Run] = []
    for name, way in ARMS:
        variant = family.variant(name)
        if variant is None:
            raise SystemExit(f"switches: no variant {name}; build the family again")
        backend = open_backend(folder, family, variant, threads=1, way=Way(way))
        runs.append(lambda backend=backend: backend.run(inputs))
    for run in runs:
        for _ in range(WARM):
            run()
    return runs


def _pair(runs: Sequence[Run], arms: tuple[int, int], batches: int) -> list[dict[str, Any]]:
    """Each of two arms after itself and after the other, taking turns."""
    order = [arm for _ in range(batches + 1) for arm in (arms[0], arms[0], arms[1], arms[1])]
    took = _timed(runs, order)
    return [_told(arm, took, f"after {_name(arms[0] + arms[1] - arm)}") for arm in arms]


def _round(runs: Sequence[Run], batches: int) -> list[dict[str, Any]]:
    """Each arm after itself and after all others."""
    everyone = range(len(runs))
    took = _timed(runs, [arm for _ in range(batches + 1) for arm in everyone for _ in range(2)])
    return [_told(arm, took, "after all others") for arm in everyone]


def _timed(runs: Sequence[Run], order: Sequence[int]) -> dict[tuple[int, bool], list[float]]:
    """Seconds of CPU time of every batch, by its arm and whether another one ran before."""
    took: dict[tuple[int, bool], list[float]] = {}
    runs[order[0]]()
    for before, arm in pairwise(order):
        begun_s = time.process_time()
        runs[arm]()
        took.setdefault((arm, before != arm), []).append(time.process_time() - begun_s)
    return took


def _told(arm: int, took: dict[tuple[int, bool], list[float]], kind: str) -> dict[str, Any]:
    stayed, switched = (statistics.quantiles(took[arm, other], n=4) for other in (False, True))
    return {
        "arm": _name(arm),
        "switch": kind,
        "stayed_ms": [1e3 * s for s in stayed],
        "switched_ms": [1e3 * s for s in switched],
        "cost_ms": 1e3 * (switched[1] - stayed[1]),
    }


def _name(arm: int) -> str:
    return f"{ARMS[arm][0]} on {ARMS[arm][1]}"


def markdown(content: dict[str, Any]) -> str:
    """One line an arm and kind of switch."""
    machine = content["machine"]
    lines = [
        "# Switches\n",
        f"{machine['cpu']}, one thread, batches of {ROWS} row, {content['batches']} of each kind, {machine['date']}. "
        "CPU time in ms, median (quartiles). Command: `python benchmarks/profiling/switches.py`.\n",
        "| arm | switch | same arm again | after a switch | costs |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in content["rows"]:
        stayed, switched = _quartiles(row["stayed_ms"]), _quartiles(row["switched_ms"])
        lines.append(
            f"| {row['arm']} | {row['switch']} | {stayed} | {switched} | {row['cost_ms']:+.2f} |"
        )
    return "\n".join(lines) + "\n"


def _quartiles(found: Sequence[float]) -> str:
    low, middle, high = found
    return f"{middle:.2f} ({low:.2f}-{high:.2f})"


if __name__ == "__main__":
    sys.exit(main())
