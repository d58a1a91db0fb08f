"""One live run of one policy, and the simulator's prediction for it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import grpc
import numpy as np

from benchmarks import rig
from server.policy.decision import Arm, ArmProfile
from server.policy.registry import policy
from server.simulator.arrivals import Times
from server.simulator.engine import simulate, tickets_at
from server.simulator.setup import Setup
from wire import control_pb2

WARMUP_S = 3.0
ASK_EVERY_S = 3.0
"""How often the server is asked for its arms' latencies while it is under load."""
REPLY_MARGIN_S = 0.002
"""What the server keeps back of each bound by default for the answer's way; the policy's deadline is earlier by it."""
FAMILY = "imagenet"
_GET_PLAN = "/gearshift.v1.Control/GetPlan"


@dataclass(frozen=True, slots=True)
class Arrivals:
    """What is offered, and the file it is handed to the load generator in."""

    times_s: Times
    duration_s: float
    slo_s: float
    path: Path


class Delivered(TypedDict):
    """What was delivered."""

    awg: float
    attainment: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class LiveRun:
    """One policy's run, in full or over the excerpt."""

    policy: str
    in_full: bool
    live: Delivered
    predicted: Delivered
    client_cpu_percent: float
    client_saturated: str


def measured(name: str, arrivals: Arrivals, in_full: bool) -> LiveRun:
    """Start a server with this policy, replay the arrivals, stop it; predict the same with the arms it reported."""
    np.savetxt(arrivals.path, arrivals.times_s, fmt="%.6f")
    slo_ms = f"{1e3 * arrivals.slo_s:.3f}"
    flags = ["--policy", name, "--families", FAMILY, "--slo-ms", slo_ms]
    with rig.serving(*flags) as server, ThreadPoolExecutor(1) as beside:
        loading = beside.submit(
            rig.load,
            server,
            arrivals=str(arrivals.path),
            as_recorded=True,
            duration_s=arrivals.duration_s,
            warmup_s=WARMUP_S,
            slo_ms=slo_ms,
        )
        plans: list[control_pb2.Plan] = []
        while True:
            try:
                report = loading.result(timeout=ASK_EVERY_S)
                break
            except StillRunning:
                plans.append(_plan(server))
    arms, workers = arms_of(plans), plans[-1].load.workers
    live: Delivered = {
        "awg": report["awg"],
        "attainment": report["attainment"],
        "accuracy": report["effective_accuracy"] or 0.0,
    }
    client = report["client"]
    expected = predicted(name, arrivals, arms, workers)
    return LiveRun(name, in_full, live, expected, client["cpu_percent"], client["saturated"])


def predicted(name: str, arrivals: Arrivals, arms: Sequence[ArmProfile], workers: int) -> Delivered:
    """The simulator on the very same times. An answer counts as late from the policy's own deadline on."""
    slo_s = arrivals.slo_s - REPLY_MARGIN_S
    tickets = tickets_at(arrivals.times_s.tolist(), slo_s)
    outcomes = simulate(arms, policy(name), tickets, Setup(slo_s, workers=workers))
    return {
        "awg": outcomes.awg(),
        "attainment": outcomes.attainment(),
        "accuracy": outcomes.effective_accuracy(),
    }


def arms_of(plans: Sequence[control_pb2.Plan]) -> list[ArmProfile]:
    """Every arm with its tables averaged over the plans, straight lines between the batch sizes a plan tells."""
    arms: list[ArmProfile] = []
    for of_one in zip(*(plan.arms for plan in plans), strict=True):
        first = of_one[0]
        rows = [point.rows for point in first.latency]
        mean_s, upper_s = (_table_s(of_one, key, rows) for key in ("mean_ms", "upper_ms"))
        named = Arm(first.variant, first.backend, first.device)
        arms.append(ArmProfile(named, first.accuracy, mean_s, upper_s))
    return arms


def _table_s(
    of_one: Sequence[control_pb2.ArmPlan], key: str, rows: Sequence[int]
) -> tuple[float, ...]:
    """The mean (s) over plans of one arm's table `key`, by rows from 0."""
    means_ms = np.mean([[getattr(point, key) for point in arm.latency] for arm in of_one], 0)
    every_ms = np.interp(np.arange(1, rows[-1] + 1), rows, means_ms)
    return (0.0, *(every_ms / 1e3).tolist())


def _plan(server: rig.Server) -> control_pb2.Plan:
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        ask = channel.unary_unary(
            _GET_PLAN,
            request_serializer=control_pb2.GetPlanRequest.SerializeToString,
            response_deserializer=control_pb2.GetPlanResponse.FromString,
        )
        return ask(control_pb2.GetPlanRequest(family=FAMILY), timeout=5.0).plans[0]
