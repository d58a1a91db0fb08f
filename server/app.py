"""The composition root: builds every part in order, starts it, stops it in reverse. Only here is Config seen whole."""

import logging
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from prometheus_client import CollectorRegistry

from models.artifacts import ArtifactError, default_repository, load_repository
from models.backends.base import BackendError
from models.catalog import Family, Slo
from profiler.hardware import Hardware, detect
from profiler.store import default_folder
from server.config import Config, class_weights
from server.errors import BadConfiguration
from server.metrics import Metrics
from server.policy import registry
from server.policy.tuning import NAMED
from server.rpc import control
from server.rpc.call import Handler
from server.rpc.convert import Reader
from server.rpc.describe import Describe
from server.rpc.front import Front
from server.rpc.http import Operators
from server.rpc.service import Hosted, Service
from server.rpc.standard import Health, Reflection
from server.rpc.status import status_of
from server.rpc.wire import POOL
from server.runtime.crew import Crew
from server.runtime.dispatcher import Dispatcher, Limits
from server.runtime.executor import Post
from server.runtime.explained import DecisionLog
from server.runtime.journal import Journal
from server.runtime.rehearsal import Rehearsal, Schedule, Stage
from server.runtime.shelf import Shelf
from server.runtime.tuner import Plan, Tuner
from server.simulator import replay

_log = logging.getLogger(__name__)

_SERVICE = "inference.GRPCInferenceService"
REPLAYED_CV = 0.1
"""Scatter of batch latencies in replays: what a server that shares its cores with its own transport shows."""


@dataclass(frozen=True, slots=True)
class _Unit:
    """One family at work: its transport side, its tuner, its workers."""

    hosted: Hosted
    tuner: Tuner
    crew: Crew
    rehearsal: Rehearsal | None


class App:
    """A server, built from a Config. Raises BadConfiguration for anything that keeps it from starting."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._stopping = threading.Event()
        families = _families(config)
        hardware = detect()
        metrics = Metrics(CollectorRegistry(), [f.slo.latency_s for f in families.values()])
        metrics.hardware.labels(hardware.fingerprint(), hardware.cpu, str(hardware.cores)).set(1)
        self._units = {name: _unit(f, config, hardware, metrics) for name, f in families.items()}
        hosted = {name: unit.hosted for name, unit in self._units.items()}
        self._service = Service(hosted)
        self._control = control.Control(hosted)
        self._log = _decision_log(hosted, config)
        self._health = Health(self._readiness())
        self._front = Front(
            self._handlers(hosted), status_of, self._service.flush, config.max_message_mib << 20
        )
        self._preparing = threading.Thread(target=self._prepare, name="tuner", daemon=True)
        try:
            self._operators = Operators(config.host, config.http_port, metrics.registry, self.ready)
            self.port = self._front.bind(f"{config.host}:{config.port}")
        except OSError as error:
            raise BadConfiguration(
                f"{error}; choose another with --port / --http-port, or stop what holds it"
            ) from error
        self.http_port = self._operators.port
        self._on_failure: Callable[[str], None] = _log.error

    def ready(self) -> bool:
        """Every family has at least one arm and the server is not stopping."""
        if self._stopping.is_set():
            return False
        return all(unit.hosted.dispatcher.arms for unit in self._units.values())

    def start(self, on_failure: Callable[[str], None]) -> None:
        """Accept calls at once; families become ready one after the other, smallest variant first.

        `on_failure` is called from another thread, with the reason, if a family turns out to have no arm that loads.
        """
        self._on_failure = on_failure
        for unit in self._units.values():
            unit.hosted.dispatcher.answer_to(self._service.deliver)
            unit.hosted.dispatcher.announce(self._health.changed)
            unit.crew.start()
            if unit.rehearsal is not None:
                unit.rehearsal.start()
        if self._log is not None:
            self._log.start()
        self._operators.start()
        self._front.start()
        self._preparing.start()

    def stop(self) -> None:
        """Refuse new calls, drain, answer what is left, unload."""
        self._stopping.set()
        self._health.changed()
        self._health.end()
        for unit in self._units.values():
            if unit.rehearsal is not None:
                unit.rehearsal.stop()
            unit.tuner.stop()
            unit.hosted.dispatcher.close()
        self._front.stop(self._config.drain_s, self._abandon)
        self._control.close()
        if self._log is not None:
            self._log.stop()
        self._preparing.join()
        for unit in self._units.values():
            unit.crew.join()
            for backend in unit.tuner.loaded.values():
                backend.close()
        self._operators.stop()

    def _abandon(self) -> None:
        for unit in self._units.values():
            unit.hosted.dispatcher.abandon()

    def _prepare(self) -> None:
        for unit in self._units.values():
            try:
                unit.tuner.prepare()
            except BackendError as error:
                self._on_failure(str(error))
                return
            self._health.changed()

    def _handlers(self, hosted: Mapping[str, Hosted]) -> dict[str, Handler]:
        services = [_SERVICE, control.SERVICE, "grpc.health.v1.Health"]
        reflection = Reflection(POOL, services)
        describe = Describe(hosted, self.ready)
        parts = (self._service, describe, self._control, self._health, reflection)
        return {path: handler for part in parts for path, handler in part.handlers().items()}

    def _readiness(self) -> dict[str, Callable[[], bool]]:
        by_family = {name: partial(self._is_up, unit) for name, unit in self._units.items()}
        up = {control.SERVICE: lambda: not self._stopping.is_set()}
        return {"": self.ready, _SERVICE: self.ready, **up, **by_family}

    def _is_up(self, unit: _Unit) -> bool:
        return bool(unit.hosted.dispatcher.arms) and not self._stopping.is_set()


def _decision_log(hosted: Mapping[str, Hosted], config: Config) -> DecisionLog | None:
    if not config.log_decisions_every_s:
        return None
    journals = {name: one.dispatcher.journal for name, one in hosted.items()}
    return DecisionLog(journals, config.log_decisions_every_s)


def _families(config: Config) -> dict[str, Family]:
    root = Path(config.repository) if config.repository else default_repository()
    try:
        found = load_repository(root)
    except ArtifactError as error:
        raise BadConfiguration(str(error)) from error
    missing = [name for name in config.families if name not in found]
    if missing or not found:
        wanted = ", ".join(missing) or "any family"
        raise BadConfiguration(
            f"model repository {root} does not hold {wanted} (it has: {', '.join(found) or 'nothing'}); "
            "build the embedded one with `gearshift models build`, or set --repository"
        )
    chosen = config.families or tuple(found)
    return {name: replace(found[name], slo=_slo(found[name], config)) for name in chosen}


def _slo(family: Family, config: Config) -> Slo:
    """The family's default SLO, as the operator overrides it."""
    best = max(v.accuracy.value for v in family.variants)
    if config.min_accuracy > best:
        raise BadConfiguration(
            f"min_accuracy {config.min_accuracy} is above {best}, the best that {family.name} has; lower it"
        )
    return replace(
        family.slo,
        latency_s=config.slo_ms / 1e3 or family.slo.latency_s,
        min_accuracy=config.min_accuracy or family.slo.min_accuracy,
    )


def _unit(family: Family, config: Config, hardware: Hardware, metrics: Metrics) -> _Unit:
    root = Path(config.repository) if config.repository else default_repository()
    measured = metrics.family(family.name)
    workers, threads = _parallelism(config, hardware)
    weights = class_weights(config.slo_classes)
    margin_s = config.reply_margin_ms / 1e3
    limits = Limits(workers, config.queue_capacity, margin_s, weights)
    try:
        factory = registry.policy(config.policy)
    except ValueError as error:
        raise BadConfiguration(f"policy: {error}") from error
    journal = Journal(config.journal_every)
    dispatcher = Dispatcher(family.name, factory, limits, measured, journal)
    dispatcher.policy = config.policy
    measured.watch_depth(lambda: dispatcher.depth)
    profiles = Path(config.profiles) if config.profiles else default_folder()
    shelf = Shelf(profiles, family, hardware)
    plan = Plan(root / family.name, threads, config.profile_budget_s, shelf)
    tuner = Tuner(family, plan, dispatcher, measured)
    reader = Reader(family, family.slo, weights, finite=config.reject_non_finite)
    hosted = Hosted(family, reader, dispatcher, measured)
    post = Post(family, dispatcher, tuner.loaded, tuner.observe)
    crew = Crew(post, [tuner.gate() for _ in range(workers)])
    return _Unit(hosted, tuner, crew, _rehearsal(dispatcher, config))


def _rehearsal(dispatcher: Dispatcher, config: Config) -> Rehearsal | None:
    """The slow loop of a family, where it is asked for and the policy has other characters to try."""
    if not config.rehearse_every_s or config.policy not in NAMED:
        return None
    limits = dispatcher.limits
    stage = replay.Stage(limits.workers, limits.capacity_rows, cv=REPLAYED_CV)
    candidates = {name: registry.policy(name) for name in NAMED}
    rehearsal = Rehearsal(
        Stage(
            dispatcher.name,
            lambda: dispatcher.arms,
            lambda name: dispatcher.use(name, candidates[name]),
        ),
        partial(replay.replay, candidates=candidates, stage=stage),
        config.policy,
        Schedule(period_s=config.rehearse_every_s),
    )
    dispatcher.show(rehearsal.record)
    return rehearsal


def _parallelism(config: Config, hardware: Hardware) -> tuple[int, int]:
    """(workers, threads each). Unset: one single-threaded worker a core (benchmarks/results/threads.md)."""
    workers = config.workers or max(1, hardware.cores // max(1, config.threads))
    return workers, config.threads or max(1, hardware.cores // workers)
