"""One candidate's arms: opened and measured between live batches, a step at a time, and kept from being chosen."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from models.backends import no_way
from models.backends.base import Backend, BackendError, graphs_of
from models.catalog import Family, Variant
from profiler.measuring import rulings
from profiler.measuring.measure import Bench, Loaded, Step
from profiler.profiles import Profile
from server.policy.decision import ArmProfile
from server.runtime.arms.knowledge import Knowledge
from server.runtime.arms.residency import PossibleArm, Residency
from server.runtime.arms.slots import Slots
from server.runtime.dispatch import tables
from server.runtime.workers.guarded import within

_log = logging.getLogger(__name__)

WARM_ROWS = 4
"""Batches of up to so many rows are run before the first is timed: what is compiled at first use is compiled then."""


WARM_LIMIT_S = 120.0
"""What these runs may take in all (s): some runtimes compile for a minute."""


@dataclass(frozen=True, slots=True)
class MeasuredArm:
    """An arm that could serve."""

    way: PossibleArm
    loaded: Loaded
    profile: Profile
    table: ArmProfile


@dataclass(frozen=True, slots=True)
class MeasuringPlace:
    """Where a candidate is tried, and how long (s) measuring it may take."""

    residency: Residency
    knowledge: Knowledge
    slots: Slots
    budget_s: float


class CandidateMeasurement:
    """`variant` of `family`, in every way that it can run here. `advance` until it is done, then read `arms`.

    `anew`: what is stored of its speed was measured in bad times, and does not count.
    """

    def __init__(
        self, family: Family, variant: Variant, place: MeasuringPlace, *, anew: bool = False
    ) -> None:
        self.variant = variant
        self._anew = anew
        self._placement, self._fingerprint = place.residency.placement, place.knowledge.fingerprint
        self.arms: tuple[MeasuredArm, ...] = ()
        self.failed = no_way(variant, self._placement.only)
        """Why, where `arms` stays empty."""
        self._family = family
        self._place = place
        self._ways = iter(place.residency.ways_of(variant))
        self._opened: dict[str, tuple[PossibleArm, Loaded]] = {}  # by label
        self._bench: Bench | None = None
        self._steps: Iterator[Step] | None = None
        self.is_done = False
        """Whether there is nothing more to open or to measure."""

    @property
    def holds(self) -> bool:
        """Whether its arms are as they would be opened now, and were measured on the hardware that is served on now."""
        known = (self._placement, self._fingerprint)
        return known == (self._place.residency.placement, self._place.knowledge.fingerprint)

    def advance(self) -> bool:
        """Open one arm, or take one turn of measuring; True once there is nothing more to do."""
        if self.is_done:
            return True
        way = next(self._ways, None)
        if way is not None:
            self._open(way)
            return False
        if self._bench is None:
            return self._settle()
        if self._steps is None:
            self._steps = self._bench.steps()
        self._bench.limit(self._place.slots.bound_s())
        return self._settle() if next(self._steps, None) is None else False

    @property
    def best(self) -> MeasuredArm:
        """The arm that answers one row fastest. There must be one."""
        return min(self.arms, key=lambda one: one.table.mean_s[1])

    def close(self) -> None:
        """Let go of what it holds; for one that does not come to serve. What still runs on it keeps it alive."""
        self._opened.clear()
        self.is_done, self.arms = True, ()

    def _open(self, way: PossibleArm) -> None:
        residency = self._place.residency
        stored = None if self._anew else self._place.knowledge.profile(way.arm)
        loaded = residency.open(way, stored.graphs if stored is not None else ())
        rows = min(WARM_ROWS, self._family.max_batch)
        if loaded is None:
            self.failed = residency.failed[way.arm]
            return
        stored = self._place.knowledge.profile(way.arm)
        is_known = stored is not None and rulings.holds(stored.vetted)
        if stored is not None and is_known:
            residency.heed(way.arm, stored.vetted)
        if not self._first_runs(way, loaded.backend, rows, is_known=is_known):
            return
        stored = self._place.knowledge.profile(way.arm)  # with the verdict that it has now
        ran_so = stored is not None and stored.graphs == graphs_of(loaded.backend)
        if stored is not None and ran_so and not self._anew:
            if not is_known:
                self._place.knowledge.stored.keep(stored)
            self._opened[stored.label] = (way, loaded)
            self._admit(way, loaded, stored)
            return
        bench = self._bench or self._begin()
        bench.charge(loaded.load_s)
        label = bench.add(loaded, self.variant, residency.vetted(way.arm))
        self._opened[label] = (way, loaded)

    def _first_runs(self, way: PossibleArm, backend: Backend, rows: int, *, is_known: bool) -> bool:
        """Not with the workers held, as measured runs are: what hangs at once does so here, and alone."""
        residency = self._place.residency

        def runs() -> bool:
            well = is_known or residency.vet(way, backend) is not None
            return well and residency.warm(way.arm, backend, rows)

        try:
            warm = within(WARM_LIMIT_S, runs, "a first run")
        except BackendError as error:
            residency.fail(way.arm, str(error))
            warm = False
        if not warm:
            self.failed = residency.failed[way.arm]
        return warm

    def _begin(self) -> Bench:
        slots = self._place.slots
        effort, rows = slots.effort(self._place.budget_s), self._place.residency.rows
        self._bench = Bench(self._family, effort, slots.instruments(), rows)
        _log.debug("%s: measuring the candidate %s", self._family.name, self.variant.name)
        return self._bench

    def _settle(self) -> bool:
        """Measured: keep the profiles, so that a start that is cut short has not measured in vain."""
        self.is_done = True
        self._place.residency.vetted_all()
        if self._bench is not None:
            for profile in self._bench.profiles():
                self._place.knowledge.stored.keep(profile)
                self._admit(*self._opened[profile.label], profile)
            for reason in self._bench.failed.values():
                self.failed = reason
        return True

    def _admit(self, way: PossibleArm, loaded: Loaded, profile: Profile) -> None:
        accuracy = self.variant.accuracy.value
        table = tables.of_profile(profile, accuracy, self._family)
        self.arms = (*self.arms, MeasuredArm(way, loaded, profile, table))
