"""Unary calls and streams while clients cancel, reset and die, the server is stopped, and variants come and go."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tests.support.serving import traffic_family
from tests.support.serving.server import Server, a_request, eventually, output, serving
from tests.support.serving.traffic import CLASSES, Outcome, Plan, counted, depth, drive, status

GROWTH_MIB = 100
"""What the server's memory may have grown by in the end."""
MORE_THREADS = 8
"""Threads that runtimes may have added for variants that came."""
CODES = {"shed": "RESOURCE_EXHAUSTED", "expired": "DEADLINE_EXCEEDED", "not_ready": "UNAVAILABLE"}
"""The server's word for a refusal -> the code that clients see."""


def say(text: str) -> None:
    """To whoever watches."""
    sys.stderr.write(f"{text}\n")


@pytest.mark.parametrize(
    "plan",
    [
        pytest.param(Plan(seconds=20.0, rude=2), id="20s", marks=pytest.mark.timeout(110)),
        pytest.param(
            Plan(60_000, unary=2, stream=2, rude=2, stop_s=1.0),
            id="300000",
            marks=[pytest.mark.nightly, pytest.mark.timeout(3600)],
        ),
    ],
)
def test_no_request_is_lost_doubled_or_wrong(tmp_path: Path, plan: Plan):
    (tmp_path / "models").mkdir()
    traffic_family.publish(tmp_path / "models")
    classes = {"GEARSHIFT__SLO__CLASSES": ",".join(("default", *CLASSES))}
    with serving(tmp_path / "models", tmp_path, **classes) as server:
        first = drive(server, tmp_path / "models", Plan(seconds=3.0), say)  # calls, a visit
        eventually(lambda: agrees(first, {}, counted(server)), within_s=5.0)
        before = counted(server)
        mib, threads = status(server, "VmRSS") / 1024, status(server, "Threads")

        came = drive(server, tmp_path / "models", plan, say)

        tell(came)
        assert came.wrong == []
        for kind in CLASSES:
            assert (came.total(kind, "lost"), came.total(kind, "doubled")) == (0, 0)
        assert min(came.stops, came.changes, came.resets, came.killed) >= 2
        assert min(came.total(kind, "results") for kind in CLASSES) > 100
        eventually(lambda: agrees(came, before, counted(server)), within_s=5.0)
        eventually(lambda: is_well(server), within_s=5.0)
        assert "Traceback" not in server.log
        grown = status(server, "VmRSS") / 1024 - mib
        say(
            f"memory {mib:.0f} MiB, grown by {grown:.0f}; threads {threads} -> {status(server, 'Threads')}"
        )
        assert grown < GROWTH_MIB
        assert status(server, "Threads") <= threads + MORE_THREADS


def agrees(came: Outcome, before: dict[str, Counter[str]], after: dict[str, Counter[str]]) -> None:
    """The server counted what clients saw: exactly where they saw everything, and no more where they left."""
    ended = {kind: after[kind] - before.get(kind, Counter()) for kind in after}
    for kind in ("unary", "stream"):
        counts = ended[kind]
        assert counts["ok"] + counts["late"] == came.total(kind, "results")
        seen = came.codes(kind)
        assert {o: counts[o] for o in CODES} == {o: seen[code] for o, code in CODES.items()}
        assert not counts["failed"] + counts["cancelled"] + counts["invalid"]
    bad = sum(
        came.codes(kind)[code]
        for kind in ("unary", "stream")
        for code in ("INVALID_ARGUMENT", "NOT_FOUND")
    )
    assert bad <= ended.get("default", Counter())["invalid"]
    answered = ended["rude"]["ok"] + ended["rude"]["late"]
    assert answered >= came.total("rude", "results")


def is_well(server: Server) -> None:
    """Nobody waits, and a request is answered."""
    assert depth(server) == 0
    request = a_request(traffic_family.NAME, traffic_family.rows_of(7, 2))
    answered = output(server.infer(request))
    np.testing.assert_array_equal(answered[:, :3], traffic_family.rows_of(7, 2)[:, :3])


def tell(came: Outcome) -> None:
    """What went on, in numbers."""
    for kind in CLASSES:
        say(
            f"{kind}: sent {came.total(kind, 'sent')}, results {came.total(kind, 'results')}, {dict(came.codes(kind))}"
        )
    say(
        f"stops {came.stops}, changes {came.changes}, resets {came.resets}, clients killed {came.killed}"
    )
