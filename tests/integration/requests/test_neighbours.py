"""One client cannot stop the rest: while it misbehaves, a good neighbour's requests are all answered, soon and rightly.

`benchmarks/serving/neighbours.py` tells how soon; here the bounds have a margin, for busy machines.
"""

from collections.abc import Iterator

import pytest

from tests.support.serving.attacks import ATTACKS
from tests.support.serving.neighbours import RATE_RPS, attackable, suffer
from tests.support.serving.server import Server

SECONDS = 3.0
MOST_BYTES, LATEST_S = 100 << 20, 1.0
BEYOND = {"unread_by_many": (200 << 20, 2.0)}
"""5,200 calls at once on 40 connections: the calls themselves take half of that memory."""


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server that has to stand it all."""
    with attackable(tmp_path_factory.mktemp("attacked")) as server:
        yield server


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_neighbour_is_served_while_another_client_misbehaves(attacked: Server, attack: str):
    fared = suffer(attacked, attack, SECONDS)

    assert fared.wrong == []
    assert len(fared.latencies_s) >= SECONDS * RATE_RPS
    most_bytes, latest_s = BEYOND.get(attack, (MOST_BYTES, LATEST_S))
    assert max(fared.latencies_s) < latest_s
    assert fared.grown_bytes < most_bytes
