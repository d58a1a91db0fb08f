"""What clients may have of the transport: sizes, connections, streams, ages and pings; as arguments of gRPC's core."""

from dataclasses import dataclass

_OFF = 2**31 - 1
_PENDING = 8192
"""Calls that the core holds for us. Above that it refuses whom chance picks; guests.py, which comes after, is fair."""

_ENDING = 2
"""The core counts streams that are just ending, and resets what is beyond: as many again as may be open end at once."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Times in seconds; of ages 0 means: never."""

    message_bytes: int = 64 << 20
    unsent_bytes: int = 16 << 20
    connections: int = 1024
    streams_a_connection: int = 512
    calls: int = 1024
    stall_s: float = 10.0
    max_idle_s: float = 0.0
    max_age_s: float = 0.0
    keepalive_s: float = 60.0
    coming_bytes: int = 1 << 30
    """Of requests that are held; the native front's alone, and twice `message_bytes` at least."""


KEEPALIVE_TIMEOUT_S = 20.0
"""A client that does not answer a ping for so long has gone."""
HANDSHAKE_S = 10.0
"""Who connects and has not begun to speak HTTP/2 by then is cut off."""
LEAST_PING_S = 5.0
"""Clients may ping so often, calls or none; who does it more often is cut off after a few warnings."""
AGE_GRACE_S = 60.0
"""What runs on a connection that has reached its age may go on for so long."""


def arguments(bounds: Bounds, most_received_bytes: int) -> tuple[tuple[bytes, int], ...]:
    """Channel arguments of the server."""
    return (
        (b"grpc.max_receive_message_length", min(bounds.message_bytes, most_received_bytes)),
        (b"grpc.max_send_message_length", bounds.message_bytes),
        (b"grpc.per_message_decompression", 0),  # packing.py does it, within bounds
        (b"grpc.so_reuseport", 0),
        (b"grpc.max_concurrent_streams", _ENDING * bounds.streams_a_connection),
        (b"grpc.max_allowed_incoming_connections", bounds.connections),
        (b"grpc.server_handshake_timeout_ms", _ms(HANDSHAKE_S)),
        (b"grpc.server.max_pending_requests", _PENDING),
        (b"grpc.server.max_pending_requests_hard_limit", _PENDING),
        (b"grpc.max_connection_idle_ms", _ms(bounds.max_idle_s)),
        (b"grpc.max_connection_age_ms", _ms(bounds.max_age_s)),
        (b"grpc.max_connection_age_grace_ms", _ms(AGE_GRACE_S)),
        (b"grpc.keepalive_time_ms", _ms(bounds.keepalive_s)),
        (b"grpc.keepalive_timeout_ms", _ms(KEEPALIVE_TIMEOUT_S)),
        (b"grpc.keepalive_permit_without_calls", 1),
        (b"grpc.http2.min_ping_interval_without_data_ms", _ms(LEAST_PING_S)),
    )


def _ms(seconds: float) -> int:
    return min(_OFF, round(seconds * 1e3)) if seconds else _OFF
