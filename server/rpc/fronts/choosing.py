"""Which front speaks gRPC: the native one where it is built, gRPC's own core elsewhere."""

from collections.abc import Callable, Mapping

from server.errors import BadConfiguration
from server.rpc.service import Service
from server.rpc.status import ending_of
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.connections import Counted
from server.rpc.transport.front import Front
from server.rpc.transport.hosting import AnyFront, Handler


def front_of(
    wanted: str,
    service: Service,
    handlers: Mapping[str, Handler],
    bounds: Bounds,
    connected: Counted,
) -> tuple[AnyFront, Callable[[], None]]:
    """A front, and what to call when families may have changed. Raises BadConfiguration where it is not there.

    `wanted`: "native", "grpcio", or "auto".
    """
    why = "asked for (front)"
    if wanted != "grpcio":
        try:
            return _native(service, handlers, bounds, connected)
        except ImportError as error:
            why = f"the native one is not built (make native): {error}"
    if wanted == "native":
        raise BadConfiguration(f'front is "native", and {why}')
    front = Front(handlers, ending_of, service.flush, bounds, connected)
    front.name = f"gRPC's own core; {why}"
    return front, _nothing


def _native(
    service: Service, handlers: Mapping[str, Handler], bounds: Bounds, connected: Counted
) -> tuple[AnyFront, Callable[[], None]]:
    from server.rpc.fronts.plain import PlainRequests  # noqa: PLC0415 - what is not built cannot be imported
    from server.rpc.transport.native._core import nghttp2  # noqa: PLC0415
    from server.rpc.transport.native.front import NativeFront  # noqa: PLC0415

    front = NativeFront(handlers, ending_of, service.flush, bounds, connected)
    front.name = f"native, nghttp2 {nghttp2}"
    plain = PlainRequests(service.families, service.intake, front, bounds.message_bytes)
    return front, plain.renew


def _nothing() -> None:
    """No front needs to know."""
