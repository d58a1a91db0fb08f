"""What the policy knows: loads a family's arms, smallest first, profiles those not known yet, follows the speed.

Runs on a thread of its own while the server serves; every change reaches the dispatcher as one assignment.
"""

import logging
import threading
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from models.backends.base import Backend, BackendError
from models.catalog import Family, Variant
from profiler.measure import Effort, Instruments, Loaded, load, measure_arm, sample_inputs
from profiler.profiles import Profile
from profiler.sampling import Terms
from server.metrics import FamilyMetrics, RanBatch
from server.policy import retune
from server.policy.decision import Arm, ArmProfile
from server.runtime.dispatcher import Dispatcher
from server.runtime.jobs import Batch
from server.runtime.shelf import Shelf

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Plan:
    """How a family's arms are to run here: `threads` intra-op threads each, `budget_s` for measuring them all."""

    folder: Path
    threads: int
    budget_s: float
    shelf: Shelf


class Tuner:
    """Fills `loaded` and the dispatcher's arms. Every worker's gate is held around each measured run."""

    def __init__(
        self, family: Family, plan: Plan, dispatcher: Dispatcher, metrics: FamilyMetrics
    ) -> None:
        self.loaded: dict[Arm, Backend] = {}
        self._gates: list[threading.Lock] = []
        self._family = family
        self._plan = plan
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._lock = threading.Lock()
        self._known = retune.Known()
        self._unfit = ""
        self._stop = threading.Event()

    def prepare(self) -> None:
        """Make every arm that can be loaded eligible, smallest artefact first. Returns early after `stop`.

        Raises BackendError when not one of them can be.
        """
        failed: list[str] = []
        for variant in self._by_size():
            if self._stop.is_set():
                return
            try:
                self._prepare(variant)
            except BackendError as error:
                _log.error("%s: variant %s is out: %s", self._family.name, variant.name, error)
                failed.append(str(error))
        if not self.loaded:
            raise BackendError(f"no variant of {self._family.name} can be loaded: {failed[0]}")
        if not self._dispatcher.arms:
            raise BackendError(f"{self._family.name} cannot be served: {self._unfit}")
        _log.info(
            "%s: %d of %d arms ready",
            self._family.name,
            len(self.loaded),
            len(self._family.variants),
        )

    def gate(self) -> threading.Lock:
        """A lock for one worker to hold while it runs a batch: no measurement runs meanwhile."""
        gate = threading.Lock()
        self._gates.append(gate)
        return gate

    def stop(self) -> None:
        """Prepare nothing more."""
        self._stop.set()

    def observe(self, batch: Batch, busy_s: float) -> None:
        """Learn from a finished batch that kept its worker busy for `busy_s`; rebuild the tables when costs moved."""
        arm = batch.arm.arm
        took_s = batch.ended_s - batch.started_s
        gather_s = batch.gathered_s - batch.started_s
        ran = retune.Ran(arm, batch.rows, took_s, busy_s, batch.ended_s)
        with self._lock:
            predicted_s = retune.predicted_s(self._known, arm, batch.rows)
            self._known, arms = retune.observe(self._known, ran, self._dispatcher.running())
            if arms is not None:
                self._apply(arms)
        self._metrics.ran(
            RanBatch(
                arm.variant, batch.precision, batch.rows, gather_s, batch.compute_s, predicted_s
            )
        )

    def _by_size(self) -> Sequence[Variant]:
        return sorted(self._family.variants, key=lambda v: _size(self._plan.folder / v.artifact))

    def _prepare(self, variant: Variant) -> None:
        loaded = load(self._plan.folder, self._family, variant, self._plan.threads)
        profile = self._plan.shelf.find(variant, loaded)
        if profile is None:
            profile = self._measure(loaded, variant)
            self._plan.shelf.keep(profile)
        else:
            loaded.backend.run(sample_inputs(self._family, 1))
        arm = Arm(variant.name, loaded.backend.name, loaded.device)
        most = min(self._family.max_batch, profile.largest_measured)
        known = ArmProfile(
            arm, variant.accuracy.value, profile.mean_table(most), profile.upper_table(most)
        )
        with self._lock:
            self.loaded[arm] = loaded.backend
            self._known = retune.with_arms(self._known, [known])
            self._apply(tuple(self._known.told.values()))

    def _measure(self, loaded: Loaded, variant: Variant) -> Profile:
        _log.info("%s: measuring %s", self._family.name, variant.name)
        effort = Effort(
            budget_s=self._plan.budget_s / len(self._family.variants),
            terms=Terms(bound_s=2 * self._family.slo.latency_s),
        )
        return measure_arm(loaded, self._family, variant, effort, Instruments(gate=self._alone))

    @contextmanager
    def _alone(self) -> Generator[None]:
        with ExitStack() as stack:
            for gate in self._gates:
                stack.enter_context(gate)
            yield

    def _apply(self, arms: Sequence[ArmProfile]) -> None:
        """Hand the dispatcher every arm at the present speed. Called under the lock."""
        try:
            self._dispatcher.apply(arms)
        except ValueError as error:  # a pinned variant comes later, or never
            self._unfit = str(error)
        for profile in arms:
            self._metrics.speed(profile.arm.variant, retune.scale(self._known, profile.arm))
        self._metrics.arms_ready(len(arms))


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
