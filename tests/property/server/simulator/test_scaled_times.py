"""All times k times as long, for k = 2^n: the very same is decided, at times that are exactly k times as late."""

from dataclasses import dataclass

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from server.policy.decision import Ticket
from server.policy.registry import policy
from server.simulator.noise import Noise, Spell, Stall
from server.simulator.setup import Follow, Setup, Switching
from tests.support.builders import cpu_arms
from tests.support.scaling import POWERS, served

SLO_S = 0.0472
ROW_S = 0.0025
"""About what a row takes at best."""
REQUESTS = 400


@dataclass(frozen=True, slots=True)
class Client:
    """One kind of request: its class, bound (in SLOs), least accuracy, pinned variant and rows."""

    slo_class: str = "default"
    slos: float = 1.0
    min_accuracy: float = 0.0
    variant: str | None = None
    rows: int = 1


PLAIN = (Client(),)
CLASSES = (Client("heavy"), Client("light", 0.5))
MIXED = (
    Client(),
    Client(min_accuracy=0.77),
    Client(rows=3, slos=2.0),
    Client(variant="lite1-int8"),
)
NOISES = (
    Noise(),
    Noise(stalls=(Stall(0.03, 5.0),)),
    Noise(cv=0.15, outlier_share=0.03, outlier_factor=3.0, overhead_s=0.0003),
)
SPELLS = (Spell(), Spell(0.3, 1.1, 3.0, "lite0-int8"), Spell(0.1, 0.3, 40.0))


def requests(clients: tuple[Client, ...], load: float, clump: int, seed: int) -> list[Ticket]:
    """Clumps of this size on average, whose requests come within a millisecond, from clients at random."""
    rng = np.random.default_rng(seed)
    clumps = REQUESTS // clump
    starts_s = np.cumsum(rng.exponential(clump * ROW_S / load, clumps))
    sizes = rng.geometric(1.0 / clump, clumps)
    times_s = np.sort(np.repeat(starts_s, sizes) + rng.uniform(0.0, 0.001, int(sizes.sum())))
    kinds = [clients[i] for i in rng.integers(len(clients), size=len(times_s)).tolist()]
    return [
        Ticket(i, at_s, at_s + c.slos * SLO_S, c.rows, c.min_accuracy, c.variant, c.slo_class)
        for i, (at_s, c) in enumerate(zip(times_s.tolist(), kinds, strict=True))
    ]


@settings(max_examples=40)
@given(
    clients=st.sampled_from([PLAIN, CLASSES, MIXED]),
    load=st.floats(0.3, 2.5),
    clump=st.sampled_from([1, 1, 8]),
    machine=st.tuples(st.integers(1, 3), st.sampled_from(NOISES), st.sampled_from(SPELLS)),
    switching=st.sampled_from([Switching(), Switching(0.0007, 0.011)]),
    follow=st.sampled_from(["measured", "measured", "told"]),
    name=st.sampled_from(["adaptive", "adaptive", "adaptive:nimble", "slackfit", "maxbatch+drop"]),
    seed=st.integers(0, 2**32 - 1),
    power=st.sampled_from(POWERS),
)
def test_decisions_do_not_hang_on_the_unit_of_time(  # noqa: PLR0917 - each is drawn on its own
    clients: tuple[Client, ...],
    load: float,
    clump: int,
    machine: tuple[int, Noise, Spell],
    switching: Switching,
    follow: Follow,
    name: str,
    seed: int,
    power: int,
):
    workers, noise, spell = machine
    setup = Setup(
        SLO_S,
        workers,
        capacity_rows=60,
        noise=noise,
        spell=spell,
        seed=seed,
        follow=follow,
        switching=switching,
        weights={"heavy": 4.0, "light": 0.25} if clients is CLASSES else {},
    )
    tickets, k = requests(clients, load * workers, clump, seed), 2.0**power

    decided, outcomes = served(cpu_arms(), policy(name), tickets, setup)
    as_scaled, others = served(cpu_arms(), policy(name), tickets, setup, k)

    assert as_scaled == [(at_s * k, step) for at_s, step in decided]
    assert others.dropped == outcomes.dropped
    assert (others.late, others.rebuilt) == (outcomes.late, outcomes.rebuilt)
    assert others.awg() == outcomes.awg()
