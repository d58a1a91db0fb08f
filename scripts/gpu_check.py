"""What the engines of this machine do: contract suite, parity with fp32 on the CPU, latency by batch, torch's ways.

Run by scripts/gpu_check.sh. Writes benchmarks/results/gpu_check-<device>.json and .md. Every step may fail alone and is
recorded with its reason; the exit code is 1 if a check failed, a runtime that is missing is none. Needs torch or
onnxruntime, onnx, numpy and pytest; no network. `--cpu` leaves the GPU out.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.artifacts import ArtifactError, default_repository, load_family
from models.backends import Way, open_backend, ways
from models.backends.base import BackendError
from models.catalog import Family, Variant
from scripts.gpu_check_machine import described
from scripts.gpu_check_report import table
from scripts.seeded_family import pictures, seeded_family

ROOT = Path(__file__).parent.parent
PARITY_ROWS = 32
BATCHES = (1, 2, 4, 8, 16, 32)
TOLERATED = {"fp32": 0.01, "fp16": 0.03, "bf16": 0.25, "int8": 0.6}
"""Precision -> root mean square error allowed, as a share of the reference's standard deviation; fp32 may be TF32."""
SHARE_S, MOST_RUNS, LEAST_RUNS = 0.25, 200, 3
SUITE_S, COMPILE_S = 150, 120


@dataclass
class Check:
    """What has been found so far, and what failed."""

    deadline_s: float
    cpu_only: bool
    found: dict[str, Any] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    def say(self, text: str) -> None:
        print(f"[{self.deadline_s - time.monotonic():4.0f} s left] {text}", flush=True)

    def step(self, name: str, work: Callable[["Check"], Any]) -> None:
        self.say(name)
        try:
            self.found[name] = work(self)
        except Exception as error:  # noqa: BLE001 - a step may fail alone, whatever it raises
            traceback.print_exc()
            self.found[name] = {"error": f"{type(error).__name__}: {error}"}
            self.failed.append(f"{name}: {error}")

    def has_time(self) -> bool:
        return time.monotonic() < self.deadline_s


def main() -> int:
    """Run every step, write the report; 1 where a check failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpu", action="store_true", help="leave the GPU out")
    parser.add_argument("--budget-s", type=float, default=400.0, help="time for all steps (s)")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    args = parser.parse_args()
    check = Check(time.monotonic() + args.budget_s, args.cpu)
    check.step("machine", machine)
    check.step("contract suite", contract_suite)
    with tempfile.TemporaryDirectory() as folder:
        check.step("arms", lambda c: arms(c, Path(folder)))
    check.step("torch", torch_ways)
    write(check, args.out)
    for failure in check.failed:
        print(f"FAILED {failure}")
    return int(bool(check.failed))


def machine(check: Check) -> dict[str, Any]:
    """Device, driver, Python, and which runtimes import; a runtime that is missing is no failure."""
    found = described(cpu_only=check.cpu_only)
    if not found["gpu"] and not check.cpu_only:
        check.failed.append("machine: nvidia-smi finds no GPU; run with --cpu to leave it out")
    return found


def contract_suite(check: Check) -> dict[str, Any]:
    """Every backend present, devices included; settings given here, for pytest's plugins may be missing."""
    with tempfile.NamedTemporaryFile("w", suffix=".ini") as settings:
        settings.write(
            "[pytest]\nmarkers =\n    gpu: needs an NVIDIA GPU\n    weights: needs the artefacts\n"
        )
        settings.flush()
        pytest = [sys.executable, "-m", "pytest", str(ROOT / "tests" / "contract"), "-q", "-rfEs"]
        where = ["-c", settings.name, "--rootdir", str(ROOT), "--import-mode=importlib"]
        command = [*pytest, *where, "-p", "no:cacheprovider"]
        command += ["-m", "not gpu"] if check.cpu_only else []
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=SUITE_S,
            cwd=ROOT,
            env=_environment(),
            check=False,
        )
    lines = done.stdout.strip().splitlines()
    if done.returncode:
        print(done.stdout[-6000:], done.stderr[-2000:])
        check.failed.append(f"contract suite: {lines[-1] if lines else done.stderr[-200:]}")
    return {
        "summary": lines[-1] if lines else "",
        "skipped": sorted(
            {re.sub(r"^SKIPPED \[\d+\] \S+ ", "", x) for x in lines if x.startswith("SKIPPED")}
        ),
        "failures": [x for x in lines if x.startswith(("FAILED", "ERROR"))],
    }


def family_here(check: Check, folder: Path) -> tuple[Path, Family, str]:
    """The embedded family, or its architectures with seeded weights."""
    published = default_repository() / "imagenet"
    try:
        return published, load_family(published), "published weights"
    except ArtifactError:
        return folder, seeded_family(folder, check.say), "seeded random weights"


def arms(check: Check, folder: Path) -> dict[str, Any]:
    """Parity and latency of every variant by every way."""
    home, family, weights = family_here(check, folder)
    rows = pictures(PARITY_ROWS)
    references: dict[str, Any] = {}
    found: list[dict[str, Any]] = []
    for variant in family.variants:
        network = variant.name.rpartition("-")[0]
        if network not in references:
            full = next(v for v in family.variants if v.name == f"{network}-fp32")
            references[network] = _reference(home, family, full, rows)
        for way in ways(variant):
            if check.cpu_only and way.device != "cpu":
                continue
            found.append(_arm(check, (home, family, variant, way), rows, references[network]))
    return {"weights": weights, "rows": PARITY_ROWS, "arms": found}


def _reference(home: Path, family: Family, variant: Variant, rows: Any) -> Any:
    backend = open_backend(home, family, variant, threads=_threads(), way=ways(variant)[0])
    answers = [
        backend.run({family.inputs[0].name: rows[i : i + 8]}) for i in range(0, len(rows), 8)
    ]
    backend.close()
    return np.concatenate([a[family.outputs[0].name] for a in answers])


def _arm(
    check: Check, what: tuple[Path, Family, Variant, Way], rows: Any, reference: Any
) -> dict[str, Any]:
    home, family, variant, way = what
    row: dict[str, Any] = {"variant": variant.name, "backend": way.backend, "device": way.device}
    if not check.has_time():
        return {**row, "error": "no time left"}
    check.say(f"{variant.name} by {way.backend} on {way.device}")
    try:
        start_s = time.perf_counter()
        backend = open_backend(home, family, variant, threads=_threads(), way=way)
        row["load_s"] = round(time.perf_counter() - start_s, 3)
        run = lambda n: backend.run({family.inputs[0].name: rows[:n]})  # noqa: E731 - one expression
        row |= _parity(run(len(rows))[family.outputs[0].name], reference)
        row["latency_ms"] = {
            n: _latency_ms(lambda n=n: run(n)) for n in BATCHES if check.has_time()
        }
        backend.close()
    except BackendError as error:
        check.failed.append(f"{variant.name} by {way}: {error}")
        return {**row, "error": str(error)}
    if not row["rms_error"] <= TOLERATED.get(variant.precision, 0.0):
        check.failed.append(f"parity of {variant.name} by {way}: rms error {row['rms_error']:.4f}")
    return row


def _parity(answer: Any, reference: Any) -> dict[str, float]:
    """Errors against the reference: the largest, as such and over the reference's deviation, rms, same best class."""
    error, deviation = np.abs(answer - reference), float(reference.std())
    return {
        "max_abs_error": float(error.max()),
        "max_error": float(error.max()) / deviation,
        "rms_error": float(np.sqrt(np.mean(error**2))) / deviation,
        "top1_agreement": float(np.mean(answer.argmax(1) == reference.argmax(1))),
    }


def _latency_ms(run: Callable[[], object]) -> dict[str, float]:
    """Warm up twice, then for a quarter of a second, thrice at least."""
    took_s: list[float] = []
    for _ in range(2):
        run()
    stop_s = time.perf_counter() + SHARE_S
    while len(took_s) < LEAST_RUNS or (time.perf_counter() < stop_s and len(took_s) < MOST_RUNS):
        start_s = time.perf_counter()
        run()
        took_s.append(time.perf_counter() - start_s)
    quantiles = {p: round(1e3 * float(np.percentile(took_s, p)), 4) for p in (50, 95, 99)}
    return {"n": len(took_s), **{f"p{p}": value for p, value in quantiles.items()}}


def _environment() -> dict[str, str]:
    """For a process of its own: this repository first, then whatever the caller's path holds."""
    path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
    return {**os.environ, "PYTHONPATH": path}


def _threads() -> int:
    return max(1, min(4, len(os.sched_getaffinity(0))))


def torch_ways(check: Check) -> dict[str, Any]:
    """Eager, CUDA graphs and torch.compile, in a process of its own: compiling may take long or die."""
    left_s = min(COMPILE_S, check.deadline_s - time.monotonic() + 30)
    command = [
        sys.executable,
        str(ROOT / "scripts" / "torch_ways.py"),
        *(["--cpu"] if check.cpu_only else []),
    ]
    environment = _environment()
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    try:
        output, _ = process.communicate(timeout=max(10.0, left_s))
        reason = "" if process.returncode == 0 else f"ended with {process.returncode}"
    except subprocess.TimeoutExpired:
        process.kill()
        output, _ = process.communicate()
        reason = "out of time: what is missing was not measured"
    rows = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    return {"rows": rows, "note": reason}


def write(check: Check, out: Path) -> None:
    """The report, as numbers and as a table."""
    device = check.found["machine"].get("device", "unknown")
    name = re.sub(r"[^a-z0-9]+", "-", device.lower()).strip("-")
    out.mkdir(parents=True, exist_ok=True)
    content = {**check.found, "failed": check.failed}
    (out / f"gpu_check-{name}.json").write_text(json.dumps(content, indent=1) + "\n")
    (out / f"gpu_check-{name}.md").write_text(table(content))
    check.say(f"written: {out / f'gpu_check-{name}.md'}")


if __name__ == "__main__":
    sys.exit(main())
