"""The REST front on an engine, and a plain client of it."""

import http.client
import json
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from server.engine import Engine
from server.engine.families.lifecycle import Lifecycle
from server.rest.connections import Allowed
from server.rest.front import RestFront
from server.rest.infer import Inference
from server.rpc.describe import Describe
from server.rpc.repository import RepositoryCalls
from server.rpc.telling.facts import Telling
from surroundings.listening import listen

PATIENCE_S = 30.0
DTYPES = {"FP32": np.float32, "INT64": np.int64, "INT32": np.int32, "UINT8": np.uint8}
ALLOWED = Allowed(64, 10.0, 60.0)


@contextmanager
def serving(
    engine: Engine, allowed: Allowed = ALLOWED, most_bytes: int = 64 << 20
) -> Generator[int]:
    """The port of a front that serves it."""
    lifecycle: Lifecycle = engine.lifecycle
    repository = RepositoryCalls(lifecycle, allowed=True)
    describe = Describe(engine.families, engine.unserved, lambda: engine.is_ready)
    telling = Telling(describe, repository, lambda: engine.is_ready)
    inference = Inference(engine.families, engine.unserved, most_bytes)
    front = RestFront(listen("127.0.0.1", 0), telling, inference, allowed, most_bytes)
    front.start()
    try:
        yield front.port
    finally:
        front.stop()
        repository.close()


def call(
    port: int,
    method: str,
    path: str,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> tuple[int, bytes, Mapping[str, str]]:
    """One request on a connection of its own: status, body, headers in small letters."""
    client = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    try:
        client.request(method, path, body, dict(headers or {}))
        answer = client.getresponse()
        return answer.status, answer.read(), {k.lower(): v for k, v in answer.getheaders()}
    finally:
        client.close()


def asked(port: int, question: Any, *, binary: bool) -> tuple[int, Any]:
    """Status, and outputs or the error's object."""
    inputs, memory = [], b""
    for one in question.inputs:
        given = {"name": one.name, "datatype": one.datatype, "shape": one.shape}
        if binary:
            raw = np.array(one.data, DTYPES.get(one.datatype, np.float32)).tobytes()
            memory += raw
            inputs.append({**given, "parameters": {"binary_data_size": len(raw)}})
        else:
            inputs.append({**given, "data": list(one.data)})
    parameters = {**question.parameters, "binary_data_output": binary}
    text = {"id": question.id, "inputs": inputs, "parameters": parameters}
    if question.outputs:
        text["outputs"] = [{"name": name} for name in question.outputs]
    encoded = json.dumps(text).encode()
    headers = {"Inference-Header-Content-Length": str(len(encoded))} if binary else {}
    path = f"/v2/models/{question.model}/infer"
    status, body, said = call(port, "POST", path, encoded + memory, headers)
    return (status, outputs(body, said)) if status == 200 else (status, json.loads(body))


def outputs(body: bytes, headers: Mapping[str, str]) -> dict[str, Any]:
    """An answer's outputs, by name."""
    at = int(headers.get("inference-header-content-length", len(body)))
    found: dict[str, Any] = {}
    for one in json.loads(body[:at])["outputs"]:
        dtype = DTYPES[one["datatype"]]
        if "data" in one:
            array = np.array(one["data"], dtype)
        else:
            size = one["parameters"]["binary_data_size"]
            array, at = np.frombuffer(body[at : at + size], dtype), at + size
        found[one["name"]] = array.reshape(one["shape"])
    assert at == len(body)
    return found
