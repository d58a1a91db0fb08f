"""Domain error -> gRPC status, in one table."""

import logging
from math import ceil

import grpc

from server.errors import (
    BadInput,
    BadPackage,
    BudgetTooSmall,
    CannotLoad,
    ComputeFailed,
    DeadlineMissed,
    NoPackage,
    NotReady,
    Overloaded,
    RegionPresent,
    RequestError,
    TaskPresent,
    TooLarge,
    UnknownModel,
    UnknownRegion,
    UnknownStream,
    UnknownTask,
    Unsupported,
)
from server.texts import shown

_log = logging.getLogger(__name__)

CODES: dict[type[RequestError], grpc.StatusCode] = {
    UnknownModel: grpc.StatusCode.NOT_FOUND,
    BadInput: grpc.StatusCode.INVALID_ARGUMENT,
    Unsupported: grpc.StatusCode.UNIMPLEMENTED,
    Overloaded: grpc.StatusCode.RESOURCE_EXHAUSTED,
    DeadlineMissed: grpc.StatusCode.DEADLINE_EXCEEDED,
    NotReady: grpc.StatusCode.UNAVAILABLE,
    CannotLoad: grpc.StatusCode.FAILED_PRECONDITION,
    ComputeFailed: grpc.StatusCode.INTERNAL,
    TooLarge: grpc.StatusCode.RESOURCE_EXHAUSTED,
    UnknownTask: grpc.StatusCode.NOT_FOUND,
    TaskPresent: grpc.StatusCode.ALREADY_EXISTS,
    UnknownStream: grpc.StatusCode.NOT_FOUND,
    BudgetTooSmall: grpc.StatusCode.FAILED_PRECONDITION,
    BadPackage: grpc.StatusCode.FAILED_PRECONDITION,
    NoPackage: grpc.StatusCode.FAILED_PRECONDITION,
    UnknownRegion: grpc.StatusCode.NOT_FOUND,
    RegionPresent: grpc.StatusCode.ALREADY_EXISTS,
}
_MOST_DETAILS = 2000
"""Characters of a text that a client sees."""
_RETRY_KEYS = ("retry-after-ms", "grpc-retry-pushback-ms")
"""Ours, for whoever reads it, and the one that gRPC's own client-side retries obey (gRFC A6)."""


def status_of(error: BaseException) -> tuple[grpc.StatusCode, str]:
    """The code and text a client sees. Anything unforeseen is INTERNAL with a fixed text; its traceback is logged."""
    if isinstance(error, RequestError):
        return CODES[type(error)], shown(str(error), _MOST_DETAILS)
    _log.error("unforeseen error while answering a call", exc_info=error)
    return grpc.StatusCode.INTERNAL, "internal error; the server's log has the cause"


def ending_of(
    error: BaseException,
) -> tuple[grpc.StatusCode, str, tuple[tuple[str, str], ...]]:
    """How a call ends for this error: code, text, trailing metadata."""
    return (*status_of(error), trailers_of(error))


def trailers_of(error: BaseException) -> tuple[tuple[str, str], ...]:
    """When to ask again, in milliseconds, as trailing metadata; nothing where the error knows no such time."""
    if not isinstance(error, RequestError) or error.retry_s is None:
        return ()
    return tuple((key, str(ceil(error.retry_s * 1e3))) for key in _RETRY_KEYS)
