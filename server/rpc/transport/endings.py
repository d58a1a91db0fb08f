# pyright: basic
"""How calls end on gRPC's C core: codes, texts that fit, refusals of calls that no handler will see."""

import logging

import grpc
from grpc._cython import cygrpc  # pyright: ignore[reportAttributeAccessIssue] - compiled, no stub

from server.texts import shown

_log = logging.getLogger(__name__)

NO_FLAGS = 0
INITIAL_METADATA = cygrpc.SendInitialMetadataOperation((), NO_FLAGS)
_MOST_DETAILS_BYTES = 2000
"""Of an error's text: percent-encoded it is up to three times as long, and clients refuse trailers above 8 KiB."""
CODES = {code: getattr(cygrpc.StatusCode, code.name.lower()) for code in grpc.StatusCode}

Trailers = tuple[tuple[str, str], ...]
"""Metadata that ends a call: (key, value)."""

STOPPING = (grpc.StatusCode.UNAVAILABLE, "the server is stopping; try another replica")
"""How a call ends that the server cannot wait for."""


def refuse(core, code: grpc.StatusCode, details: str) -> None:
    """Answer a call that no handler will see."""
    core.start_server_batch(
        (
            INITIAL_METADATA,
            cygrpc.ReceiveCloseOnServerOperation(NO_FLAGS),
            cygrpc.SendStatusFromServerOperation((), CODES[code], clipped(details), NO_FLAGS),
        ),
        nothing,
    )


def too_long(size: int, most: int) -> tuple[grpc.StatusCode, str]:
    """How a call ends whose answer the transport would not send; the operator is told as well."""
    _log.warning(
        "an answer of %d bytes is more than max_message_mib allows (%d); refused", size, most
    )
    text = f"the answer of {size} bytes is more than max_message_mib allows ({most}); ask for less, or have it raised"
    return grpc.StatusCode.RESOURCE_EXHAUSTED, text


def clipped(details: str) -> bytes:
    data = shown(details, _MOST_DETAILS_BYTES).encode(errors="replace")
    if len(data) <= _MOST_DETAILS_BYTES:
        return data
    return data[:_MOST_DETAILS_BYTES].decode(errors="ignore").encode() + b" ..."


def nothing(_event) -> None:
    """The tag of an operation whose end needs no action."""
