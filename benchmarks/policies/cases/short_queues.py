"""How long a decision takes where there is next to nothing to decide: one arm or few, and a short queue.

Rows come alone, in bursts, or in step with each other, as clients do that wait for their answers. `told` is what the
shell needs beside the policy: what it says of traffic (`Outlook`), made for each decision.
"""

from collections.abc import Sequence
from itertools import product
from time import thread_time
from typing import TypedDict

import numpy as np

from server.policy.decision import Arm, ArmProfile, Outlook, Ticket
from server.policy.queueing import forecast
from server.policy.queueing.standing import Standing
from server.policy.queueing.tickets import Queue
from server.policy.registry import policy

ARMS, WAITING = (1, 4), (1, 4, 32, 64)
COMING = {"alone": (1.0, 1.0), "bursts": (1.0, 1.8), "in step": (20.0, 10.0)}
"""(clump, burst) in rows."""
SLO_S = 0.05
DECISIONS, WARM, AT_ONCE = 4000, 200, 20
"""Decisions timed, those before that are not, and how many are timed together: the clock takes long beside one."""


class Took(TypedDict):
    """One policy's decision times over one kind of queue."""

    policy: str
    queue: str
    p50_us: float
    p99_us: float
    decisions: int


def measure(names: Sequence[str]) -> list[Took]:
    """Every policy over every short queue, and what is told them."""
    found = [
        _took(
            name,
            f"{arms} arms, {waiting} waiting, {coming}",
            _decisions(name, arms, waiting, coming),
        )
        for name in names
        for arms, waiting, coming in product(ARMS, WAITING, COMING)
    ]
    return [*found, _took("any", "what it is told", _told())]


def few_arms(count: int) -> list[ArmProfile]:
    """Arms of up to 32 rows, from 0.2 ms for one, each half as slow again as the last."""
    found: list[ArmProfile] = []
    for i in range(count):
        mean_s = (0.0, *(1.5**i * (2e-4 + 5e-5 * b) for b in range(32)))
        upper_s = tuple(1.1 * s for s in mean_s)
        found.append(ArmProfile(Arm(f"arm{i}", "file"), 0.6 + 0.03 * i, mean_s, upper_s))
    return found


def _decisions(name: str, arms: int, waiting: int, coming: str) -> list[float]:
    """Seconds a decision took, on average over AT_ONCE."""
    decide, gap_s = policy(name)(few_arms(arms)), 1e-5
    queue = Queue.of(Ticket(i, i * gap_s, i * gap_s + SLO_S) for i in range(waiting))
    clump_rows, burst_rows = COMING[coming]
    seen = [
        Outlook(500.0 + 0.1 * i, clump_rows=clump_rows, burst_rows=burst_rows, boldness=0.5)
        for i in range(AT_ONCE)
    ]
    now_s, took_s = waiting * gap_s, list[float]()
    for _ in range((WARM + DECISIONS) // AT_ONCE):
        started = thread_time()
        for outlook in seen:
            decide(queue, outlook, now_s)
        took_s.append((thread_time() - started) / AT_ONCE)
    return took_s[WARM // AT_ONCE :]


def _told() -> list[float]:
    standing, arrivals = Standing({}, slo_s=SLO_S), forecast.Arrivals(SLO_S)
    for i in range(1000):
        arrivals = forecast.observe(arrivals, 1, 0.002 * i)
    took_s = list[float]()
    for at in range((WARM + DECISIONS) // AT_ONCE):
        started = thread_time()
        for _ in range(AT_ONCE):
            now_s = 2.0 + 0.001 * at
            Outlook(
                forecast.rate_rps(arrivals, now_s),
                values=standing.values(now_s),
                clump_rows=forecast.clump_rows(arrivals),
                burst_rows=forecast.burst_rows(arrivals),
                haste=standing.haste(now_s),
            )
        took_s.append((thread_time() - started) / AT_ONCE)
    return took_s[WARM // AT_ONCE :]


def _took(name: str, queue: str, took_s: Sequence[float]) -> Took:
    p50, p99 = np.percentile(np.array(took_s) * 1e6, [50, 99])
    return {
        "policy": name,
        "queue": queue,
        "p50_us": float(p50),
        "p99_us": float(p99),
        "decisions": len(took_s) * AT_ONCE,
    }


if __name__ == "__main__":
    for one in measure(["adaptive"]):
        print(f"{one['queue']:36s} p50 {one['p50_us']:6.1f} us, p99 {one['p99_us']:6.1f} us")
