"""Ids that the model does not know: the client's fault, told to the client, and no flood for the log."""

from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from tests.support import zoo
from tests.support.serving.server import Server, output, serving
from wire import inference_pb2 as pb

NAME = "embedding_of_two"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("ids") / "models"
    zoo.write(next(e for e in zoo.exhibits() if e.name == NAME), root / NAME)
    with serving(root, root.parent, GEARSHIFT__PROFILES__BUDGET_S="0.1") as one:
        yield one


def ids(*rows: int) -> Any:
    """A request with a row for each of these ids."""
    x = np.repeat(np.array(rows, np.int64)[:, None], 4, axis=1)
    request: Any = pb.ModelInferRequest(model_name=NAME, raw_input_contents=[x.tobytes()])
    request.inputs.add(name="x", datatype="INT64", shape=x.shape)
    return request


def test_the_client_is_told_what_the_runtime_has_against_its_row(server: Server):
    with pytest.raises(grpc.RpcError) as refusal:
        server.infer(ids(77))

    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    said = refusal.value.details() or ""
    assert f"model '{NAME}' failed on this request: " in said
    assert "idx=77" in said
    assert "/models/" not in said
    assert len(said) < 600


@pytest.mark.parametrize("place", range(5))
def test_the_row_at_fault_is_found(server: Server, place: int):
    rows = [0, 1, 0, 1, 0]
    rows[place] = 99

    with pytest.raises(
        grpc.RpcError, match=f"failed on row {place} of this request: .*idx=99"
    ) as refusal:
        server.infer(ids(*rows))

    assert refusal.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_others_are_answered_and_the_log_stays_short(server: Server):
    before = len(server.log)
    for k in range(100):
        with pytest.raises(grpc.RpcError):
            server.infer(ids(100 + k))
    good = server.infer(ids(1, 0))

    assert output(good).tolist() == [[1.5] * 4, [0.5] * 4]
    assert len(server.log) - before < 3000
    assert "Traceback" not in server.log
    assert "out of use" not in server.log
