"""A front in sixty lines: one JSON object a line, over TCP. `python examples/json_lines.py PORT`."""

import json
import socket
import sys
from threading import Thread
from typing import Any

from server.config import Config
from server.engine import Answer, Engine, Request, Tensor, Values
from server.errors import BadInput, RequestError

CODES = {error: error.__name__ for error in RequestError.__subclasses__()}


def decode(line: bytes) -> Request:
    """{"model", "id", "inputs": [{"name", "datatype", "shape", "data": flat}], "outputs", "parameters"}."""
    try:
        asked = json.loads(line)
        tensors = [
            Tensor(
                str(t["name"]), str(t["datatype"]), list(map(int, t["shape"])), Values([*t["data"]])
            )
            for t in asked["inputs"]
        ]
        model, called = str(asked["model"]), str(asked.get("id", ""))
        outputs, parameters = [*asked.get("outputs", ())], {**asked.get("parameters", {})}
        return Request(model, tensors, called, outputs=outputs, parameters=parameters)
    except (ArithmeticError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise BadInput(f"no request: {type(error).__name__}: {error}") from error


def encode(answer: Answer) -> dict[str, Any]:
    """{"id", "outputs": {name: nested lists}, "variant", "accuracy"}."""
    outputs, how = {n: a.tolist() for n, a in answer.outputs.items()}, answer.execution
    execution = {"variant": how.variant, "accuracy": how.accuracy} if how else {}
    return {"id": answer.request.id, "outputs": outputs, **execution}


def converse(engine: Engine, client: socket.socket) -> None:
    """Answer one client, line by line, until it leaves."""
    with client, client.makefile("rwb") as lines:
        for line in lines:
            try:
                said = encode(engine.infer(decode(line)).result())
            except RequestError as error:
                said = {"error": CODES[type(error)], "message": str(error)}
            lines.write(json.dumps(said).encode() + b"\n")
            lines.flush()


def serve(engine: Engine, listener: socket.socket) -> None:
    """Accept clients, each on a thread, until the listener is closed."""
    while True:
        Thread(target=converse, args=(engine, listener.accept()[0]), daemon=True).start()


if __name__ == "__main__":
    with Engine(Config()) as served:
        serve(served, socket.create_server(("127.0.0.1", int(sys.argv[1]))))
