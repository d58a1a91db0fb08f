"""Domain error -> gRPC status, in one table."""

import logging

import grpc

from server.errors import (
    BadInput,
    ComputeFailed,
    DeadlineMissed,
    NotReady,
    Overloaded,
    RequestError,
    UnknownModel,
    Unsupported,
)

_log = logging.getLogger(__name__)

CODES: dict[type[RequestError], grpc.StatusCode] = {
    UnknownModel: grpc.StatusCode.NOT_FOUND,
    BadInput: grpc.StatusCode.INVALID_ARGUMENT,
    Unsupported: grpc.StatusCode.UNIMPLEMENTED,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineMissed: grpc.StatusCode.DEADLINE_EXCEEDED,
    NotReady: grpc.StatusCode.UNAVAILABLE,
    ComputeFailed: grpc.StatusCode.INTERNAL,
}


def status_of(error: BaseException) -> tuple[grpc.StatusCode, str]:
    """The code and text a client sees. Anything unforeseen is INTERNAL with a fixed text; its traceback is logged."""
    if isinstance(error, RequestError):
        return CODES[type(error)], str(error)
    _log.error("unforeseen error while answering a call", exc_info=error)
    return grpc.StatusCode.INTERNAL, "internal error; the server's log has the cause"
