"""The composition root: builds every part in order, starts it, stops it in reverse. It and `unit` alone see Config."""

import logging
import threading
from collections.abc import Callable, Mapping
from functools import partial
from typing import get_args

from prometheus_client import CollectorRegistry

from models.backends.base import BackendError
from models.catalog import Family
from profiler.hardware.changes import (
    Change,
    ClockCapChanged,
    CoresChanged,
    CoresMoved,
    DeviceBack,
    DeviceLost,
    QuotaChanged,
)
from profiler.hardware.fingerprint import detect
from profiler.hardware.gpus import open_nvml
from profiler.hardware.sensors import read
from server.config import Config
from server.errors import BadConfiguration
from server.families import Families, found_for
from server.metrics import Metrics
from server.operators.http import NotOurs, Operators
from server.rpc import sizes
from server.rpc.control import service as control
from server.rpc.describe import Describe
from server.rpc.service import Hosted, Service
from server.rpc.standard import Health, Reflection
from server.rpc.status import ending_of
from server.rpc.transport import descriptors
from server.rpc.transport.bounds import Bounds
from server.rpc.transport.call import Handler
from server.rpc.transport.front import Front
from server.runtime.arms.lookout import Lookout
from server.runtime.arms.tasks import Tasks
from server.runtime.dispatch.explained import DecisionLog
from server.sharing.rpc import service as sharing
from server.sharing.unit import ShareUnit
from server.unit import Unit
from surroundings.addresses import joined
from wire import POOL

_log = logging.getLogger(__name__)

_SERVICE = "inference.GRPCInferenceService"
IDLE_LOOK_S = 0.05
"""So often the tuner looks whether an idle moment is of use."""
LASTING = {CoresChanged, CoresMoved, QuotaChanged, ClockCapChanged, DeviceLost, DeviceBack}
"""Changes after which other profiles may hold; all others are followed batch by batch."""


class App:
    """A server, built from a Config. Raises BadConfiguration for anything that keeps it from starting."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stopping = threading.Event()
        found = found_for(config)
        self._nvml = open_nvml()
        hardware = detect(nvml=self._nvml)
        self._metrics = metrics = Metrics(
            CollectorRegistry(), [f.slo.latency_s for f in found.families.values()]
        )
        metrics.runs_on(hardware)
        self._families = Families(found, config, hardware, metrics)
        self._units, unserved = self._families.units, self._families.unserved
        hosted = {name: unit.hosted for name, unit in self._units.items()}
        self._service = Service(hosted, unserved, config.max_message_mib << 20)
        self._control = control.Control(hosted, unserved)
        self._share = ShareUnit(config, metrics.registry) if config.share_package else None
        self._log = _decision_log(hosted, config)
        self._health = Health(self._readiness())
        self._front = Front(
            self._handlers(hosted),
            ending_of,
            self._service.flush,
            _bounds(config, found.families),
            metrics.connected,
        )
        self._tasks = Tasks()
        self._tuning = threading.Thread(target=self._tune, name="tuner", daemon=True)
        self._lookout = self._look_out()
        try:
            self._operators = Operators(config.host, config.http_port, metrics.registry, self.ready)
            self.port = self._front.bind(joined(config.host, config.port))
        except OSError as error:
            raise BadConfiguration(f"{error}; {_remedy(error)}") from error
        self._on_failure: Callable[[str], None] = _log.error

    @property
    def http_port(self) -> int:
        """Where metrics are."""
        return self._operators.port

    def ready(self) -> bool:
        """Every family that can be served has an arm, shared tasks are in service, and the server is not stopping."""
        if self._stopping.is_set() or (self._share is not None and not self._share.is_ready):
            return False
        return self._families.is_ready

    def start(self, on_failure: Callable[[str], None]) -> None:
        """Accept calls at once; families become ready one after the other, smallest variant first.

        `on_failure` is called from another thread, with the reason, once no family turns out to have an arm that loads,
        or, if strict, one has none.
        """
        self._on_failure = on_failure
        for unit in self._units.values():
            unit.start(self._service.deliver)
            unit.hosted.dispatcher.announce(self._health.changed)
        if self._share is not None:
            self._share.start()
        if self._log is not None:
            self._log.start()
        self._operators.start()
        self._front.start()
        self._tuning.start()
        if self._lookout is not None:
            self._lookout.start()

    def stop(self) -> None:
        """Refuse new calls, drain, answer what is left, unload."""
        self._stopping.set()
        self._health.changed()
        self._health.end()
        if self._lookout is not None:
            self._lookout.stop()
        for unit in self._units.values():
            unit.stop()
        self._tasks.end()
        self._front.stop(self._config.drain_s, self._abandon)
        self._service.close()
        self._control.close()
        if self._share is not None:
            self._share.stop()
        if self._log is not None:
            self._log.stop()
        self._tuning.join(self._config.drain_s)
        for unit in self._units.values():
            unit.join()
        self._operators.stop()

    def _abandon(self) -> None:
        for unit in self._units.values():
            unit.hosted.dispatcher.abandon()

    def _tune(self) -> None:
        """The tuner's thread: first make every family and the shared tasks ready, then whatever comes up."""
        for name, unit in self._units.items():
            if end := self._prepare(name, unit):
                self._on_failure(end)
                return
            self._health.changed()
        if self._share is not None:
            try:
                self._share.prepare()
            except BadConfiguration as error:
                self._on_failure(str(error))
                return
            self._health.changed()
        self._tasks.work(IDLE_LOOK_S, self._tick)

    def _prepare(self, name: str, unit: Unit) -> str:
        """Make the family ready; why the server is to end where it cannot be, empty where it goes on."""
        try:
            unit.prepare()
        except (BackendError, BadConfiguration) as error:
            return self._families.failed(name, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a runtime makes of one family, the others serve
            _log.debug("family %s cannot be loaded", name, exc_info=error)
            return self._families.failed(
                name, f"family {name} cannot be loaded: {type(error).__name__}: {error}"
            )
        return ""

    def _tick(self) -> None:
        for unit in self._families.served():
            unit.tick()

    def _look_out(self) -> Lookout | None:
        period_s = self._config.watch_every_s
        self._metrics.may_change(kind.__name__ for kind in get_args(Change))
        return (
            Lookout(period_s, self._changed, partial(read, nvml=self._nvml)) if period_s else None
        )

    def _changed(self, changes: tuple[Change, ...]) -> None:
        """The hardware is not what it was; called from the lookout's thread."""
        kinds = {type(change) for change in changes}
        for kind in kinds:
            self._metrics.changed(kind.__name__)
        if not kinds & LASTING:
            return
        hardware = detect(nvml=self._nvml)
        self._metrics.runs_on(hardware)
        for unit in self._families.served():
            if DeviceLost in kinds:
                unit.forget_devices()
            unit.moved_to(hardware, self._tasks)
            if DeviceBack in kinds:
                unit.retake_devices(self._tasks)

    def _handlers(self, hosted: Mapping[str, Hosted]) -> dict[str, Handler]:
        services = [_SERVICE, control.SERVICE, sharing.SERVICE, "grpc.health.v1.Health"]
        reflection = Reflection(POOL, services)
        describe = Describe(hosted, self._families.unserved, self.ready)
        tasks = sharing.NoTasks() if self._share is None else self._share.service
        parts = (self._service, describe, self._control, tasks, self._health, reflection)
        return {path: handler for part in parts for path, handler in part.handlers().items()}

    def _readiness(self) -> dict[str, Callable[[], bool]]:
        by_family = {
            **dict.fromkeys(self._families.unserved.reasons, lambda: False),
            **{name: partial(self._is_served, name) for name in self._units},
        }
        up = {
            control.SERVICE: lambda: not self._stopping.is_set(),
            sharing.SERVICE: self._is_sharing,
        }
        return {"": self.ready, _SERVICE: self.ready, **up, **by_family}

    def _is_served(self, name: str) -> bool:
        return self._families.is_up(name) and not self._stopping.is_set()

    def _is_sharing(self) -> bool:
        return self._share is not None and self._share.is_ready and not self._stopping.is_set()


def _bounds(config: Config, families: Mapping[str, Family]) -> Bounds:
    """What clients may have, as the operator, the families' answers and the descriptors of this process allow."""
    largest = max((sizes.answer_bytes(family) for family in families.values()), default=0)
    message_bytes = config.max_message_mib << 20
    return Bounds(
        message_bytes=message_bytes,
        unsent_bytes=max(config.max_unsent_mib << 20, 4 * min(largest, message_bytes)),
        connections=descriptors.connections(config.max_connections),
        streams_a_connection=config.max_streams,
        calls=config.max_calls,
        stall_s=config.stall_s,
        max_idle_s=config.max_idle_s,
        max_age_s=config.max_age_s,
        keepalive_s=config.keepalive_s,
    )


def _decision_log(hosted: Mapping[str, Hosted], config: Config) -> DecisionLog | None:
    if not config.log_decisions_every_s:
        return None
    journals = {name: one.dispatcher.journal for name, one in hosted.items()}
    return DecisionLog(journals, config.log_decisions_every_s)


def _remedy(error: OSError) -> str:
    if isinstance(error, NotOurs):
        return "choose another with --host"
    return "choose another with --port / --http-port, or stop what holds it"
