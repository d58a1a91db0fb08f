"""One family at work: transport side, arms, workers; built from a Config, fitted anew when the hardware changes."""

import logging
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from models.artifacts import default_repository
from models.backends import RUNTIMES
from models.backends.base import BackendError
from models.catalog import Family
from profiler.hardware.fingerprint import Hardware
from profiler.hardware.sensors import available_bytes
from profiler.measuring.room import Room
from profiler.store import default_folder
from server.config import Config, class_weights
from server.errors import BadConfiguration
from server.metrics import FamilyMetrics, Metrics
from server.policy import registry
from server.policy.candidates.agreement import scores_of
from server.policy.candidates.candidacy import TrialRules
from server.policy.dispatch.tuning import NAMED
from server.rpc.answer_size import AnswerSize
from server.rpc.convert import Reader
from server.rpc.row_bounds import RowBounds
from server.rpc.service import Hosted
from server.runtime.arms.knowledge import Knowledge
from server.runtime.arms.residency import Placement, Residency
from server.runtime.arms.shadow import Shadow
from server.runtime.arms.slots import Slots
from server.runtime.arms.stored_profiles import StoredProfiles
from server.runtime.arms.tuner import Tuner
from server.runtime.arms.work_queue import WorkQueue
from server.runtime.candidates.candidates import Candidates
from server.runtime.candidates.runnable import ServingParts
from server.runtime.candidates.serving import ServingVariants
from server.runtime.candidates.stages import Stages
from server.runtime.candidates.verdicts import Verdicts
from server.runtime.dispatch.dispatcher import Dispatcher, Limits
from server.runtime.dispatch.jobs import Deliver
from server.runtime.dispatch.journal import Journal
from server.runtime.dispatch.offers import Offers
from server.runtime.rehearsal.rehearsal import Rehearsal, RehearsedFamily, ReplaySchedule
from server.runtime.workers.buffers import too_large
from server.runtime.workers.executor import WorkerContext
from server.runtime.workers.pool import WorkerPool
from server.runtime.workers.samples import Samples
from server.simulator import replay

_log = logging.getLogger(__name__)

CANDIDATES = "candidates"
"""The folder, inside that of the profiles, where verdicts on candidates are kept."""
REPLAYED_CV = 0.1
"""Scatter of batch latencies in replays: what a server that shares its cores with its own transport shows."""


class Unit:
    """Everything of one family. Raises BadConfiguration for what it cannot be built with."""

    def __init__(
        self, family: Family, config: Config, hardware: Hardware, metrics: Metrics
    ) -> None:
        self._config = config
        measured = metrics.family(family.name)
        profiles = Path(config.profiles) if config.profiles else default_folder()
        stored = StoredProfiles(profiles, family, hardware)
        verdicts = Verdicts(profiles / CANDIDATES, family.name)
        stages = Stages(family.name, verdicts, _rules(config), measured)
        stages.hold([v for v in family.variants if v.candidate], stored.fingerprint)
        known, family, room = family, *_fitted(_served(family, stages, config), config)
        workers, threads = parallelism(config, hardware)
        dispatcher = _dispatcher(family, config, workers, measured)
        measured.watch_depth(lambda: dispatcher.depth)
        self._residency = Residency(
            family, _placement(family, config, workers, threads, room), measured.compared
        )
        self._slots = Slots(family, dispatcher)
        self._knowledge = Knowledge(family, self._residency, stored, dispatcher, measured)
        reader = _reader(
            family, known, Offers(family.slo, dispatcher, self._knowledge.profiled), config
        )
        self._tuner = Tuner(family, self._residency, self._knowledge, self._slots, dispatcher)
        self._shadow = Shadow(family, self._residency, self._knowledge, self._slots, dispatcher)
        samples = Samples(config.shadow_share, scores_of(family))
        parts = ServingParts(self._residency, self._knowledge, self._slots, dispatcher, samples)
        variants = ServingVariants(
            family, self._residency, self._tuner, self._adopt, config.profile_budget_s
        )
        self._candidates = Candidates(known, parts, variants, stages, config.profile_budget_s)
        self.hosted = Hosted(family, reader, dispatcher, measured, self._candidates)
        context = WorkerContext(
            family,
            dispatcher,
            self._residency.loaded,
            self._residency.precisions,
            samples,
            self._knowledge.observe,
            self._residency.rows,
        )
        self._pool = WorkerPool(context, self._slots.gate)
        self._rehearsal = _rehearsal(dispatcher, config)

    @property
    def is_ready(self) -> bool:
        """Whether there is an arm to serve with."""
        return bool(self.hosted.dispatcher.arms)

    def start(self, deliver: Deliver) -> None:
        """Let the workers wait for requests."""
        self.hosted.dispatcher.answer_to(deliver)
        self._pool.start(self.hosted.dispatcher.limits.workers)
        if self._rehearsal is not None:
            self._rehearsal.start()

    def prepare(self) -> None:
        """Load and measure the arms, on the tuner's thread. Raises BackendError where the family cannot be served."""
        self._tuner.prepare(self._config.profile_budget_s)
        offers = self.hosted.reader.bounds.offers
        if offers is not None and (shortfall := offers.shortfall()):
            _log.warning("%s: %s", self.hosted.family.name, shortfall)

    def tick(self) -> None:
        """Use an idle moment, on the tuner's thread: run an arm whose cost is not known well, go on with candidates."""
        self._tuner.sweep()
        self._knowledge.revive(time.monotonic())
        self._shadow.tick()
        self._candidates.tick()
        self._pool.tick()

    def moved_to(self, hardware: Hardware, tasks: WorkQueue) -> None:
        """Serve on other hardware: fewer or more workers at once; sessions of another size one by one, by the tuner."""
        workers, threads = parallelism(self._config, hardware)
        self._pool.grow(workers)
        self.hosted.dispatcher.resize(workers)
        self._knowledge.moved_to(hardware)
        placement = self._residency.placement
        if threads != placement.threads or workers > placement.instances:
            family = self.hosted.family.name
            tasks.add(
                f"{family}: resizing its sessions", lambda: self._tuner.resize(threads, workers)
            )

    def forget_devices(self) -> None:
        """A GPU is gone: nothing is to run on one until they are counted anew."""
        self._tuner.drop_devices()

    def retake_devices(self, tasks: WorkQueue) -> None:
        """A GPU is back: load and measure what can run on it."""
        tasks.add(f"{self.hosted.family.name}: arms on the GPU", self.prepare)

    def _adopt(self, family: Family) -> None:
        self.hosted.adopt(family)

    def stop(self) -> None:
        """Prepare nothing more and refuse new requests; what waits is still served."""
        if self._rehearsal is not None:
            self._rehearsal.stop()
        self._candidates.stop()
        self._tuner.stop()
        self.hosted.dispatcher.close()

    def join(self) -> None:
        """Return when the workers have ended, and free the arms."""
        self._pool.join()
        self._residency.close()


def _rules(config: Config) -> TrialRules:
    return TrialRules(config.trial_rows, config.probation_s)


def _served(family: Family, stages: Stages, config: Config) -> Family:
    """The variants that serve from the start: those that are no candidates, and those promoted here before."""
    serving = (*(v for v in family.variants if not v.candidate), *stages.promoted())
    if not serving:
        raise BadConfiguration(
            f"family {family.name} holds candidates only ({', '.join(v.name for v in family.variants)}), which serve "
            "once they were tried beside others; publish one variant at least that is no candidate"
        )
    best = max(v.accuracy.value for v in serving)
    if config.min_accuracy > best:
        raise BadConfiguration(
            f"min_accuracy {config.min_accuracy} is above {best}, the best that {family.name} has; lower it"
        )
    if reason := too_large(family):
        raise BadConfiguration(reason)
    return replace(family, variants=serving)


def _fitted(family: Family, config: Config) -> tuple[Family, Room]:
    """The family with no more rows in a batch than there is room for here, and that room. Raises BadConfiguration where
    there is none for one row."""
    room = Room(config.max_message_mib, available_bytes())
    try:
        fitted = room.fitted(family)
    except BackendError as error:
        raise BadConfiguration(str(error)) from error
    if fitted.max_batch < family.max_batch:
        text = "%s: batches have at most %d of max_batch's %d rows: no more fit a message (max_message_mib) or memory"
        _log.warning(text, family.name, fitted.max_batch, family.max_batch)
    return fitted, room


def parallelism(config: Config, hardware: Hardware) -> tuple[int, int]:
    """(workers, threads each). Unset: one single-threaded worker a core (benchmarks/results/threads.md)."""
    workers = config.workers or max(1, hardware.cores // max(1, config.threads))
    return workers, config.threads or max(1, hardware.cores // workers)


def _reader(family: Family, known: Family, offers: Offers, config: Config) -> Reader:
    """What takes requests in. An operator is told where not all answers of the family, as it is published, fit into a
    message."""
    answers = AnswerSize(family, config.max_message_mib << 20)
    if shortfall := AnswerSize(known, config.max_message_mib << 20).shortfall():
        _log.warning("%s", shortfall)
    bounds = RowBounds(family, offers, answers)
    weights = class_weights(config.slo_classes)
    return Reader(family, family.slo, weights, finite=config.reject_non_finite, bounds=bounds)


def _placement(family: Family, config: Config, workers: int, threads: int, room: Room) -> Placement:
    known = [runtime.name for runtime in RUNTIMES]
    unknown = [name for name in config.backends if name not in known]
    if unknown:
        raise BadConfiguration(
            f"backends: no runtime {', '.join(unknown)}; known: {', '.join(known)}"
        )
    root = Path(config.repository) if config.repository else default_repository()
    return Placement(root / family.name, config.backends, threads, workers, room)


def _dispatcher(family: Family, config: Config, workers: int, metrics: FamilyMetrics) -> Dispatcher:
    weights = class_weights(config.slo_classes)
    limits = Limits(workers, config.queue_capacity, config.reply_margin_ms / 1e3, weights)
    try:
        factory = registry.policy(config.policy)
    except ValueError as error:
        raise BadConfiguration(f"policy: {error}") from error
    dispatcher = Dispatcher(family.name, factory, limits, metrics, Journal(config.journal_every))
    dispatcher.policy = config.policy
    return dispatcher


def _rehearsal(dispatcher: Dispatcher, config: Config) -> Rehearsal | None:
    """The slow loop of a family, where it is asked for and the policy has other characters to try."""
    if not config.rehearse_every_s or config.policy not in NAMED:
        return None
    limits = dispatcher.limits
    stage = replay.ReplaySetup(limits.workers, limits.capacity_rows, cv=REPLAYED_CV)
    candidates = {name: registry.policy(name) for name in NAMED}
    rehearsal = Rehearsal(
        RehearsedFamily(
            dispatcher.name,
            lambda: dispatcher.arms,
            lambda name: dispatcher.use(name, candidates[name]),
        ),
        partial(replay.replay, candidates=candidates, stage=stage),
        config.policy,
        ReplaySchedule(period_s=config.rehearse_every_s),
    )
    dispatcher.show(rehearsal.record)
    return rehearsal
