"""One family at work: its arms, workers and candidates; built from a Config, fitted anew when the hardware changes."""

import logging
import time
from collections.abc import Iterator
from functools import partial

from models.catalog import Family
from profiler.hardware.fingerprint import Hardware
from server.config import Config
from server.engine import parts
from server.engine.checking.row_bounds import RowBounds
from server.engine.parts import Dispatching, Neighbours, parallelism
from server.engine.places import profiles_folder
from server.engine.served import ServedFamily
from server.metrics import Metrics
from server.metrics.memory import FamilyMemory
from server.policy.candidates.agreement import scores_of
from server.runtime.arms.knowledge import Knowledge
from server.runtime.arms.residency import Residency
from server.runtime.arms.shadow import Shadow
from server.runtime.arms.slots import Slots
from server.runtime.arms.stored_profiles import StoredProfiles
from server.runtime.arms.tuner import Tuner
from server.runtime.arms.work_queue import WorkQueue
from server.runtime.candidates.candidates import Candidates
from server.runtime.candidates.repository import Amendments
from server.runtime.candidates.runnable import ServingParts
from server.runtime.candidates.serving import ServingVariants
from server.runtime.candidates.stages import Stages
from server.runtime.candidates.verdicts import Verdicts
from server.runtime.dispatch.dispatcher import STOPPING
from server.runtime.dispatch.offers import Offers
from server.runtime.workers.executor import WorkerContext
from server.runtime.workers.pool import WorkerPool
from server.runtime.workers.samples import Samples

_log = logging.getLogger(__name__)

CANDIDATES = "candidates"
"""The folder, inside that of the profiles, where verdicts on candidates are kept."""


class Unit:
    """Everything of one family. Raises BadConfiguration for what it cannot be built with, BadInput for what cannot be
    had of it as it was asked for."""

    def __init__(
        self,
        published: Family,
        config: Config,
        hardware: Hardware,
        metrics: Metrics,
        neighbours: Neighbours,
    ) -> None:
        self._config = config
        known = neighbours.amended(published)
        measured = metrics.family(known.name)
        stored = StoredProfiles(profiles_folder(config), known, hardware)
        verdicts = Verdicts(profiles_folder(config) / CANDIDATES, known.name)
        stages = Stages(known.name, verdicts, parts.rules(config, known), measured)
        stages.hold([v for v in known.variants if v.candidate], stored.fingerprint)
        family, room = parts.fitted(parts.serving(known, stages, config), config)
        placement = parts.placement(family, config, room, hardware)
        self._dispatching = Dispatching(family, config, placement.instances, measured, neighbours)
        dispatcher = self._dispatching.dispatcher
        self._residency = Residency(family, placement, measured.compared)
        self._slots = Slots(family, dispatcher)
        self._knowledge = Knowledge(family, self._residency, stored, dispatcher, measured)
        self._tuner = Tuner(family, self._residency, self._knowledge, self._slots, dispatcher)
        self._shadow = Shadow(family, self._residency, self._knowledge, self._slots, dispatcher)
        samples = Samples(config.candidates.shadow_share, scores_of(family))
        trial = ServingParts(
            self._residency,
            self._knowledge,
            self._slots,
            dispatcher,
            samples,
            neighbours.shared,
            Amendments(published, neighbours.amended, partial(neighbours.renewed, family.name)),
        )
        variants = ServingVariants(
            family, self._residency, self._tuner, self._adopt, config.profiles.budget_s
        )
        self._candidates = Candidates(known, trial, variants, stages, config.profiles.budget_s)
        self._offers = Offers(family, dispatcher, self._knowledge.profiled)
        checks = parts.checks(
            family, RowBounds(family, self._offers, neighbours.carried_rows(known)), config
        )
        self.served = ServedFamily(family, known, checks, dispatcher, measured, self._candidates)
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

    @property
    def published(self) -> Family:
        """As the manifest has it now, candidates included, under what holds here."""
        return self._candidates.known

    @property
    def is_ready(self) -> bool:
        """Whether there is an arm to serve with."""
        return bool(self.served.dispatcher.arms)

    def start(self) -> None:
        """Let the workers wait for requests."""
        self._pool.start(self.served.dispatcher.limits.workers)
        self._dispatching.start()

    def preparing(self) -> Iterator[None]:
        """Load and measure the arms, on the tuner's thread, a step for each that can be served with.

        Raises BackendError where the family cannot be served.
        """
        yield from self._tuner.preparing(self._config.profiles.budget_s)
        if shortfall := self._offers.shortfall():
            _log.warning("%s: %s", self.served.family.name, shortfall)

    def prepare(self) -> None:
        """All of `preparing`."""
        for _ in self.preparing():
            pass

    def revive(self) -> None:
        """Believe less of what keeps everybody out: soon, whatever the tuner's thread is at. Any thread."""
        self._knowledge.revive(time.monotonic())

    def tick(self) -> None:
        """Use an idle moment, on the tuner's thread: run an arm whose cost is not known well, go on with candidates."""
        self._tuner.sweep()
        self._tuner.reconsider()
        self._shadow.tick()
        self._candidates.tick()
        self._pool.tick()

    def activity(self) -> tuple[int, ...] | None:
        """Another value whenever a request came or a batch ended or began; None while arms are tried or measured."""
        if self._knowledge.unmeasured or self._candidates.is_under_way:
            return None
        load = self.served.dispatcher.load()
        return (load.arrived, load.running, load.tickets)

    def memory(self) -> FamilyMemory:
        """What its arms take. Any thread."""
        use = self._tuner.holding.use()
        name = self.served.family.name
        return FamilyMemory(name, use.taken_bytes, use.budget_bytes, use.left_out)

    def moved_to(self, hardware: Hardware, tasks: WorkQueue) -> None:
        """Serve on other hardware: fewer or more workers at once; sessions of another size one by one, by the tuner."""
        workers, threads = parallelism(self._config, hardware)
        self._pool.grow(workers)
        self.served.dispatcher.resize(workers)
        self._knowledge.moved_to(hardware)
        placement = self._residency.placement
        if threads != placement.threads or workers > placement.instances:
            family = self.served.family.name
            tasks.add(
                f"{family}: resizing its sessions", lambda: self._tuner.resize(threads, workers)
            )

    def forget_devices(self) -> None:
        """A GPU is gone: nothing is to run on one until they are counted anew."""
        self._tuner.drop_devices()

    def retire(self, patience_s: float) -> None:
        """Answer what waits, within `patience_s`, then free everything; nobody asks this family any more."""
        name = self.served.family.name
        self.stop(f"model '{name}' was unloaded or loaded anew just now; try again shortly")
        self.served.dispatcher.await_idle(patience_s)
        self.served.dispatcher.abandon(f"model '{name}' was unloaded")
        self.join()

    def retake_devices(self, tasks: WorkQueue) -> None:
        """A GPU is back: load and measure what can run on it."""
        tasks.add(f"{self.served.family.name}: arms on the GPU", self.prepare)

    def stop(self, why: str = STOPPING) -> None:
        """Prepare nothing more and refuse new requests, for this reason; what waits is still served."""
        self._dispatching.stop()
        self._candidates.stop()
        self._tuner.stop()
        self.served.dispatcher.close(why)

    def join(self) -> None:
        """Return when the workers have ended, and free the arms."""
        self._pool.join()
        self.served.dispatcher.abandon()  # whose workers were given up meanwhile
        self._residency.close()

    def _adopt(self, family: Family) -> None:
        self.served.adopt(family)
