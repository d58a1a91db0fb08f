"""torch run eagerly, by CUDA graphs and by torch.compile: one JSON line for each precision, way and batch size."""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import surroundings  # noqa: F401 - before any library that it keeps quiet

# isort: split
import numpy as np

from scripts.seeded_family import pictures, seeded_family

BATCHES = (1, 8, 32)
RUNS, SHARE_S = 50, 0.5


def main() -> None:
    """Cheapest way first, so that what takes long or dies comes last."""
    import torch

    from models.backends.torch_runtime.backend import CpuLane
    from models.backends.torch_runtime.program import read_graph

    device = "cpu" if "--cpu" in sys.argv or not torch.cuda.is_available() else "cuda"
    with tempfile.TemporaryDirectory() as folder:
        seeded_family(Path(folder), lambda _: None)
        path = Path(folder) / "mobilenet_v2-fp32.onnx"
        calls = {p: read_graph(path, p, device).call for p in ("fp32", "bf16", "fp16")}
    if device == "cpu":
        threads = torch.get_num_threads()
        report("fp32", "eager", lambda call: CpuLane(call, threads).run, calls["fp32"])
        report("bf16", "eager", lambda call: CpuLane(call, threads).run, calls["bf16"])
        return

    from models.backends.torch_runtime.cuda import CudaLane

    ways: dict[str, Callable[[Any], Any]] = {
        "eager": lambda call: CudaLane(call, 32, graphs=False).run,
        "graphs where faster": lambda call: CudaLane(call, 32).run,
        "compile": lambda call: CudaLane(torch.compile(call, dynamic=False), 32, graphs=False).run,
        "compile and graphs": lambda call: CudaLane(torch.compile(call, dynamic=False), 32).run,
    }
    for way, make in ways.items():
        for precision, call in calls.items():
            report(precision, way, make, call)


def report(precision: str, way: str, make: Callable[[Any], Any], call: Any) -> None:
    """Time one way at every batch size; a failure is a line with its reason."""
    for batch in BATCHES:
        row: dict[str, Any] = {"precision": precision, "way": way, "batch": batch}
        try:
            run, rows = make(call), pictures(batch)
            row |= timed(lambda: run([rows]))  # noqa: B023 - called at once
        except Exception as error:  # noqa: BLE001 - a compiler raises anything
            row["error"] = (
                f"{type(error).__name__}: {str(error).splitlines()[0][:200] if str(error) else ''}"
            )
        print(json.dumps(row), flush=True)


def timed(run: Callable[[], Any]) -> dict[str, float]:
    """The first call (s), in which graphs are captured and code is compiled, and the median of later ones (ms)."""
    start_s = time.perf_counter()
    first = run()
    first_s = time.perf_counter() - start_s
    if not all(np.isfinite(array).all() for array in first):
        raise ValueError("the answer is not finite")
    took_s: list[float] = []
    stop_s = time.perf_counter() + SHARE_S
    while len(took_s) < 3 or (time.perf_counter() < stop_s and len(took_s) < RUNS):
        start_s = time.perf_counter()
        run()
        took_s.append(time.perf_counter() - start_s)
    return {"first_s": round(first_s, 3), "p50_ms": round(1e3 * statistics.median(took_s), 4)}


if __name__ == "__main__":
    main()
