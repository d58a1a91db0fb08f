"""How many requests a second of wall time the simulator serves on one core: a simple policy, and the adaptive one.

    python -m benchmarks.policies.simulator_speed [--profile P.csv] [--utilisation U] [--requests N] [--runs N]

The simple policy runs the first tickets, as many as the cheapest arm's largest batch within the SLO holds. The load is
Poisson, at a share of what that arm carries. Tickets are made beforehand; reading the figures out afterwards counts.
"""

import argparse
import json
import time
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from statistics import median

from server.policy.decision import (
    Arm,
    ArmProfile,
    Decision,
    Idle,
    Outlook,
    Policy,
    PolicyFactory,
    Run,
    Ticket,
)
from server.policy.registry import policy
from server.simulator.arrivals import poisson
from server.simulator.engine import simulate, tickets_at
from server.simulator.profile_file import read_arms
from server.simulator.setup import Follow, Setup

SLO_S = 0.036


def simple(arms: Sequence[ArmProfile]) -> Policy:
    """Take all that fits on the arm with the most throughput within half the SLO."""
    arm, cap = max(((a, _cap(a)) for a in arms), key=lambda x: x[1] / x[0].mean_s[x[1]])

    def decide(tickets: Sequence[Ticket], _outlook: Outlook, _now_s: float) -> Decision:
        return Run(arm, tuple(tickets[:cap]), "first") if tickets else Idle()

    return decide


def measured(
    name: str, follow: Follow, arms: Sequence[ArmProfile], options: argparse.Namespace
) -> dict[str, object]:
    """Requests a second over several runs, after one that warms up."""
    factory, setup = _NAMED[name], Setup(SLO_S, follow=follow)
    busiest = max(_cap(arm) / arm.mean_s[_cap(arm)] for arm in arms)
    rate_rps = options.utilisation * busiest
    times_s = poisson(rate_rps, options.requests / rate_rps, seed=1).tolist()
    tickets = tickets_at(times_s, SLO_S)
    rates: list[float] = []
    attainment = 0.0
    for _ in range(options.runs + 1):
        began_s = time.perf_counter()
        attainment = simulate(arms, factory, tickets, setup).attainment()
        rates.append(len(tickets) / (time.perf_counter() - began_s))
    kept = sorted(rates[1:])
    return {
        "policy": name,
        "follow": follow,
        "offered_rps": round(rate_rps, 1),
        "requests": len(tickets),
        "requests_per_s": round(median(kept)),
        "least": round(kept[0]),
        "most": round(kept[-1]),
        "attainment": round(attainment, 4),
    }


def main() -> None:
    """Measure both policies, keeping to the profile or following the speed: one line of JSON each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--profile", type=Path, help="CSV; without it a made-up GPU of four arms")
    parser.add_argument("--utilisation", type=float, default=0.9, help="of the cheapest arm")
    parser.add_argument("--requests", type=int, default=200_000)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    arms = read_arms(options.profile, Path()) if options.profile else _made_up()
    for name, follow in product(_NAMED, _WAYS):
        print(json.dumps(measured(name, follow, arms, options)))


def _cap(arm: ArmProfile) -> int:
    return max(b for b in range(1, arm.max_batch + 1) if b == 1 or arm.upper_s[b] <= 0.5 * SLO_S)


def _made_up() -> list[ArmProfile]:
    """Arms whose batches cost far less than their rows one by one."""
    rows = [
        ("a", 0.77, 3.0, 1.0),
        ("b", 0.80, 4.5, 1.4),
        ("c", 0.82, 7.0, 2.0),
        ("d", 0.84, 9.0, 3.2),
    ]
    return [_made(name, accuracy, first / 1e3, row / 1e3) for name, accuracy, first, row in rows]


def _made(variant: str, accuracy: float, first_s: float, row_s: float) -> ArmProfile:
    mean_s = (0.0, *(first_s + row_s * b for b in range(32)))
    return ArmProfile(Arm(variant, "made-up"), accuracy, mean_s, tuple(1.07 * s for s in mean_s))


_NAMED: dict[str, PolicyFactory] = {"simple": simple, "adaptive": policy("adaptive")}
_WAYS: tuple[Follow, ...] = ("profile", "measured")


if __name__ == "__main__":
    main()
