"""An engine in this process: requests in, futures out, nothing lost when it stops."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.config import (
    Config,
    MachineSection,
    ModelsSection,
    ProfilesSection,
    ServerSection,
    SharingSection,
)
from server.engine import Buffer, Engine, Request, Tensor, Values
from server.engine.unit import Unit
from server.errors import BadConfiguration, BadInput, NotReady, UnknownModel
from tests.support.serving.families import ECHO, SLOW, WIDTH, expected_echo, publish_scripted, rows
from tests.support.serving.server import ROOT, equal, eventually

PATIENCE_S = 30.0


def an_engine(root: Path, **scripts: str) -> Engine:
    """Of `echo`, and of `slow`, whose batches take a while."""
    publish_scripted(root / "models", ECHO, scripts or None)
    publish_scripted(root / "models", SLOW, {"only": "fixed_s = 0.2"})
    return Engine(a_config(root))


def a_config(root: Path) -> Config:
    """One worker, quick profiles, no look at the hardware."""
    return Config(
        server=ServerSection(drain_s=5.0),
        models=ModelsSection(str(root / "models")),
        machine=MachineSection(workers=1, threads=1, watch_every_s=0.0),
        profiles=ProfilesSection(str(root / "profiles"), budget_s=1.0),
    )


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """One that is ready."""
    with an_engine(tmp_path_factory.mktemp("engine")) as running:
        assert running.await_ready(PATIENCE_S)
        yield running


def a_request(model: str = "echo", first: float = 1.0, count: int = 1, **more: Any) -> Request:
    """Rows of `echo`."""
    return Request(model, [Tensor.of("x", rows(first, count))], **more)


def test_an_answer_says_how_it_was_computed(engine: Engine):
    answer = engine.infer(a_request(count=3, id="7")).result(PATIENCE_S)

    np.testing.assert_allclose(answer.outputs["y"], expected_echo(rows(1.0, 3)), rtol=1e-6)
    assert (answer.request.id, answer.rows, answer.error) == ("7", 3, None)
    assert answer.execution is not None
    assert (answer.execution.variant, answer.execution.accuracy) == ("only", 0.8)
    assert answer.execution.batch_size == 3
    assert answer.queue_s >= 0.0


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (a_request("ekko"), UnknownModel),
        (Request("echo", []), BadInput),
        (Request("echo", [Tensor("x", "FP32", (1, WIDTH), Buffer(bytes(63)))]), BadInput),
        (Request("echo", [Tensor("x", "FP32", (1, WIDTH), Values(["1"] * WIDTH))]), BadInput),  # type: ignore[list-item] - of the wrong type
        (Request("echo", [Tensor("x", "FP32", (1, WIDTH), Values([True] * WIDTH))]), BadInput),
    ],
)
def test_a_bad_request_is_an_exception_of_its_future(
    engine: Engine, request_: Request, error: type[Exception]
):
    future = engine.infer(request_)

    assert isinstance(future.exception(PATIENCE_S), error)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [([1.5, 2], "are float"), ([2**70, 0], "values outside"), ([-1, 300], "values outside")],
)
def test_numbers_are_never_rounded_or_wrapped(numbers: list[Any], words: str):
    spec = ECHO.inputs[0]
    whole = type(spec)("x", "INT32" if 1.5 in numbers else "UINT8", (-1, 2))

    with pytest.raises(BadInput, match=words):
        Values(numbers).array(whole, 2, "echo")


def test_numbers_up_to_the_ends_of_their_type_are_kept():
    spec = type(ECHO.inputs[0])("x", "UINT64", (-1, 2))

    assert Values([2**64 - 1, 0]).array(spec, 2, "echo").tolist() == [2**64 - 1, 0]


def test_memory_is_released_once_however_a_request_ends(engine: Engine):
    released: list[str] = []
    ends = ["answered", "bad", "cancelled", "run", "unknown"]

    def lent(model: str, name: str, first: float = 1.0) -> Request:
        return a_request(model, first, release=lambda: released.append(name))

    engine.infer(lent("echo", "answered")).result(PATIENCE_S)
    engine.infer(lent("ekko", "unknown")).exception(PATIENCE_S)
    engine.infer(Request("echo", [], release=lambda: released.append("bad"))).exception(PATIENCE_S)
    running = engine.infer(lent("slow", "run"))
    waiting = engine.infer(lent("slow", "cancelled"))
    assert waiting.cancel()
    running.result(PATIENCE_S)

    eventually(
        lambda: equal(sorted(released), ends)
    )  # the worker that read it lets go after it has answered


def test_a_request_that_waits_can_be_cancelled_one_that_was_answered_cannot(engine: Engine):
    first, second = engine.infer(a_request("slow")), engine.infer(a_request("slow"))

    assert second.cancel()
    assert second.cancelled()
    first.result(PATIENCE_S)
    assert not first.cancel()


def test_what_there_is_is_described(engine: Engine):
    told = engine.describe()

    assert told.ready
    assert {one.name: one.state for one in told.families} == {"echo": "ready", "slow": "ready"}
    (echo,) = [one for one in told.families if one.name == "echo"]
    assert echo.family is not None
    assert echo.offer is not None
    assert echo.family.inputs == ECHO.inputs
    assert echo.offer.max_batch == 8


def test_many_threads_get_each_their_own_answer(engine: Engine):
    wrong: list[float] = []

    def ask(first: float) -> None:
        for i in range(20):
            at = first + i / 2
            y = engine.infer(a_request(first=at, count=2)).result(PATIENCE_S).outputs["y"]
            if not np.allclose(y, expected_echo(rows(at, 2)), rtol=1e-6):
                wrong.append(at)

    threads = [threading.Thread(target=ask, args=(100.0 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert not wrong


def test_what_waits_when_it_stops_is_answered_and_nothing_after_that(tmp_path: Path):
    engine = an_engine(tmp_path)
    engine.start()
    assert engine.await_ready(PATIENCE_S)
    waiting = [engine.infer(a_request("slow", float(n))) for n in range(6)]

    engine.stop()

    assert all(one.done() for one in waiting)
    assert all(one.exception() is None for one in waiting)
    assert isinstance(engine.infer(a_request()).exception(PATIENCE_S), NotReady)
    assert not engine.describe().ready


@pytest.mark.parametrize("drain_s", [0.0, 5.0])
def test_whoever_waits_for_a_run_that_hangs_is_answered_when_it_stops(
    tmp_path: Path, drain_s: float
):
    hangs = tmp_path / "hangs"
    stuck = f"hang_on_run = 1\nhang_s = 8.0\nonly_while = '{hangs}'"
    publish_scripted(tmp_path / "models", ECHO, {"well": "", "stuck": stuck})
    engine = Engine(replace(a_config(tmp_path), server=ServerSection(drain_s=drain_s)))
    engine.start()
    assert engine.await_ready(PATIENCE_S)
    hangs.touch()
    waiting = engine.infer(a_request(version="stuck"))
    eventually(lambda: equal(engine.families["echo"].dispatcher.depth, 0))

    engine.stop()

    assert waiting.done()
    assert isinstance(waiting.exception(), NotReady)


def test_an_engine_that_leaves_is_not_ready_and_serves_on(tmp_path: Path):
    with an_engine(tmp_path) as engine:
        assert engine.await_ready(PATIENCE_S)

        engine.leave()

        assert not engine.is_ready
        assert not engine.serves("echo")
        assert not engine.is_stopping
        assert engine.infer(a_request()).exception(PATIENCE_S) is None


def test_an_engine_that_never_started_can_be_stopped(tmp_path: Path):
    engine = an_engine(tmp_path)

    engine.stop()

    assert isinstance(engine.infer(a_request()).exception(PATIENCE_S), NotReady)


@pytest.mark.parametrize(("package", "ready"), [("", False), ("tasks", True)])
def test_an_engine_without_a_family_that_loads_is_ready_for_shared_tasks_only(
    tmp_path: Path, package: str, ready: bool
):
    publish_scripted(tmp_path / "models", ECHO, {"only": "fixed_s = -1"})
    config = replace(a_config(tmp_path), sharing=SharingSection(package=package))
    loaded, reasons = threading.Event(), list[str]()
    engine = Engine(config, changed=loaded.set, last=loaded.set)

    engine.start(lambda reason: (reasons.append(reason), loaded.set()))
    assert loaded.wait(PATIENCE_S)

    assert engine.is_ready == engine.describe().ready == ready
    assert bool(reasons) != ready
    engine.stop()


def test_an_empty_repository_is_refused_with_what_to_do(tmp_path: Path):
    with pytest.raises(
        BadConfiguration, match="make the default families with `gearshift models build`"
    ):
        Engine(a_config(tmp_path))


def test_two_engines_live_in_one_process(tmp_path: Path, engine: Engine):
    with an_engine(tmp_path) as other:
        assert other.await_ready(PATIENCE_S)

        for one in (engine, other):
            assert one.infer(a_request()).result(PATIENCE_S).rows == 1


def test_an_engine_imports_no_protocol():
    code = "import sys, server.engine; print(sorted({'grpc', 'wire', 'server.rpc'} & set(sys.modules)))"

    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    "late", [{"arrival_s": float("nan")}, {"arrival_s": float("inf")}, {"deadline_s": float("nan")}]
)
def test_times_that_are_none_are_refused_and_cost_nobody_else(engine: Engine, late: Any):
    assert isinstance(engine.infer(a_request(**late)).exception(PATIENCE_S), BadInput)
    assert engine.infer(a_request()).result(PATIENCE_S).rows == 1


def test_arrays_of_another_byte_order_keep_their_values(engine: Engine):
    x = rows(3.0, 2).astype(">f4")

    y = engine.infer(Request("echo", [Tensor.of("x", x)])).result(PATIENCE_S).outputs["y"]

    np.testing.assert_allclose(y, expected_echo(rows(3.0, 2)), rtol=1e-6)


@pytest.mark.parametrize(
    "contents",
    [Values([10**400] * WIDTH), Values([1e39] * WIDTH), Values(b"1" * WIDTH), Buffer(None)],  # type: ignore[arg-type] - of wrong types too
)
def test_what_cannot_be_its_type_is_bad_input(engine: Engine, contents: Any):
    request = Request("echo", [Tensor("x", "FP32", (1, WIDTH), contents)])

    assert isinstance(engine.infer(request).exception(PATIENCE_S), BadInput)


def test_a_buffer_counts_bytes_whatever_its_shape(engine: Engine):
    contents = Buffer(memoryview(rows(2.0, 2)))
    request = Request("echo", [Tensor("x", "FP32", (2, WIDTH), contents)])

    y = engine.infer(request).result(PATIENCE_S).outputs["y"]

    np.testing.assert_allclose(y, expected_echo(rows(2.0, 2)), rtol=1e-6)


def test_who_waits_for_many_hears_of_those_cancelled(engine: Engine):
    first, second = engine.infer(a_request("slow")), engine.infer(a_request("slow"))
    assert second.cancel()
    assert second.cancel()

    assert not wait([first, second], PATIENCE_S).not_done


def test_what_keeps_a_family_out_is_doubted_while_families_are_made_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    doubted, over = threading.Event(), threading.Event()

    def prepare(_unit: Unit) -> None:
        over.wait(PATIENCE_S)

    def revive(_unit: Unit) -> None:
        doubted.set()

    monkeypatch.setattr(Unit, "prepare", prepare)
    monkeypatch.setattr(Unit, "revive", revive)

    with an_engine(tmp_path):
        try:
            assert doubted.wait(PATIENCE_S)
        finally:
            over.set()
