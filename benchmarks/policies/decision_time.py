"""How long one decision takes with many arms and a long queue: the policy alone, timed on one core.

The queue is kept at QUEUED tickets: what a decision takes or drops is replaced by new arrivals, so that each decision
meets a queue it has not seen. Two queues: `served`, as many workers as can answer nearly all of it in time, and
`flood`, one worker: nearly all is dropped and replaced. Of each: tickets that ask for the same, also in
clumps, some that need more accuracy than others, classes whose answers are worth more than others', and any demand
there can be. Before these, what a server meets that has next to nothing to decide: one arm or few, and a short queue
(`benchmarks/policies/cases/short_queues.py`).
`python -m benchmarks.policies.decision_time` prints ours. Times are the core's, so that others on it do not count.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import count, cycle
from time import perf_counter, thread_time

import numpy as np

from benchmarks.policies.cases import short_queues
from benchmarks.policies.cases.short_queues import Took
from benchmarks.policies.cells import Machine, default_sources, machine
from server.policy.decision import Arm, ArmProfile, Outlook, Run, Ticket
from server.policy.queueing.tickets import Queue
from server.policy.registry import policy

ARMS, QUEUED = 24, 1000
VALUES = {"gold": 2.0, "plain": 1.0, "bulk": 0.3}
"""Three classes, and what answers to them are worth."""
MIXES = ("alike", "clumps", "two demands", "three classes", "any demand")
CLUMP_ROWS = 8.0
"""How many rows are said to come at once where they come in clumps."""
DECISIONS, WARM, PATIENCE_S = 2000, 50, 3.0
"""Decisions timed, those before that are not, and when to stop for a policy that is slow."""


def measure(names: Sequence[str], on: Machine) -> list[Took]:
    """Every policy over both queues of every mix, in a process pinned to one core."""
    arms = interpolated(on.arms, ARMS)
    fast = min(arm.mean_s[arm.max_batch] / arm.max_batch for arm in arms)
    enough = max(1, round(1.3 * QUEUED * fast / on.slo_s))
    core = min(os.sched_getaffinity(0))
    with ProcessPoolExecutor(1, initializer=os.sched_setaffinity, initargs=(0, {core})) as alone:
        waiting = [
            alone.submit(_timed, name, (kind, mix), arms, (on.slo_s, workers))
            for name in names
            for mix in MIXES
            for kind, workers in (("served", enough), ("flood", 1))
        ]
        short = alone.submit(short_queues.measure, names)
        return [*short.result(), *(future.result() for future in waiting)]


def interpolated(arms: Sequence[ArmProfile], number: int) -> list[ArmProfile]:
    """`number` arms along the line through the given ones, least accurate first, all with equally large tables."""
    ordered = sorted(arms, key=lambda a: a.accuracy)
    most = min(arm.max_batch for arm in ordered)
    at = np.linspace(0, len(ordered) - 1, number)
    known = range(len(ordered))
    accuracy = np.interp(at, known, [arm.accuracy for arm in ordered])
    means = _between(at, [arm.mean_s[: most + 1] for arm in ordered])
    uppers = _between(at, [arm.upper_s[: most + 1] for arm in ordered])
    return [
        ArmProfile(Arm(f"arm{i:02}", "file"), float(accuracy[i]), tuple(means[i]), tuple(uppers[i]))
        for i in range(number)
    ]


def _between(at: np.ndarray, tables: Sequence[Sequence[float]]) -> list[list[float]]:
    known = range(len(tables))
    columns = [np.interp(at, known, column) for column in zip(*tables, strict=True)]
    return np.array(columns).T.tolist()


def _demand(mix: str, arms: Sequence[ArmProfile], rng: np.random.Generator) -> Ticket:
    """A ticket that asks for what one of the mix does; its times (s) are not set."""
    floors = sorted(arm.accuracy for arm in arms)
    match mix:
        case "two demands":
            least = floors[-4] if rng.random() < 0.3 else 0.0
            return Ticket(0, 0.0, 0.0, min_accuracy=least)
        case "three classes":
            return Ticket(0, 0.0, 0.0, slo_class=str(rng.choice(list(VALUES))))
        case "any demand":
            rows, least = int(rng.integers(1, 5)), float(rng.choice(floors))
            name = str(rng.choice(list(VALUES)))
            return Ticket(0, 0.0, 0.0, rows, least, slo_class=name)
        case _:
            return Ticket(0, 0.0, 0.0)


def _stream(mix: str, arms: Sequence[ArmProfile], slo_s: float) -> Callable[[float], Ticket]:
    """A maker of tickets that arrive at a time (s)."""
    rng, numbers = np.random.default_rng(0), count()
    kinds = cycle([_demand(mix, arms, rng) for _ in range(997)])
    return lambda at_s: replace(
        next(kinds), id=next(numbers), arrival_s=at_s, deadline_s=at_s + slo_s
    )


def _timed(
    name: str, queue: tuple[str, str], arms: list[ArmProfile], terms: tuple[float, int]
) -> Took:
    slo_s, workers = terms
    kind, mix = queue
    took_s = np.array(_decisions(name, mix, arms, (slo_s, workers))[WARM:]) * 1e6
    p50, p99 = np.percentile(took_s, [50, 99])
    return {
        "policy": name,
        "queue": f"{kind}, {mix}, {workers} workers",
        "p50_us": float(p50),
        "p99_us": float(p99),
        "decisions": len(took_s),
    }


def _outlook(mix: str, terms: tuple[float, int], made: int) -> Outlook:
    """What the policy is told where `made` tickets have come."""
    slo_s, workers = terms
    values = VALUES if mix in {"three classes", "any demand"} else {}
    rows = CLUMP_ROWS if mix == "clumps" else 1.0
    return Outlook(QUEUED / slo_s, workers, made, (), values, clump_rows=rows, burst_rows=rows)


def _decisions(
    name: str, mix: str, arms: list[ArmProfile], terms: tuple[float, int]
) -> list[float]:
    """Seconds each decision took."""
    slo_s, workers = terms
    decide, queue = policy(name)(arms), Queue()
    asked = _stream(mix, arms, slo_s)
    now_s, made = 1.0, QUEUED
    ages_s = np.random.default_rng(0).uniform(0.0, 0.9 * slo_s, QUEUED)
    for age_s in np.sort(ages_s)[::-1].tolist():
        queue.push(asked(now_s - age_s))
    took_s: list[float] = []
    began = perf_counter()
    while len(took_s) < WARM + DECISIONS and (
        perf_counter() - began < PATIENCE_S or len(took_s) < 2 * WARM
    ):
        outlook = _outlook(mix, terms, made)
        started = thread_time()
        decision = decide(queue, outlook, now_s)
        took_s.append(thread_time() - started)
        gone = [drop.ticket for drop in decision.dropped]
        busy_s = 0.001
        if isinstance(decision, Run):
            gone += decision.tickets
            busy_s = decision.profile.mean_s[decision.rows]
        queue.pop(gone)
        step_s = busy_s / workers
        for _ in gone:
            queue.push(asked(now_s + step_s))
        made += len(gone)
        now_s += step_s
    return took_s


if __name__ == "__main__":
    for found in measure(["adaptive"], machine("gpu", default_sources())):
        print(found)
