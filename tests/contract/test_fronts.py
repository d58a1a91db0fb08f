"""What every front owes its clients: the same checks, the same words, the same errors in its own codes."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from examples import json_lines
from server.config import Config, MachineSection, ModelsSection, ProfilesSection
from server.engine import Engine
from server.errors import BadInput, ComputeFailed, RequestError, UnknownModel
from tests.support import fronts
from tests.support.fronts import Ask, Input, Question, Reply
from tests.support.serving.families import (
    ECHO,
    FRAIL,
    MARKER,
    PAIR,
    WIDTH,
    expected_echo,
    publish_scripted,
    rows,
)
from tests.support.serving.server import equal, eventually

WAYS: dict[str, Callable[[Engine], AbstractContextManager[Ask]]] = {
    "grpc": fronts.over_grpc,
    "native": fronts.over_native,
    "rest": fronts.over_rest,
    "rest, binary": fronts.over_rest_binary,
    "json lines": fronts.json_line,
    "in process": fronts.in_process,
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """Of `echo`, in two variants, `pair` and `frail`."""
    root = tmp_path_factory.mktemp("fronts")
    scripts = {"quick": "fixed_s = 0.0005", "sharp": "fixed_s = 0.001"}
    publish_scripted(root / "models", ECHO, scripts, {"quick": 0.6, "sharp": 0.8})
    publish_scripted(root / "models", PAIR)
    publish_scripted(root / "models", FRAIL, {"only": f"fail_marker = {MARKER}"})
    config = Config(
        models=ModelsSection(str(root / "models")),
        machine=MachineSection(workers=1, threads=1, watch_every_s=0.0),
        profiles=ProfilesSection(str(root / "profiles"), budget_s=0.5),
    )
    with Engine(config) as running:
        assert running.await_ready(60.0)
        eventually(lambda: equal(len(running.families["echo"].dispatcher.arms), 2), 60.0)
        yield running


@pytest.fixture(scope="module", params=WAYS)
def ask(engine: Engine, request: pytest.FixtureRequest) -> Iterator[Ask]:
    """A client of one front."""
    with WAYS[request.param](engine) as asking:
        yield asking


def an_input(first: float = 1.0, count: int = 1, **changes: Any) -> Input:
    """Rows of `echo`."""
    x = rows(first, count)
    return replace(Input("x", "FP32", x.shape, x.ravel().tolist()), **changes)


def a_question(**changes: Any) -> Question:
    """One row for `echo`."""
    return replace(Question("echo", (an_input(),), "R7"), **changes)


def asks(**parameters: Any) -> Question:
    """One row for `echo`, on these terms."""
    return a_question(parameters=parameters)


def expect(reply: Reply, first: float, count: int) -> None:
    """The answer to these rows, and to no others."""
    assert reply.error is None, reply.words
    np.testing.assert_allclose(reply.outputs["y"], expected_echo(rows(first, count)), rtol=1e-6)


@pytest.mark.parametrize(("first", "count"), [(1.0, 1), (7.5, 3), (-2.0, 8)])
def test_rows_come_back_in_their_order(ask: Ask, first: float, count: int):
    expect(ask(a_question(inputs=(an_input(first, count),))), first, count)


def test_only_outputs_that_were_asked_for_come_back_in_that_order(ask: Ask):
    inputs = (Input("a", "INT32", (1, 2), [1, 2]), Input("b", "UINT8", (1, 3), [0, 1, 255]))

    both = ask(Question("pair", inputs, outputs=("t", "s")))
    one = ask(Question("pair", inputs, outputs=("t",)))

    assert list(both.outputs) == ["t", "s"]
    assert list(one.outputs) == ["t"]


def test_who_is_content_with_less_accuracy_says_so(ask: Ask):
    expect(ask(asks(min_accuracy=0.5, slo_ms=1000.0)), 1.0, 1)
    expect(ask(asks(variant="quick")), 1.0, 1)


BAD: dict[str, tuple[Question, type[RequestError], str]] = {
    "unknown model": (
        a_question(model="ekko"),
        UnknownModel,
        "Request for unknown model: 'ekko' is not found",
    ),
    "no inputs": (
        a_question(inputs=()),
        BadInput,
        "expected 1 inputs but got 0 inputs for model 'echo'. Got input(s) []",
    ),
    "another input": (
        a_question(inputs=(an_input(name="z"),)),
        BadInput,
        "unexpected inference input 'z' for model 'echo'",
    ),
    "an input twice": (
        a_question(inputs=(an_input(), an_input())),
        BadInput,
        "expected 1 inputs but got 2 inputs for model 'echo'",
    ),
    "another datatype": (
        a_question(inputs=(an_input(datatype="INT64", data=[1] * WIDTH),)),
        BadInput,
        "data-type is 'INT64', but model 'echo' expects 'FP32'",
    ),
    "no such datatype": (
        a_question(inputs=(an_input(datatype="FLOAT"),)),
        BadInput,
        "data-type is 'FLOAT', but model 'echo' expects 'FP32'",
    ),
    "rows too short": (
        a_question(inputs=(an_input(shape=(1, 3), data=[0.0] * 3),)),
        BadInput,
        "unexpected shape for input 'x' for model 'echo'. Expected [-1,16], got [1,3]",
    ),
    "no rows": (
        a_question(inputs=(an_input(shape=(0, WIDTH), data=[]),)),
        BadInput,
        "the first dimension counts rows and must be at least 1",
    ),
    "negative rows": (
        a_question(inputs=(an_input(shape=(-1, WIDTH)),)),
        BadInput,
        "unexpected shape for input 'x'",
    ),
    "another rank": (
        a_question(inputs=(an_input(shape=(WIDTH,)),)),
        BadInput,
        "Expected [-1,16], got [16]",
    ),
    "too many rows": (
        a_question(inputs=(an_input(count=9),)),
        BadInput,
        "batch-size must be <= 8 for 'echo', got 9",
    ),
    "elements missing": (
        a_question(inputs=(an_input(data=[0.0] * 15),)),
        BadInput,
        "input 'x' for model 'echo'",
    ),
    "not a number": (
        a_question(inputs=(an_input(data=[float("nan")] * WIDTH),)),
        BadInput,
        "input 'x' for model 'echo' has NaN or infinite values",
    ),
    "another output": (
        a_question(outputs=("z",)),
        BadInput,
        "unexpected inference output 'z' for model 'echo'; it has y",
    ),
    "an output twice": (
        a_question(outputs=("y", "y")),
        BadInput,
        "inference output requested twice for model 'echo'",
    ),
    "an SLO of nothing": (asks(slo_ms=0.0), BadInput, "'slo_ms' must be above 0"),
    "an SLO as text": (asks(slo_ms="5"), BadInput, "'slo_ms' must be a number, got a string"),
    "an SLO as truth": (asks(slo_ms=True), BadInput, "'slo_ms' must be a number"),
    "an SLO without a value": (asks(slo_ms=None), BadInput, "must be a number, got nothing"),
    "an endless SLO": (asks(slo_ms=float("inf")), BadInput, "'slo_ms' must be finite"),
    "an accuracy that nobody has": (
        asks(min_accuracy=0.9),
        BadInput,
        "'min_accuracy' is 0.9; it must be between 0 and 0.8",
    ),
    "a class that nobody knows": (asks(slo_class="first"), BadInput, "unknown slo_class 'first'"),
    "a class as number": (asks(slo_class=1), BadInput, "'slo_class' must be a string"),
    "half a priority": (asks(priority=1.5), BadInput, "'priority' must be a whole number"),
    "a negative timeout": (asks(timeout=-1), BadInput, "'timeout' (microseconds) must not be"),
    "a variant that is not there": (
        asks(variant="huge"),
        UnknownModel,
        "model 'echo' has no variant 'huge'; it has",
    ),
    "different rows": (
        Question(
            "pair",
            (Input("a", "INT32", (1, 2), [1, 2]), Input("b", "UINT8", (2, 3), [0] * 6)),
        ),
        BadInput,
        "input 'b' has 2 rows, other inputs of the request for model 'pair' have 1",
    ),
    "a row that the model cannot take": (
        Question("frail", (an_input(MARKER),)),
        ComputeFailed,
        "variant only failed; the server's log has the cause",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_gets_the_fitting_error_and_words(ask: Ask, name: str):
    question, error, words = BAD[name]

    reply = ask(question)

    assert reply.error is error, reply.words
    assert words in reply.words
    expect(ask(a_question()), 1.0, 1)


def test_what_cannot_be_in_time_is_told_so(ask: Ask):
    reply = ask(asks(slo_ms=0.001))

    assert reply.error is not None
    assert reply.error.__name__ == "DeadlineMissed"
    assert "model 'echo'" in reply.words


ODD_LINES = [
    b"garbage",
    b"[" * 100_000,
    b'{"model": "echo", "inputs": [{"name": "x", "datatype": "FP32", "shape": [Infinity], "data": []}]}',
    b"[]",
    b"7",
    b'{"model": "echo"}',
    b'{"model": "echo", "inputs": 7}',
    b'{"model": "echo", "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 16], "data": 7}]}',
    b'{"model": "echo", "inputs": [{"name": "x", "datatype": "FP32", "shape": 16, "data": []}]}',
    b'{"model": "echo", "inputs": [], "outputs": 7}',
    b'{"model": "echo", "inputs": [], "parameters": 7}',
]


@pytest.mark.parametrize("line", ODD_LINES)
def test_a_line_that_is_no_request_is_answered_with_what_is_wrong(line: bytes):
    with pytest.raises(BadInput, match="no request: "):
        json_lines.decode(line)
