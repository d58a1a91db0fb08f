"""What a family is built of, as the configuration says: its room, limits, placement, dispatcher, slow loop."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from models.backends import RUNTIMES
from models.backends.base import BackendError
from models.catalog import Family
from models.coded.opening import open_decoder
from profiler.hardware.fingerprint import Hardware
from profiler.hardware.sensors import available_bytes
from profiler.measuring.room import Room
from server.config import Config, class_weights
from server.engine.checking.checks import Checks
from server.engine.checking.coded import Coded
from server.engine.checking.row_bounds import RowBounds
from server.engine.places import root_of
from server.errors import BadConfiguration
from server.metrics import FamilyMetrics
from server.policy import registry
from server.policy.candidates.candidacy import TrialRules
from server.policy.dispatch.tuning import NAMED
from server.runtime.arms.residency import Placement
from server.runtime.candidates.stages import Stages
from server.runtime.dispatch.dispatcher import Dispatcher, Limits
from server.runtime.dispatch.jobs import Deliver, Listeners
from server.runtime.rehearsal.rehearsal import Rehearsal, RehearsedFamily, ReplaySchedule
from server.runtime.rehearsal.replay_process import Recorder
from server.runtime.workers.buffers import too_large
from server.simulator import replay

_log = logging.getLogger(__name__)

REPLAYED_CV = 0.1
"""Scatter of batch latencies in replays: what a server that shares its cores with its own transport shows."""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """What an engine gives to each of its families.

    `deliver` takes answers; `changed` is called when a family's readiness may be another; `carried_rows`: the most rows
    of a family whose outputs a front's answer carries; `shared`: who else has the processor just now, in words;
    `amended`: a published family as it is served here; `renewed`: its manifest is another in what requests are held to,
    so that it must be built anew.
    """

    deliver: Deliver
    changed: Callable[[], None]
    carried_rows: Callable[[Family], int]
    shared: Callable[[], str] = str
    amended: Callable[[Family], Family] = lambda family: family
    renewed: Callable[[str], None] = lambda _name: None


def rules(config: Config, family: Family) -> TrialRules:
    """How its candidates are tried."""
    trial = config.candidates
    return TrialRules(trial.trial_rows, trial.probation_s, family.slo.latency_s)


def serving(family: Family, stages: Stages, config: Config) -> Family:
    """The variants that serve from the start: those that are no candidates, and those promoted here before.

    Raises BadConfiguration where there is none, none is accurate enough, or memory is short.
    """
    variants = (*(v for v in family.variants if not v.candidate), *stages.promoted())
    if not variants:
        raise BadConfiguration(
            f"family {family.name} holds candidates only ({', '.join(v.name for v in family.variants)}), which serve "
            "once they were tried beside others; publish one variant at least that is no candidate"
        )
    best = max(v.accuracy.value for v in variants)
    if config.slo.min_accuracy > best:
        raise BadConfiguration(
            f"min_accuracy {config.slo.min_accuracy} is above {best}, the best that {family.name} has; lower it"
        )
    if reason := too_large(family):
        raise BadConfiguration(reason)
    return replace(family, variants=variants)


def fitted(family: Family, config: Config) -> tuple[Family, Room]:
    """The family with no more rows in a batch than there is room for here, and that room. Raises BadConfiguration where
    there is none for one row."""
    room = Room(config.limits.max_message_mib, available_bytes())
    try:
        smaller = room.fitted(family)
    except BackendError as error:
        raise BadConfiguration(str(error)) from error
    if smaller.max_batch < family.max_batch:
        text = "%s: batches have at most %d of max_batch's %d rows: no more fit a message (max_message_mib) or memory"
        _log.warning(text, family.name, smaller.max_batch, family.max_batch)
    return smaller, room


def parallelism(config: Config, hardware: Hardware) -> tuple[int, int]:
    """(workers, threads each). Unset: one single-threaded worker a core (benchmarks/results/threads.md)."""
    workers = config.machine.workers or max(1, hardware.cores // max(1, config.machine.threads))
    return workers, config.machine.threads or max(1, hardware.cores // workers)


def placement(family: Family, config: Config, room: Room, hardware: Hardware) -> Placement:
    """Where and how its arms are opened. Raises BadConfiguration for a runtime that nobody knows."""
    known = [runtime.name for runtime in RUNTIMES]
    unknown = [name for name in config.models.backends if name not in known]
    if unknown:
        raise BadConfiguration(
            f"backends: no runtime {', '.join(unknown)}; known: {', '.join(known)}"
        )
    workers, threads = parallelism(config, hardware)
    folder, memory_bytes = root_of(config) / family.name, config.machine.memory_mib << 20
    return Placement(folder, config.models.backends, threads, workers, room, memory_bytes)


def checks(family: Family, bounds: RowBounds, config: Config) -> Checks:
    """The checks of its requests. Raises BadConfiguration where rows that it says to be coded cannot be decoded."""
    weights, finite = class_weights(config.slo.classes), config.models.reject_non_finite
    late = config.slo.late == "answer"
    folder = root_of(config) / family.name
    try:
        decoders = {c.name: open_decoder(folder, family, c) for c in family.coded}
    except ValueError as error:
        raise BadConfiguration(f"family {family.name} cannot be served: {error}") from error
    made = Checks(family, weights, finite=finite, bounds=bounds, late=late)
    made.coded = Coded(family, decoders) if decoders else None
    return made


class Dispatching:
    """A family's dispatcher, and the slow loop over its policies where one is asked for."""

    def __init__(
        self,
        family: Family,
        config: Config,
        workers: int,
        metrics: FamilyMetrics,
        neighbours: Neighbours,
    ) -> None:
        """Raises BadConfiguration for a policy that nobody knows."""
        try:
            factory = registry.policy(config.policy.name)
        except ValueError as error:
            raise BadConfiguration(f"policy: {error}") from error
        limits = Limits(
            workers,
            config.limits.queue_capacity * family.row_units,
            config.slo.reply_margin_ms / 1e3,
            class_weights(config.slo.classes),
            config.policy.journal_every,
            family.slo.latency_s,
            family.slo.percentile,
            family.slo.min_accuracy,
        )
        rehearsed = bool(config.policy.rehearse_every_s) and config.policy.name in NAMED
        recorder = Recorder() if rehearsed else None
        listeners = Listeners(neighbours.deliver, neighbours.changed)
        if recorder is not None:
            listeners = replace(listeners, seen=recorder.record)
        self.dispatcher = Dispatcher(family.name, factory, limits, metrics, listeners)
        self.dispatcher.use(config.policy.name, factory)
        metrics.watch_depth(lambda: self.dispatcher.depth)
        metrics.watch_workers(
            lambda: len(self.dispatcher.running()), lambda: self.dispatcher.limits.workers
        )
        standing = self.dispatcher.standing
        metrics.watch_promises(family.slo, standing.attainment, lambda: standing.caution)
        self._rehearsal = recorder and _rehearsal(self.dispatcher, config, recorder)

    def start(self) -> None:
        """Begin the slow loop."""
        if self._rehearsal is not None:
            self._rehearsal.start()

    def stop(self) -> None:
        """End the slow loop."""
        if self._rehearsal is not None:
            self._rehearsal.stop()


def _rehearsal(dispatcher: Dispatcher, config: Config, recorder: Recorder) -> Rehearsal:
    limits = dispatcher.limits
    candidates = {name: registry.policy(name) for name in NAMED}
    setting = replay.ReplaySetup(limits.workers, limits.capacity_rows, cv=REPLAYED_CV)
    return Rehearsal(
        RehearsedFamily(
            dispatcher.name,
            lambda: dispatcher.arms,
            lambda name: dispatcher.use(name, candidates[name]),
            recorder,
        ),
        partial(replay.replay, candidates=candidates, stage=setting),
        config.policy.name,
        ReplaySchedule(period_s=config.policy.rehearse_every_s),
    )
