"""Answers in JSON and as memory: whole, and never what is no JSON."""

import json

import numpy as np
import pytest

from models.catalog import Family, Slo, TensorSpec
from server.engine.values import Answer, Execution, Request
from server.errors import BadInput, Overloaded
from server.rest import codes, encode, packing
from server.rest.decode import SPLIT, Wanted

FAMILY = Family(
    "f", (), (TensorSpec("y", "FP32", (-1, 2)), TensorSpec("h", "FP16", (-1, 1))), (), Slo(1.0), 8
)
EXECUTION = Execution("big", "fp32", "onnxruntime", 0.9, 4, 0.002, ("big", "small"))


def answer(y: list[list[float]]) -> Answer:
    """With one output."""
    outputs = {"y": np.array(y, np.float32)}
    return Answer(Request("f", (), id="7"), len(y), outputs, EXECUTION, 0.001, family=FAMILY)


def test_json_has_the_numbers_exactly_and_how_they_came():
    body, headers = encode.body(answer([[0.1, -3e38]]), Wanted())

    said = json.loads(body)
    assert headers == {"content-type": "application/json"}
    assert np.float32(said["outputs"][0]["data"][0]) == np.float32(0.1)
    assert np.float32(said["outputs"][0]["data"][1]) == np.float32(-3e38)
    assert (said["id"], said["model_name"], said["model_version"]) == ("7", "f", "1")
    assert said["parameters"] == {
        "variant": "big",
        "precision": "fp32",
        "backend": "onnxruntime",
        "accuracy": 0.9,
        "batch_size": 4,
        "queue_ms": 1.0,
        "compute_ms": 2.0,
        "variants": "big,small",
    }


@pytest.mark.parametrize("odd", [float("nan"), float("inf"), float("-inf")])
def test_what_json_cannot_carry_is_refused_there_and_goes_as_memory(odd: float):
    with pytest.raises(BadInput, match="ask for it with binary_data"):
        encode.body(answer([[1.0, odd]]), Wanted())

    body, headers = encode.body(answer([[1.0, odd]]), Wanted(otherwise=True))
    assert np.frombuffer(body[int(headers[SPLIT]) :], np.float32).tolist()[0] == 1.0


def test_half_precision_goes_as_memory_only():
    encode.check_size(FAMILY, 1, {"y": False, "h": True}, 1 << 20)
    with pytest.raises(BadInput, match="FP16 is not sent via JSON"):
        encode.check_size(FAMILY, 1, {"h": False}, 1 << 20)


def test_an_answer_that_would_be_too_large_is_refused_before_it_is_computed():
    with pytest.raises(BadInput, match="ask for fewer rows"):
        encode.check_size(FAMILY, 8, {"y": False}, 8192 + 8 * 2 * 26 - 1)
    encode.check_size(FAMILY, 8, {"y": False}, 8192 + 8 * 2 * 26)
    encode.check_size(FAMILY, 8, {"y": True}, 8192 + 8 * 2 * 4)


def test_when_to_ask_again_is_told_in_both_units():
    status, _, headers = codes.ending_of(Overloaded("too many", 0.25))

    assert (status, headers) == (429, {"retry-after": "1", "retry-after-ms": "250"})
    assert codes.ending_of(Overloaded("too many"))[2] == {}


def test_the_unforeseen_has_one_text(caplog: pytest.LogCaptureFixture):
    status, body, _ = codes.ending_of(RuntimeError("secret"))

    assert (status, json.loads(body)) == (
        500,
        {"error": "internal error; the server's log has the cause"},
    )
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [("", ""), ("gzip", "gzip"), ("br, deflate;q=0.5", "deflate"), ("gzip;q=0, identity", "")],
)
def test_an_answer_is_packed_as_its_client_accepts(accepted: str, coding: str):
    assert packing.coding_of(accepted) == coding
