"""The composition root: an engine and its fronts, built in order, started, stopped in reverse."""

import logging
import time
from collections.abc import Callable
from functools import partial

from models.catalog import Family
from server.config import Config
from server.engine import Engine
from server.errors import BadConfiguration
from server.metrics.itself import watch_itself
from server.operators.http import Operators
from server.rest.connections import Allowed
from server.rest.front import RestFront
from server.rest.infer import Inference
from server.rpc import sizes
from server.rpc.answer_size import AnswerSize
from server.rpc.control import service as control
from server.rpc.control.service import Control
from server.rpc.describe import Describe
from server.rpc.fronts.choosing import front_of
from server.rpc.repository import RepositoryCalls
from server.rpc.service import Service
from server.rpc.shared_memory.calls import SharedMemoryCalls
from server.rpc.shared_memory.placing import Regions
from server.rpc.shared_memory.registry import MOST_REGIONS
from server.rpc.standard import Health, Reflection
from server.rpc.telling.facts import Telling
from server.rpc.transport import descriptors
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.call import Handler
from server.sharing.rpc import service as sharing
from server.sharing.unit import ShareUnit
from surroundings.addresses import joined
from surroundings.listening import NotOurs, listen
from wire import POOL

_log = logging.getLogger(__name__)

_SERVICE = "inference.GRPCInferenceService"


class App:
    """A server, built from a Config. Raises BadConfiguration for anything that keeps it from starting."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._engine = engine = Engine(
            config,
            changed=self._tell_health,
            carried_rows=self._carried_rows,
            last=self._prepare_share,
        )
        self._share = ShareUnit(config, engine.registry) if config.sharing.package else None
        regions = Regions(allowed=config.server.shared_memory)
        self._service = Service(engine.families, engine.unserved, self._message_bytes, regions)
        self._shared_memory = SharedMemoryCalls(regions)
        self._control = Control(engine.families, engine.unserved)
        self._repository = RepositoryCalls(engine.lifecycle, allowed=config.models.repository_calls)
        self._describe = Describe(engine.families, engine.unserved, self.ready)
        self._health = Health(self._readiness)
        self._front, self._renew_plain = front_of(
            config.server.front,
            self._service,
            self._handlers(),
            self._bounds(),
            engine.metrics.connected,
        )
        price, as_triton = config.machine.price_per_core_hour, config.server.triton_metrics
        watch_itself(engine.metrics, self._front.name, price, as_triton=as_triton)
        try:
            self._operators = Operators(
                config.server.host, config.server.http_port, engine.registry, self.ready
            )
            self.port = self._front.bind(joined(config.server.host, config.server.port))
            self._bind_unix(config.server.unix_socket)
            self._rest = self._rest_front()
        except OSError as error:
            raise BadConfiguration(f"{error}; {_remedy(error)}") from error

    @property
    def http_port(self) -> int:
        """Where metrics are."""
        return self._operators.port

    @property
    def rest_port(self) -> int | None:
        """Where REST is; None where there is none."""
        return None if self._rest is None else self._rest.port

    def ready(self) -> bool:
        """Every family that can be served has an arm, shared tasks are in service, and the server is not leaving."""
        return (self._share is None or self._share.is_ready) and self._engine.is_ready

    @property
    def front(self) -> str:
        """What speaks gRPC."""
        return self._front.name

    def start(self, on_failure: Callable[[str], None]) -> None:
        """Accept calls at once; families become ready one after the other, smallest variant first.

        `on_failure` is called from another thread, with the reason, where the engine has nothing to serve.
        """
        if self._share is not None:
            self._share.start()
        self._operators.start()
        self._front.start()
        if self._rest is not None:
            self._rest.start()
        self._engine.start(on_failure)

    def leave(self) -> None:
        """Be ready no more, and serve on: those who spread clients over servers have time to see it."""
        self._engine.leave()

    def stop(self) -> None:
        """Refuse new calls, drain, answer what is left, unload."""
        self._engine.refuse()
        self._health.end()
        if self._rest is not None:
            self._rest.refuse()
        until_s = time.monotonic() + self._config.server.drain_s
        self._front.stop(self._config.server.drain_s, partial(self._give_up, until_s))
        if self._rest is not None:
            self._rest.stop()
        self._service.close()
        self._control.close()
        self._repository.close()
        self._shared_memory.close()
        if self._share is not None:
            self._share.stop()
        self._engine.join()
        self._operators.stop()

    def _give_up(self, until_s: float) -> None:
        """gRPC waits no longer; who asks over REST has until then, too."""
        if self._rest is not None:
            self._rest.drain(until_s)
        self._engine.abandon()

    def _rest_front(self) -> RestFront | None:
        config, engine = self._config, self._engine
        if config.server.rest_port < 0:
            return None
        return RestFront(
            listen(config.server.host, config.server.rest_port),
            Telling(self._describe, self._repository, self.ready),
            Inference(engine.families, engine.unserved, self._message_bytes),
            Allowed(self._bounds().connections, config.limits.stall_s, config.limits.max_idle_s),
            self._message_bytes,
        )

    def _bind_unix(self, path: str) -> None:
        try:
            if path:
                self._front.bind_unix(path)
        except OSError as error:
            raise BadConfiguration(f"{error}; choose another with --unix-socket") from error

    def _carried_rows(self, family: Family) -> int:
        """The most rows whose outputs one answer carries; an operator is told where they are few."""
        size = AnswerSize(family, self._message_bytes)
        if shortfall := size.shortfall():
            _log.warning("%s", shortfall)
        return size.most_rows(raw=True)

    def _tell_health(self) -> None:
        self._health.changed()
        self._renew_plain()

    def _prepare_share(self) -> None:
        if self._share is not None:
            self._share.prepare()

    @property
    def _message_bytes(self) -> int:
        return self._config.limits.max_message_mib << 20

    def _handlers(self) -> dict[str, Handler]:
        services = [_SERVICE, control.SERVICE, sharing.SERVICE, "grpc.health.v1.Health"]
        tasks = sharing.NoTasks() if self._share is None else self._share.service
        reflection = Reflection(POOL, services)
        parts = (
            self._service,
            self._describe,
            self._repository,
            self._shared_memory,
            self._control,
            tasks,
            self._health,
            reflection,
        )
        return {path: handler for part in parts for path, handler in part.handlers().items()}

    def _readiness(self) -> dict[str, Callable[[], bool]]:
        engine = self._engine
        names = (*engine.unserved.reasons, *dict(engine.families))
        by_family = {name: lambda name=name: engine.serves(name) for name in names}
        up = {
            control.SERVICE: lambda: not engine.is_stopping,
            sharing.SERVICE: lambda: (
                self._share is not None and self._share.is_ready and not engine.is_leaving
            ),
        }
        return {"": self.ready, _SERVICE: self.ready, **up, **by_family}

    def _bounds(self) -> Bounds:
        """What clients may have, as the operator, the families' answers and the descriptors of this process allow."""
        config, families = self._config, self._engine.families.values()
        largest = max((sizes.answer_bytes(one.published) for one in families), default=0)
        return Bounds(
            message_bytes=self._message_bytes,
            unsent_bytes=max(
                config.limits.max_unsent_mib << 20, 4 * min(largest, self._message_bytes)
            ),
            connections=descriptors.connections(
                config.limits.max_connections, MOST_REGIONS if config.server.shared_memory else 0
            ),
            streams_a_connection=config.limits.max_streams,
            calls=config.limits.max_calls,
            stall_s=config.limits.stall_s,
            max_idle_s=config.limits.max_idle_s,
            max_age_s=config.limits.max_age_s,
            keepalive_s=config.limits.keepalive_s,
        )


def _remedy(error: OSError) -> str:
    if isinstance(error, NotOurs):
        return "choose another with --host"
    return "choose another with --port / --http-port / --rest-port, or stop what holds it"
