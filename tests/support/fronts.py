"""Ways into a server, asked alike: the same question through gRPC, through a JSON line, and in the same process."""

import json
import socket
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import grpc
import numpy as np
import pytest
from numpy.typing import NDArray

from examples import json_lines
from server.engine import Engine, Request, Tensor, Values
from server.errors import RequestError
from server.rest import codes
from server.rpc.fronts.choosing import front_of
from server.rpc.service import Service
from server.rpc.status import CODES
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.front import Front
from tests.support.rest import front as rest
from wire import inference_pb2 as pb

PATIENCE_S = 30.0


@dataclass(frozen=True, slots=True)
class Input:
    """One input of a question; `data` is flat."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Question:
    """What a client asks, whatever the protocol."""

    model: str
    inputs: tuple[Input, ...]
    id: str = ""
    outputs: tuple[str, ...] = ()
    parameters: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: outputs, or the domain's error that the front's code stands for, and its words."""

    outputs: Mapping[str, NDArray[Any]] = field(default_factory=dict[str, NDArray[Any]])
    error: type[RequestError] | None = None
    words: str = ""


Ask = Callable[[Question], Reply]


@contextmanager
def in_process(engine: Engine) -> Generator[Ask]:
    """No front at all."""

    def ask(question: Question) -> Reply:
        tensors = [Tensor(i.name, i.datatype, i.shape, Values(i.data)) for i in question.inputs]
        request = Request(
            question.model,
            tensors,
            question.id,
            outputs=question.outputs,
            parameters=question.parameters,
        )
        try:
            return Reply(engine.infer(request).result(PATIENCE_S).outputs)
        except RequestError as error:
            return Reply(error=type(error), words=str(error))

    yield ask


@contextmanager
def json_line(engine: Engine) -> Generator[Ask]:
    """The front of `examples/json_lines.py`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_serve, args=(engine, listener), daemon=True).start()
        with socket.create_connection(listener.getsockname(), PATIENCE_S) as client:
            lines = client.makefile("rwb")

            def ask(question: Question) -> Reply:
                asked = {
                    "model": question.model,
                    "id": question.id,
                    "inputs": [
                        {"name": i.name, "datatype": i.datatype, "shape": i.shape, "data": i.data}
                        for i in question.inputs
                    ],
                    "outputs": question.outputs,
                    "parameters": question.parameters,
                }
                lines.write(json.dumps(asked).encode() + b"\n")
                lines.flush()
                return _said(json.loads(lines.readline()))

            yield ask


def _serve(engine: Engine, listener: socket.socket) -> None:
    with suppress(OSError):  # closed: the test is over
        json_lines.serve(engine, listener)


def _said(answer: dict[str, Any]) -> Reply:
    if "error" in answer:
        kinds = {code: kind for kind, code in json_lines.CODES.items()}
        return Reply(error=kinds[answer["error"]], words=answer["message"])
    return Reply({name: np.asarray(rows) for name, rows in answer["outputs"].items()})


def over_grpc(engine: Engine) -> AbstractContextManager[Ask]:
    """The front on gRPC's own core, with a stock channel."""
    return _over(engine, "grpcio")


def over_native(engine: Engine) -> AbstractContextManager[Ask]:
    """The native front, with a stock channel; skips where it is not built."""
    skip_unbuilt()
    return _over(engine, "native")


@contextmanager
def over_rest(engine: Engine, *, binary: bool = False) -> Generator[Ask]:
    """REST, with everything in JSON or all tensors in memory behind it."""
    with rest.serving(engine) as url:

        def ask(question: Question) -> Reply:
            status, answer = rest.asked(url, question, binary=binary)
            if status == HTTPStatus.OK:
                return Reply(answer)
            kind = next(kind for kind, code in codes.CODES.items() if code == status)
            return Reply(error=kind, words=answer["error"])

        yield ask


def over_rest_binary(engine: Engine) -> AbstractContextManager[Ask]:
    """The same with Triton's binary data."""
    return over_rest(engine, binary=True)


def skip_unbuilt() -> None:
    """Skip the test where the native front is not built."""
    pytest.importorskip("server.rpc.transport.native._core", reason="not built: make native")


def kind_of_front(name: str) -> Any:
    """Front by its name; skips where it is not built."""
    if name == "grpcio":
        return Front
    skip_unbuilt()
    from server.rpc.transport.native.front import NativeFront  # noqa: PLC0415 - may not be built

    return NativeFront


@contextmanager
def _over(engine: Engine, name: str) -> Generator[Ask]:
    service = Service(engine.families, engine.unserved)
    front, renew = front_of(name, service, service.handlers(), Bounds(), lambda *_counts: None)
    port = front.bind("127.0.0.1:0")
    front.start()
    renew()
    with ExitStack() as stack:
        stack.callback(service.close)
        stack.callback(front.stop, 1.0, lambda: None)
        channel = stack.enter_context(grpc.insecure_channel(f"127.0.0.1:{port}"))
        infer: Any = channel.unary_unary(
            "/inference.GRPCInferenceService/ModelInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelInferResponse.FromString,
        )

        def ask(question: Question) -> Reply:
            try:
                return _outputs(infer(_message(question), timeout=PATIENCE_S))
            except grpc.RpcError as refusal:
                return _refusal(refusal)

        yield ask


def _message(question: Question) -> Any:
    message: Any = pb.ModelInferRequest(model_name=question.model, id=question.id)
    for one in question.inputs:
        message.inputs.add(name=one.name, datatype=one.datatype, shape=one.shape)
        message.raw_input_contents.append(_raw(one))
    for name in question.outputs:
        message.outputs.add(name=name)
    for key, value in question.parameters.items():
        _set(message.parameters[key], value)
    return message


def _raw(one: Input) -> bytes:
    dtype = {"FP32": np.float32, "INT64": np.int64, "INT32": np.int32, "UINT8": np.uint8}
    return np.array(one.data, dtype.get(one.datatype, np.float32)).tobytes()


def _set(parameter: Any, value: Any) -> None:
    fields = {bool: "bool_param", int: "int64_param", float: "double_param", str: "string_param"}
    if value is None:
        parameter.SetInParent()
    else:
        setattr(parameter, fields[type(value)], value)


def _outputs(answer: Any) -> Reply:
    dtypes = {"FP32": np.float32, "INT64": np.int64}
    found = {
        output.name: np.frombuffer(raw, dtypes[output.datatype]).reshape(output.shape)
        for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }
    return Reply(found)


def _refusal(refusal: Any) -> Reply:
    kinds = [kind for kind, code in CODES.items() if code is refusal.code()]
    return Reply(error=kinds[0], words=refusal.details())
