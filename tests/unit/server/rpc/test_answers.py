"""Answers to bytes: what a batch shares and what is one answer's own make one message."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from models.catalog import Family, Slo, TensorSpec
from models.datatypes import DATATYPES
from server.engine.values import Execution
from server.rpc import answers
from wire import inference_pb2 as pb

FAMILY = Family("m", (), (), (), Slo(0.1))


def encoded(datatype: str, array: NDArray[Any]) -> bytes:
    """One answer of a batch of 8 rows that took 5 ms."""
    execution = Execution("small", "int8", "scripted", 0.75, 8, 0.005)
    spec = TensorSpec("y", datatype, (-1, *array.shape[1:]))
    common = answers.shared(FAMILY, execution, [spec], [array.shape])
    return answers.whole(common, "id 1", 0.25, [array])


def test_both_parts_make_one_message():
    array = np.arange(6, dtype=np.float32).reshape(2, 3)

    message: Any = pb.ModelInferResponse.FromString(encoded("FP32", array))

    assert (message.model_name, message.model_version, message.id) == ("m", "1", "id 1")
    assert list(message.outputs[0].shape) == [2, 3]
    assert list(message.raw_output_contents) == [array.tobytes()]
    told = {k: getattr(v, v.WhichOneof("parameter_choice")) for k, v in message.parameters.items()}
    assert told == {
        "variant": "small",
        "precision": "int8",
        "backend": "scripted",
        "accuracy": 0.75,
        "batch_size": 8,
        "compute_ms": pytest.approx(5.0),
        "queue_ms": 250.0,
    }


@pytest.mark.parametrize("request_id", ["", "id 1", "ü" * 200])
@pytest.mark.parametrize("width", [3, 100])
def test_answers_of_one_run_are_what_each_alone_would_be(width: int, request_id: str):
    floats = np.arange(6.0 * width, dtype=np.float32).reshape(6, width)
    turned = np.asfortranarray(np.arange(12).reshape(6, 2))
    truths = np.array([True, False, True] * 2)
    arrays: list[NDArray[Any]] = [floats, turned, truths]
    run = answers.RunAnswers(b"common", arrays, rows=2)

    for first in (0, 2, 4):
        alone = [array[first : first + 2] for array in arrays]
        assert run.whole(request_id, 0.125, first) == answers.whole(
            b"common", request_id, 0.125, alone
        )


def test_an_answers_own_part_is_as_protobuf_reads_it():
    for request_id in ("", "ü" * 200):
        message: Any = pb.ModelInferResponse.FromString(answers.whole(b"", request_id, 0.25, []))

        assert (message.id, message.parameters["queue_ms"].double_param) == (request_id, 250.0)


@pytest.mark.parametrize("datatype", sorted(set(DATATYPES) - {"FP16"}))
def test_a_typed_answer_has_typed_contents_and_nothing_raw(datatype: str):
    array = np.array([[0, 1, 1]]).astype(DATATYPES[datatype].dtype)

    message: Any = pb.ModelInferResponse.FromString(
        answers.typed(encoded(datatype, array), [array])
    )

    ((_, values),) = message.outputs[0].contents.ListFields()
    assert list(values) == [0, 1, 1]
    assert not message.raw_output_contents
    assert message.parameters["variant"].string_param == "small"


def test_half_precision_stays_raw():
    array = np.array([[1.5]], np.float16)

    message = encoded("FP16", array)

    assert answers.typed(message, [array]) == message
