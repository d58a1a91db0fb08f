"""The two shells over one policy: the same arrivals on a live server and in the simulator come out alike."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from models.catalog import Family, Slo, TensorSpec
from profiler.measuring.measure import GRID
from server.policy.decision import Arm, ArmProfile
from server.policy.registry import policy
from server.simulator.engine import Setup, simulate, tickets_at
from server.simulator.noise import Noise
from tests.support.serving.commands import gearshift
from tests.support.serving.families import publish_scripted
from tests.support.serving.server import serving

ALL_READY = re.compile(r"3 of 3 arms ready")
SLO_S = 0.12
MARGIN_S = 0.002
"""What the server keeps back of every SLO for the answer's way."""
ARMS = {"small": (0.008, 0.70), "middle": (0.014, 0.76), "large": (0.028, 0.80)}
"""Seconds a row and accuracy: 125, 71 and 36 rows/s, with no gain from batching."""
FAMILY = Family(
    "paced",
    inputs=(TensorSpec("x", "FP32", (-1, 16)),),
    outputs=(TensorSpec("y", "FP32", (-1, 4)),),
    variants=(),
    slo=Slo(SLO_S),
    max_batch=8,
)


@pytest.mark.parametrize("rate_rps", [20.0, 60.0, 160.0], ids=["quiet", "busy", "overload"])
def test_the_simulator_foretells_the_live_server(tmp_path: Path, rate_rps: float):
    times_s = _poisson(rate_rps, seconds=5.0, seed=7)

    live = _live(tmp_path, times_s, rate_rps)
    simulated = _simulated(times_s)

    assert live["attainment"] == pytest.approx(simulated["attainment"], abs=0.06)
    assert live["awg"] == pytest.approx(simulated["awg"], abs=0.05)


def _poisson(rate_rps: float, seconds: float, seed: int) -> list[float]:
    gaps = np.random.default_rng(seed).exponential(1.0 / rate_rps, int(3 * rate_rps * seconds))
    times = np.cumsum(gaps)
    return [float(t) for t in times[times < seconds]]


def _live(root: Path, times_s: list[float], rate_rps: float) -> dict[str, float]:
    scripts = {name: f"per_row_s = {row_s}" for name, (row_s, _) in ARMS.items()}
    accuracies = {name: accuracy for name, (_, accuracy) in ARMS.items()}
    publish_scripted(root / "models", FAMILY, scripts, accuracies)
    trace = root / "arrivals.txt"
    trace.write_text("\n".join(f"{t:.6f}" for t in times_s) + "\n")
    with serving(root / "models", root, "--workers", "1") as server:
        server.await_line(ALL_READY)
        whom = ("--url", server.url, "--model", "paced", "--slo-ms", str(1e3 * SLO_S))
        load = ("--arrivals", str(trace), "--duration-s", "5", "--rate-rps", str(rate_rps))
        done = gearshift("loadtest", *whom, *load, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _simulated(times_s: list[float]) -> dict[str, float]:
    arms = [_arm(name, row_s, accuracy) for name, (row_s, accuracy) in ARMS.items()]
    setup = Setup(SLO_S - MARGIN_S, noise=Noise(cv=0.01, overhead_s=0.0005))
    done = simulate(arms, policy("adaptive"), tickets_at(times_s, SLO_S - MARGIN_S), setup)
    return {"attainment": done.attainment(), "awg": done.awg()}


def _arm(name: str, row_s: float, accuracy: float) -> ArmProfile:
    most = min(max(GRID), FAMILY.max_batch)
    mean_s = tuple(row_s * rows for rows in range(most + 1))
    return ArmProfile(Arm(name, "scripted"), accuracy, mean_s, tuple(1.05 * s for s in mean_s))
