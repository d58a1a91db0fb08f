"""One client cannot stop the rest: while it misbehaves, a good neighbour's requests are all answered, soon and rightly.

`benchmarks/serving/neighbours.py` tells how soon; here the bounds have a margin, for busy machines.
"""

import time
from collections.abc import Iterator

import grpc
import numpy as np
import pytest

from tests.support.serving.attacks import ATTACKS, FAMILY
from tests.support.serving.neighbours import RATE_RPS, attackable, attacking, suffer
from tests.support.serving.server import PATIENCE_S, Server, a_request, eventually

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


@pytest.mark.parametrize("attack", ["slow_readers", "unread_by_many"])
def test_who_reads_promptly_loses_no_large_answer_to_those_who_do_not(
    attacked: Server, attack: str
):
    row = np.ones((1, 16), np.float32)
    answers, told = 0, ""
    with attacking(attacked, attack, SECONDS):
        until_s = time.monotonic() + SECONDS
        while time.monotonic() < until_s:
            for one in [attacked.begin(a_request(FAMILY, row)) for _ in range(8)]:
                error = one.exception()
                answers += error is None
                told += error.details() if error else ""

    assert "to be taken" not in told  # nor is it for anything else, but where the queue is full
    assert answers >= SECONDS * 8


def test_newcomers_get_in_while_another_takes_all_the_connections_there_are(attacked: Server):
    with attacking(attacked, "idle_connections", PATIENCE_S):
        eventually(lambda: _holds("connections run short" in attacked.log), 20.0)

        for _ in range(3):
            _connect(attacked)


def _connect(server: Server) -> None:
    """A client of its own that tries until it is in."""
    soon = ("initial", "min", "max")
    options = [(f"grpc.{which}_reconnect_backoff_ms", 100) for which in soon]
    options.append(("grpc.use_local_subchannel_pool", 1))
    with grpc.insecure_channel(server.url, options) as channel:
        grpc.channel_ready_future(channel).result(PATIENCE_S)


def _holds(claim: bool) -> None:
    assert claim
