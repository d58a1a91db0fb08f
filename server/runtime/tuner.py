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
from profiler import drift, overhead
from profiler.measure import Effort, Instruments, Loaded, load, measure_arm, sample_inputs
from profiler.profiles import Profile
from server.metrics import FamilyMetrics, RanBatch
from server.policy.decision import Arm, ArmProfile
from server.runtime.dispatcher import Dispatcher
from server.runtime.jobs import Batch
from server.runtime.shelf import Shelf

_log = logging.getLogger(__name__)

NEWS = 0.04
"""Relative change of an arm's speed that is worth new tables: about what repeated batches differ by."""
URGENT = 0.2
"""A change that is not made to wait for REST_S."""
REST_S = 0.05
"""At least this long between two rebuilds (s): making tables costs a few decisions' time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a family's arms are to run here: `threads` intra-op threads each, `budget_s` for measuring them all."""

    folder: Path
    threads: int
    budget_s: float
    shelf: Shelf


@dataclass(frozen=True, slots=True)
class _Known:
    """One eligible arm: its stored tables, unscaled."""

    arm: Arm
    accuracy: float
    mean_s: tuple[float, ...]
    upper_s: tuple[float, ...]


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
        self._known: dict[Arm, _Known] = {}
        self._speed = drift.SpeedScale()
        self._overhead = overhead.Overhead()
        self._rested_s = 0.0
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
        if not self._known:
            raise BackendError(f"no variant of {self._family.name} can be loaded: {failed[0]}")
        if not self._dispatcher.arms:
            raise BackendError(f"{self._family.name} cannot be served: {self._unfit}")
        _log.info(
            "%s: %d of %d arms ready",
            self._family.name,
            len(self._known),
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
        with self._lock:
            profiled_s = self._known[arm].mean_s[batch.rows]
            predicted_s = profiled_s * drift.scale(self._speed, arm.variant)
            self._speed = drift.observe(self._speed, arm.variant, profiled_s, took_s)
            self._overhead = overhead.observe(self._overhead, batch.rows, busy_s - took_s)
            now_s = profiled_s * drift.scale(self._speed, arm.variant)
            now_s += overhead.at(overhead.line(self._overhead), batch.rows)
            moved = abs(now_s / batch.arm.mean_s[batch.rows] - 1.0)
            if moved > URGENT or (moved > NEWS and batch.ended_s >= self._rested_s):
                self._rested_s = batch.ended_s + REST_S
                self._apply()
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
        known = _Known(
            arm, variant.accuracy.value, profile.mean_table(most), profile.upper_table(most)
        )
        with self._lock:
            self.loaded[arm] = loaded.backend
            self._known[arm] = known
            self._apply()

    def _measure(self, loaded: Loaded, variant: Variant) -> Profile:
        _log.info("%s: measuring %s", self._family.name, variant.name)
        effort = Effort(
            budget_s=self._plan.budget_s / len(self._family.variants),
            bound_s=self._family.slo.latency_s,
        )
        return measure_arm(loaded, self._family, variant, effort, Instruments(gate=self._alone))

    @contextmanager
    def _alone(self) -> Generator[None]:
        with ExitStack() as stack:
            for gate in self._gates:
                stack.enter_context(gate)
            yield

    def _apply(self) -> None:
        """Hand the dispatcher every arm at the present speed. Called under the lock."""
        line = overhead.line(self._overhead)
        arms = [self._now(known, line) for known in self._known.values()]
        try:
            self._dispatcher.apply(arms)
        except ValueError as error:  # a pinned variant comes later, or never
            self._unfit = str(error)
        for known in self._known.values():
            self._metrics.speed(known.arm.variant, drift.scale(self._speed, known.arm.variant))
        self._metrics.arms_ready(len(arms))

    def _now(self, known: _Known, line: tuple[float, float]) -> ArmProfile:
        """The arm's tables: its profile at the present speed, and what serving adds to a batch."""
        mean_s, upper_s = drift.adjusted(
            self._speed, known.arm.variant, known.mean_s, known.upper_s
        )
        added_s = (0.0, *(overhead.at(line, rows) for rows in range(1, len(mean_s))))
        return ArmProfile(known.arm, known.accuracy, _sum(mean_s, added_s), _sum(upper_s, added_s))


def _sum(a: Sequence[float], b: Sequence[float]) -> tuple[float, ...]:
    return tuple([x + y for x, y in zip(a, b, strict=True)])


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
