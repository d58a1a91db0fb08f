"""Who is driven: find the server, the model and its input signature over the wire, before any
load."""

from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from loadtest.errors import BadTarget
from wire import inference_pb2 as pb

SERVICE = "/inference.GRPCInferenceService/"
INFER = f"{SERVICE}ModelInfer"
"""The path of the one method under load."""

Answer = TypeVar("Answer", bound=Message)


@dataclass(frozen=True, slots=True)
class Input:
    """One input tensor of the model: `shape` counts rows first, as -1."""

    name: str
    datatype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go. Every call ends `timeout_s` after it was due, answered or not."""

    url: str
    model: str
    timeout_s: float = 30.0


def discover(target: Target, wait_s: float = 5.0) -> tuple[Input, ...]:
    """The model's inputs. Raises BadTarget where the server is not there or the model unknown or
    not ready."""
    with _open(target.url) as channel:
        asked = pb.ModelReadyRequest(name=target.model)
        try:
            grpc.channel_ready_future(channel).result(timeout=wait_s)
            ready = _call(channel, "ModelReady", asked, pb.ModelReadyResponse).ready
            if not ready and not _known(channel, target.model):
                raise BadTarget(_unknown(target))
            if not ready:
                raise BadTarget(
                    f"model {target.model!r} at {target.url} is not ready; wait until it is loaded"
                )
            said = _metadata(channel, target.model)
        except grpc.FutureTimeoutError:
            raise BadTarget(
                f"no server answers at {target.url} within {wait_s:g} s; start `gearshift serve`"
            ) from None
        except grpc.RpcError as error:
            raise _refused(target, error) from None
    return tuple(Input(row.name, row.datatype, tuple(row.shape)) for row in said.inputs)


def try_one(target: Target, request: bytes) -> bytes | None:
    """Send one request and return its answer: BadTarget where the server calls it wrong.

    Overload and lateness pass, without an answer.
    """
    with _open(target.url) as channel:
        try:
            infer = channel.unary_unary(INFER)
            return infer(request, timeout=target.timeout_s)
        except grpc.RpcError as error:
            passing = (grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.DEADLINE_EXCEEDED)
            if _status(error)[0] not in passing:
                raise _refused(target, error) from None
            return None


def _open(url: str) -> grpc.Channel:
    options = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]
    return grpc.insecure_channel(url, options=options)


def _call(channel: grpc.Channel, method: str, request: Message, answer: type[Answer]) -> Answer:
    call = channel.unary_unary(
        SERVICE + method,
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString,
    )
    return call(request, timeout=10.0)


def _metadata(channel: grpc.Channel, model: str) -> pb.ModelMetadataResponse:
    asked = pb.ModelMetadataRequest(name=model)
    return _call(channel, "ModelMetadata", asked, pb.ModelMetadataResponse)


def _known(channel: grpc.Channel, model: str) -> bool:
    try:
        _metadata(channel, model)
    except grpc.RpcError as error:
        if _status(error)[0] is grpc.StatusCode.NOT_FOUND:
            return False
        raise
    return True


def _status(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """An RpcError of a call is a Call too; grpc's types do not say so."""
    call: Any = error
    return call.code(), call.details() or ""


def _unknown(target: Target) -> str:
    return f"the server at {target.url} has no model {target.model!r}; name another with --model"


def _refused(target: Target, error: grpc.RpcError) -> BadTarget:
    code, details = _status(error)
    if code is grpc.StatusCode.NOT_FOUND:
        return BadTarget(f"{_unknown(target)} ({details})")
    return BadTarget(
        f"the server at {target.url} refuses model {target.model!r}: {code.name}: {details}"
    )
