"""Questions to a running server over gRPC, for commands: ask, tell why there is no answer, show messages as values."""

from math import isfinite
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.enable_retries", 0)]
_PATIENCE_S = 5.0
"""How long one question may take: connecting, and explaining up to a hundred decisions."""

Answer = TypeVar("Answer", bound=Message)


class NoAnswer(Exception):
    """The server cannot be asked, or does not answer this question; the message says what to do."""


def ask(
    channel: grpc.Channel,
    path: str,
    request: Message,
    answer: type[Answer],
    patience_s: float = _PATIENCE_S,
) -> Answer:
    """One unary call; `answer` is the type of its answer. Raises grpc.RpcError."""
    call = channel.unary_unary(
        path,
        request_serializer=type(request).SerializeToString,
        response_deserializer=answer.FromString,
    )
    return call(request, timeout=patience_s)


def code_of(error: grpc.RpcError) -> grpc.StatusCode:
    """The status of a call that failed."""
    call: Any = error  # an RpcError of a call is a Call too; grpc's types do not say so
    return call.code()


def why(error: grpc.RpcError, url: str, service: str) -> str:
    """Why there is no answer, and what to do."""
    call: Any = error
    details = call.details()
    match code := code_of(error):
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"no server answers at {url} ({details}); start `gearshift serve` or name another with --url"
        case grpc.StatusCode.UNIMPLEMENTED:
            return f"the server at {url} has no {service.strip('/')}; it is older than this command: update it"
        case _:
            return f"the server at {url} says {code.name}: {details}"


def plain(message: Message) -> dict[str, Any]:
    """A message as plain values by field name: absent messages and what is not finite as None."""
    return {field.name: _value(message, field) for field in message.DESCRIPTOR.fields}


def _value(message: Message, field: Any) -> Any:
    value = getattr(message, field.name)
    if field.message_type is None:
        if field.has_presence and not message.HasField(field.name):
            return None
        return value if not isinstance(value, float) or isfinite(value) else None
    if field.message_type.GetOptions().map_entry:
        return dict(value)
    if field.is_repeated:
        return [plain(one) for one in value]
    return plain(value) if message.HasField(field.name) else None
