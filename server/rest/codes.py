"""Domain error -> HTTP status, in one table; and the answer that tells it."""

import json
import logging
from http import HTTPStatus
from math import ceil

from server.errors import (
    BadInput,
    CannotLoad,
    ComputeFailed,
    DeadlineMissed,
    NotReady,
    Overloaded,
    RequestError,
    TooLarge,
    UnknownModel,
    Unsupported,
)
from server.texts import shown

_log = logging.getLogger(__name__)

CODES: dict[type[RequestError], HTTPStatus] = {
    UnknownModel: HTTPStatus.NOT_FOUND,
    BadInput: HTTPStatus.BAD_REQUEST,
    Unsupported: HTTPStatus.NOT_IMPLEMENTED,
    Overloaded: HTTPStatus.TOO_MANY_REQUESTS,
    DeadlineMissed: HTTPStatus.GATEWAY_TIMEOUT,
    NotReady: HTTPStatus.SERVICE_UNAVAILABLE,
    CannotLoad: HTTPStatus.CONFLICT,
    ComputeFailed: HTTPStatus.INTERNAL_SERVER_ERROR,
    TooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
}
"""Of errors that REST can give: shared tasks and shared memory are gRPC's alone."""
_MOST_DETAILS = 2000
"""Characters of a text that a client sees."""

Headers = dict[str, str]


def ending_of(error: BaseException) -> tuple[int, bytes, Headers]:
    """Status, body and headers for an error. Anything unforeseen is 500 with a fixed text; its traceback is logged."""
    if isinstance(error, RequestError):
        status = CODES.get(type(error), HTTPStatus.INTERNAL_SERVER_ERROR)
        return status, words(shown(str(error), _MOST_DETAILS)), hints(error)
    _log.error("unforeseen error while answering over REST", exc_info=error)
    return 500, words("internal error; the server's log has the cause"), {}


def words(text: str) -> bytes:
    """The body of an error."""
    return json.dumps({"error": text}).encode()


def hints(error: RequestError) -> Headers:
    """When to ask again, in whole seconds and, for whoever reads it, in milliseconds; nothing where it is not known."""
    if error.retry_s is None:
        return {}
    return {
        "retry-after": str(ceil(error.retry_s)),
        "retry-after-ms": str(ceil(error.retry_s * 1e3)),
    }
