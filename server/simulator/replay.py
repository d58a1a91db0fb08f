"""What would each candidate dispatcher have delivered? The last window of real requests, through the simulator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from server.policy.decision import ArmProfile, PolicyFactory, Ticket
from server.simulator.engine import simulate
from server.simulator.noise import Noise, Stall
from server.simulator.setup import Setup


@dataclass(frozen=True, slots=True)
class ReplaySetup:
    """What the window is replayed on: as many workers and as long a queue as the server has, and its scatter.

    `cv`: standard deviation over mean of a batch's latency, as measured. Every candidate meets the same `seed`.
    """

    workers: int = 1
    capacity_rows: int = 4096
    cv: float = 0.04
    seed: int = 0


def replay(
    arms: Sequence[ArmProfile],
    tickets: Sequence[Ticket],
    candidates: Mapping[str, PolicyFactory],
    stage: ReplaySetup,
) -> dict[str, float]:
    """Accuracy-weighted goodput (0..1) of each candidate on `tickets`, sorted by arrival.

    `arms` are taken to cost what they say: they are at the present speed already. Raises ValueError if there are no
    tickets, or if a candidate cannot be built for `arms`.
    """
    if not tickets:
        raise ValueError("no requests to replay; record some first")
    setup = Setup(
        slo_s=tickets[0].deadline_s - tickets[0].arrival_s,
        workers=stage.workers,
        capacity_rows=stage.capacity_rows,
        noise=Noise(cv=stage.cv, stalls=_stalls(arms)),
        seed=stage.seed,
        follow="profile",
    )
    return {
        name: simulate(arms, factory, tickets, setup).awg() for name, factory in candidates.items()
    }


def _stalls(arms: Sequence[ArmProfile]) -> tuple[Stall, ...]:
    """Batches stall as the arms are known to."""
    share, factor = max(arm.stalls for arm in arms)
    return (Stall(share, factor),) if share else ()
