"""How long one decision takes with many arms and a long queue: the policy alone, timed on one core.

The queue is kept at QUEUED tickets: what a decision takes or drops is replaced by new arrivals, so that each decision
meets a queue it has not seen. Two queues: `served`, as many workers as can answer nearly all of it in time, and
`flood`, one worker: nearly all is dropped and replaced. `python -m benchmarks.policies.decision_time` prints ours.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from time import perf_counter
from typing import TypedDict

import numpy as np

from benchmarks.policies.cells import Machine, default_sources, machine
from server.policy.decision import Arm, ArmProfile, Outlook, Run, Ticket
from server.policy.queueing.tickets import Queue
from server.policy.registry import policy

ARMS, QUEUED = 24, 1000
DECISIONS, WARM, PATIENCE_S = 2000, 50, 3.0
"""Decisions timed, those before that are not, and when to stop for a policy that is slow."""


class Took(TypedDict):
    """One policy's decision times over one kind of queue."""

    policy: str
    queue: str
    p50_us: float
    p99_us: float
    decisions: int


def measure(names: Sequence[str], on: Machine) -> list[Took]:
    """Every policy over both queues, in a process pinned to one core."""
    arms = interpolated(on.arms, ARMS)
    fast = min(arm.mean_s[arm.max_batch] / arm.max_batch for arm in arms)
    enough = max(1, round(1.3 * QUEUED * fast / on.slo_s))
    core = min(os.sched_getaffinity(0))
    with ProcessPoolExecutor(1, initializer=os.sched_setaffinity, initargs=(0, {core})) as alone:
        queues = (("served", enough), ("flood", 1))
        waiting = [
            alone.submit(_timed, name, kind, arms, (on.slo_s, workers))
            for name in names
            for kind, workers in queues
        ]
        return [future.result() for future in waiting]


def interpolated(arms: Sequence[ArmProfile], count: int) -> list[ArmProfile]:
    """`count` arms along the line through the given ones, least accurate first, all with equally large tables."""
    ordered = sorted(arms, key=lambda a: a.accuracy)
    most = min(arm.max_batch for arm in ordered)
    at = np.linspace(0, len(ordered) - 1, count)
    known = range(len(ordered))
    accuracy = np.interp(at, known, [arm.accuracy for arm in ordered])
    means = _between(at, [arm.mean_s[: most + 1] for arm in ordered])
    uppers = _between(at, [arm.upper_s[: most + 1] for arm in ordered])
    return [
        ArmProfile(Arm(f"arm{i:02}", "file"), float(accuracy[i]), tuple(means[i]), tuple(uppers[i]))
        for i in range(count)
    ]


def _between(at: np.ndarray, tables: Sequence[Sequence[float]]) -> list[list[float]]:
    known = range(len(tables))
    columns = [np.interp(at, known, column) for column in zip(*tables, strict=True)]
    return np.array(columns).T.tolist()


def _timed(name: str, kind: str, arms: list[ArmProfile], terms: tuple[float, int]) -> Took:
    slo_s, workers = terms
    took_s = np.array(_decisions(name, arms, slo_s, workers)[WARM:]) * 1e6
    p50, p99 = np.percentile(took_s, [50, 99])
    return {
        "policy": name,
        "queue": f"{kind}, {workers} workers",
        "p50_us": float(p50),
        "p99_us": float(p99),
        "decisions": len(took_s),
    }


def _decisions(name: str, arms: list[ArmProfile], slo_s: float, workers: int) -> list[float]:
    """Seconds each decision took."""
    decide = policy(name)(arms)
    queue, rng = Queue(), np.random.default_rng(0)
    now_s, made = 1.0, QUEUED
    for i, age_s in enumerate(np.sort(rng.uniform(0.0, 0.9 * slo_s, QUEUED))[::-1].tolist()):
        queue.push(Ticket(i, now_s - age_s, now_s - age_s + slo_s))
    took_s: list[float] = []
    began = perf_counter()
    while len(took_s) < WARM + DECISIONS and (
        perf_counter() - began < PATIENCE_S or len(took_s) < 2 * WARM
    ):
        outlook = Outlook(QUEUED / slo_s, workers, made)
        started = perf_counter()
        decision = decide(queue, outlook, now_s)
        took_s.append(perf_counter() - started)
        gone = [drop.ticket for drop in decision.dropped]
        busy_s = 0.001
        if isinstance(decision, Run):
            gone += decision.tickets
            busy_s = decision.profile.mean_s[decision.rows]
        queue.pop(gone)
        step_s = busy_s / workers
        for _ in gone:
            made += 1
            queue.push(Ticket(made, now_s + step_s, now_s + step_s + slo_s))
        now_s += step_s
    return took_s


if __name__ == "__main__":
    for found in measure(["adaptive"], machine("gpu", default_sources())):
        print(found)
