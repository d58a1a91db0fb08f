"""grpc.health.v1 and server reflection over the front. Knows services and their readiness, nothing of inference."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from server.rpc.decode import parse
from server.rpc.transport.call import Call, Handler
from server.texts import shown

_SERVING = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Health:
    """Check and Watch. `ready` gives, as it is now, a readiness check by service name ("": the whole server)."""

    def __init__(self, ready: Callable[[], Mapping[str, Callable[[], bool]]]) -> None:
        self._ready = ready
        self._watchers: dict[Call, tuple[str, int]] = {}
        self._lock = (
            threading.RLock()
        )  # a watch begins on one thread while a status changes on another
        self._ended = False

    def handlers(self) -> dict[str, Handler]:
        """Method path -> handler."""
        return {
            "/grpc.health.v1.Health/Check": Handler(self._check),
            "/grpc.health.v1.Health/Watch": Handler(self._watch, streaming=True),
        }

    def changed(self) -> None:
        """Tell watchers whose service's status differs from the one sent last."""
        with self._lock:
            for call, (service, sent) in self._watchers.items():
                status = self._status(service)
                if status != sent:
                    self._watchers[call] = (service, status)
                    call.send(_response(status))

    def end(self) -> None:
        """Tell every watcher NOT_SERVING and end its stream: the server stops."""
        self.changed()
        with self._lock:
            self._ended = True
            for call in self._watchers:
                call.finish()
            self._watchers.clear()

    def _status(self, service: str) -> int:
        check = self._ready().get(service)
        if check is None:
            return _UNKNOWN
        return _SERVING if check() else _NOT_SERVING

    def _check(self, call: Call, message: bytes | None) -> None:
        service = parse(health_pb2.HealthCheckRequest, message or b"").service
        status = self._status(service)
        if status == _UNKNOWN:
            call.fail(
                grpc.StatusCode.NOT_FOUND,
                f"unknown service '{shown(service)}'; known: {sorted(self._ready())}",
            )
            return
        call.reply(_response(status))

    def _watch(self, call: Call, message: bytes | None) -> None:
        if message is None or call in self._watchers:
            return
        service = parse(health_pb2.HealthCheckRequest, message).service
        call.on_cancel = lambda: self._forget(call)
        with self._lock:
            status = self._status(service)
            call.send(_response(status))
            if self._ended:
                call.finish()
            else:
                self._watchers[call] = (service, status)

    def _forget(self, call: Call) -> None:
        with self._lock:
            self._watchers.pop(call, None)


class Reflection:
    """Server reflection over a descriptor pool of our own, both of its published versions."""

    def __init__(self, pool: DescriptorPool, services: Sequence[str]) -> None:
        for module in (health_pb2, reflection_pb2):
            pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
        self._servicer = reflection.ReflectionServicer([*services, reflection.SERVICE_NAME], pool)

    def handlers(self) -> dict[str, Handler]:
        """Method path -> handler. v1 has v1alpha's messages under another package name."""
        versions = ("v1alpha", "v1")
        handler = Handler(self._info, streaming=True)
        return {
            f"/grpc.reflection.{v}.ServerReflection/ServerReflectionInfo": handler for v in versions
        }

    def _info(self, call: Call, message: bytes | None) -> None:
        if message is None:
            call.finish()
            return
        request = parse(reflection_pb2.ServerReflectionRequest, message)
        no_context: Any = None  # the servicer reads nothing from it
        response: reflection_pb2.ServerReflectionResponse
        for response in self._servicer.ServerReflectionInfo(iter([request]), no_context):
            call.send(response.SerializeToString())


def _response(status: int) -> bytes:
    return health_pb2.HealthCheckResponse(status=status).SerializeToString()
