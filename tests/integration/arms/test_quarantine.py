"""Arms that fail, crawl or hang under steady load: every request has one answer, in time where others can give it."""

import re
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from models.catalog import Family, Slo
from tests.support.serving.families import ECHO, MARKER, expected_echo, publish_scripted, rows
from tests.support.serving.scraping import scrape, total
from tests.support.serving.server import (
    PATIENCE_S,
    Server,
    a_request,
    equal,
    eventually,
    output,
    serving,
)

OTHERS = {"quick": "fixed_s = 0.002", "middle": "fixed_s = 0.004"}
ACCURACIES = {"quick": 0.6, "middle": 0.7, "sharp": 0.8}
TROUBLE = {
    "failing": "fail_from_run = 1",
    "slowing": "slow_from_run = 1\nslow_factor = 120",
    "hanging": "hang_on_run = 1\nhang_s = 3.0",
    "alone": "hang_on_run = 1\nhang_s = 4.0",
    "poisoned": f"fail_marker = {MARKER}",
}
"""Family -> what its most accurate arm does while a file of that name exists; `alone` has no other arm.

A slow batch takes 0.72 s, more than half of what requests may take.
"""
GAP_S = 0.004
"""Between two requests of the steady load."""
MOST_ROWS = 8
"""In one batch, and so requests that one failure can befall."""


def a_family(name: str) -> Family:
    return Family(name, ECHO.inputs, ECHO.outputs, (), Slo(1.0), max_batch=MOST_ROWS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files are that make arms ill."""
    return tmp_path_factory.mktemp("ward")


@pytest.fixture(scope="module")
def ward(folder: Path) -> Iterator[Server]:
    """One worker a family, so that one batch runs at a time."""
    for name, trouble in TROUBLE.items():
        ill = f'fixed_s = 0.006\n{trouble}\nonly_while = "{folder / name}.ill"'
        scripts = {"sharp": ill} if name == "alone" else {**OTHERS, "sharp": ill}
        publish_scripted(folder / "models", a_family(name), scripts, ACCURACIES)
    with serving(folder / "models", folder, "--workers", "1") as running:
        yield running


class Load:
    """One request every GAP_S, each with a row of its own; `poison` marks one in ten."""

    def __init__(self, server: Server, family: str, *, poison: bool = False) -> None:
        self.calls: dict[int, Any] = {}
        self.poisoned: set[int] = set()
        self._server, self._family, self._poison = server, family, poison
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._send)

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def row(self, number: int) -> Any:
        """What the request of this number holds."""
        x = rows(float(number % 100))
        if number in self.poisoned:
            x[0, 0] = MARKER
        return x

    def answered_well(self) -> list[Any]:
        """All answers; fails unless each poisoned request failed and every other has its right answer."""
        codes = {number: call.code() for number, call in self.calls.items()}
        bad = {number for number, code in codes.items() if code is not grpc.StatusCode.OK}
        assert bad == self.poisoned, {n: self.calls[n].details() for n in bad - self.poisoned}
        answers = [call.result() for n, call in self.calls.items() if n not in bad]
        for answer in answers:
            wanted = expected_echo(self.row(int(answer.id)))
            np.testing.assert_allclose(output(answer), wanted, rtol=1e-6)
        assert len({answer.id for answer in answers}) == len(self.calls) - len(bad)
        return answers

    def _send(self) -> None:
        number = 0
        while not self._stop.wait(GAP_S):
            if self._poison and number % 10 == 5:
                self.poisoned.add(number)
            least = 0.75 if number in self.poisoned else 0.0  # only the arm in trouble minds poison
            request = a_request(self._family, self.row(number), str(number), min_accuracy=least)
            self.calls[number] = self._server.begin(request)
            number += 1


@contextmanager
def ill(folder: Path, family: str) -> Generator[None]:
    """The family's most accurate arm is in trouble."""
    flag = folder / f"{family}.ill"
    flag.touch()
    yield
    flag.unlink()


def await_out(server: Server, family: str) -> None:
    server.await_line(re.compile(rf"{family}: sharp on scripted \(cpu\) (is|stays) out of use"))


def await_back(server: Server, family: str) -> None:
    server.await_line(re.compile(rf"{family}: sharp on scripted \(cpu\) is in use again"))


def befell(server: Server, name: str, **labels: str) -> float:
    """A counter's sum."""
    return total(scrape(server), name, **labels)


def answers_pinned(server: Server, family: str) -> None:
    """What `eventually` may wait for: the arm is in use."""
    try:
        server.infer(a_request(family, rows(1.0), variant="sharp"))
    except grpc.RpcError as error:
        raise AssertionError(error) from error


@pytest.mark.parametrize("family", ["failing", "slowing", "hanging"])
def test_an_arm_in_trouble_costs_no_request_and_comes_back(ward: Server, folder: Path, family: str):
    with Load(ward, family) as load:
        with ill(folder, family):
            await_out(ward, family)
        await_back(ward, family)

    answers = load.answered_well()
    assert len(answers) == len(load.calls) > 0
    quarantines = befell(ward, "gearshift_quarantines_total", family=family)
    retried = befell(ward, "gearshift_retried_requests_total", family=family)
    assert quarantines >= 1
    assert 1 <= retried <= MOST_ROWS * quarantines
    eventually(lambda: equal(befell(ward, "gearshift_quarantined_arms", family=family), 0))


def test_a_pinned_arm_that_is_out_is_named_with_when_it_is_tried_again(ward: Server, folder: Path):
    eventually(lambda: answers_pinned(ward, "failing"), PATIENCE_S)
    with ill(folder, "failing"):
        with pytest.raises(grpc.RpcError) as first:
            ward.infer(a_request("failing", rows(1.0), variant="sharp"))
        await_out(ward, "failing")
        with pytest.raises(grpc.RpcError) as second:
            ward.infer(a_request("failing", rows(1.0), variant="sharp"))
        free = ward.infer(a_request("failing", rows(1.0)))
    await_back(ward, "failing")

    for refusal in (first.value, second.value):
        assert refusal.code() is grpc.StatusCode.UNAVAILABLE
        assert "sharp on scripted (cpu) failed, tried again" in refusal.details()
    np.testing.assert_allclose(output(free), expected_echo(rows(1.0)), rtol=1e-6)
    np.testing.assert_allclose(
        output(ward.infer(a_request("failing", rows(1.0), variant="sharp"))),
        expected_echo(rows(1.0)),
        rtol=1e-6,
    )


def test_a_poisoned_request_among_others_fails_alone_and_takes_no_arm_out(
    ward: Server, folder: Path
):
    with ill(folder, "poisoned"), Load(ward, "poisoned", poison=True) as load:
        while len(load.poisoned) < 20:
            ward.infer(a_request("poisoned", rows(1.0)), timeout=PATIENCE_S)

    load.answered_well()
    failed = befell(ward, "gearshift_quarantines_total", family="poisoned", reason="failed")
    flaky = befell(ward, "gearshift_quarantines_total", family="poisoned", reason="flaky")
    assert (failed, flaky) == (0, 0)


def test_the_only_arm_that_hangs_is_answered_for_and_serves_again_when_it_returns(
    ward: Server, folder: Path
):
    with ill(folder, "alone"):
        stuck = ward.begin(a_request("alone", rows(1.0), "stuck"))
        waiting = ward.begin(a_request("alone", rows(2.0), "waiting", slo_ms=30000.0))
        await_out(ward, "alone")
    assert stuck.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert waiting.code() is grpc.StatusCode.UNAVAILABLE
    assert "sharp on scripted (cpu) hung" in waiting.details()
    await_back(ward, "alone")

    ward.await_serving("alone")
    answer = ward.infer(a_request("alone", rows(3.0)))

    np.testing.assert_allclose(output(answer), expected_echo(rows(3.0)), rtol=1e-6)
