"""OpenVINO's choices of batch shapes, beside ONNX Runtime: one graph for any rows, or one compiled for each size.

On one thread, over the sizes in turn (as a server's batches come) and over one size alone, interleaved over `--rounds`.
The figures behind `SIZES` of models/backends/openvino_graphs/compiling.py.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks import rig
from models.artifacts import default_repository, load_family
from models.backends import Way, open_backend
from models.catalog import Family, Variant
from profiler.measuring.measure import sample_inputs

IN_TURN = (1, 3, 2, 4)
LARGE = (8, 16, 32)


def main() -> int:
    """Write benchmarks/results/shapes.{json,md}."""
    options = _options()
    os.sched_setaffinity(0, {rig.server_and_client()[0]})
    folder = default_repository() / "imagenet"
    family = load_family(folder, verify=False)
    rows: list[dict[str, Any]] = []
    for name in options.variants.split(","):
        variant = family.variant(name)
        if variant is None:
            print(f"shapes: no variant {name}; build the family again", file=sys.stderr)
            return 2
        rows += _measured(folder, family, variant, options.rounds)
    rig.write("shapes", {"machine": rig.machine(), "rows": rows}, markdown(rows, options.rounds))
    return 0


def _measured(folder: Path, family: Family, variant: Variant, rounds: int) -> list[dict[str, Any]]:
    runs: dict[str, Callable[[int], object]] = {
        "openvino, any rows": _any_rows(folder, family, variant),
        "openvino, as served": _served(folder, family, variant, Way("openvino")),
        "onnxruntime": _served(folder, family, variant, Way("onnxruntime")),
    }
    took: dict[tuple[str, str, int], list[float]] = {}
    for turn in range(rounds + 1):  # the first is for warming up
        for name, run in runs.items():
            for kind, sizes in (
                ("in turn", IN_TURN),
                *(("alone", (b, b, b)) for b in (*IN_TURN, *LARGE)),
            ):
                for place, batch in enumerate(sizes):
                    start_s = time.perf_counter()
                    run(batch)
                    spent_s = time.perf_counter() - start_s
                    if turn and (kind == "in turn" or place):
                        took.setdefault((name, kind, batch), []).append(spent_s)
    return [
        {
            "variant": variant.name,
            "way": way,
            "sizes": kind,
            "batch": batch,
            **_per_row(spent, batch),
        }
        for (way, kind, batch), spent in took.items()
    ]


def _per_row(spent_s: list[float], batch: int) -> dict[str, Any]:
    low, _, high = (1e3 * quartile / batch for quartile in statistics.quantiles(spent_s, n=4))
    median = 1e3 * statistics.median(spent_s) / batch
    return {"median_ms_per_row": median, "quartiles_ms_per_row": [low, high]}


def _served(folder: Path, family: Family, variant: Variant, way: Way) -> Callable[[int], object]:
    backend = open_backend(folder, family, variant, threads=1, way=way)
    inputs = sample_inputs(family, max(LARGE))
    return lambda batch: backend.run({name: array[:batch] for name, array in inputs.items()})


def _any_rows(folder: Path, family: Family, variant: Variant) -> Callable[[int], object]:
    import openvino as ov

    hint = "f32" if variant.precision == "fp32" else "bf16"
    options = {"NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": hint}
    compiled = ov.Core().compile_model(folder / variant.artifact, "CPU", options)
    request = compiled.create_infer_request()
    inputs = sample_inputs(family, max(LARGE))

    def run(batch: int) -> None:
        for name, array in inputs.items():
            request.set_tensor(name, ov.Tensor(array[:batch], shared_memory=True))
        request.infer()

    return run


def markdown(rows: list[dict[str, Any]], rounds: int) -> str:
    """Per row and batch size."""
    machine = rig.machine()
    batches = sorted({r["batch"] for r in rows})
    lines = [
        "# Batch shapes\n",
        f"{machine['cpu']}, one thread, {rounds} interleaved rounds, {machine['date']}. Median (quartiles) of the "
        "milliseconds per row. `in turn`: batches of 1, 3, 2 and 4 one after the other.",
        "Command: `python benchmarks/profiling/shapes.py`.\n",
        "| variant | way | sizes | " + " | ".join(f"b{b}" for b in batches) + " |",
        "| --- | --- | --- |" + " --- |" * len(batches),
    ]
    for key in dict.fromkeys((r["variant"], r["way"], r["sizes"]) for r in rows):
        mine = {r["batch"]: r for r in rows if (r["variant"], r["way"], r["sizes"]) == key}
        cells = [_cell(mine.get(b)) for b in batches]
        lines.append(f"| {' | '.join(key)} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    low, high = row["quartiles_ms_per_row"]
    return f"{row['median_ms_per_row']:.2f} ({low:.2f}-{high:.2f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--variants",
        default="efficientnet_lite0-int8,efficientnet_lite2-bf16,efficientnet_lite2-int8",
    )
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
