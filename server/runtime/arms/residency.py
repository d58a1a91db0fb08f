"""Which arms are in memory: opens them, runs every batch size once, hands them to the workers and lets them go.

Only the tuner's thread changes what is loaded; workers read `loaded`, one entry at a time.
"""

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from models.artifacts import size_of
from models.backends import Way, ways
from models.backends.base import Backend, BackendError, Refused, Slot, graphs_of
from models.catalog import Family, Variant
from profiler.measuring.conformance import Conformance
from profiler.measuring.measure import Loaded, load
from profiler.measuring.room import Room
from profiler.measuring.rows import sample_rows
from profiler.profiles import UNVETTED, Vetted
from server.policy.decision import Arm
from server.runtime.workers.guarded import within

_log = logging.getLogger(__name__)

WARM_ROWS = (1, 2, 3, 4, 8, 16, 32, 64, 128, 256)
"""Batch sizes run once before an arm is used: what a runtime compiles at first use is not for a request to wait for."""


VET_LIMIT_S = 120.0
"""Trying an arm may take so long (s): one whose runs do not end must not keep other families from being loaded."""

_ANY = Room()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a family's arms live: its folder, which runtimes may be used (none named: all), threads of each run and how
    many run at a time, what room there is for a batch, and what all arms may take in memory (0: no bound)."""

    folder: Path
    only: tuple[str, ...]
    threads: int
    instances: int
    room: Room = _ANY
    memory_bytes: int = 0


@dataclass(frozen=True, slots=True)
class PossibleArm:
    """A way of running a variant here, loaded or not."""

    variant: Variant
    way: Way

    @property
    def arm(self) -> Arm:
        """The arm that it becomes."""
        return Arm(self.variant.name, self.way.backend, self.way.device)


class Residency:
    """The loaded arms of one family. `failed` tells which could not be opened, and why.

    `rows` are what arms are tried with; `compared` hears how far an arm's answers are from the reference's.
    """

    def __init__(
        self,
        family: Family,
        placement: Placement,
        compared: Callable[[Arm, float], None] = lambda _arm, _difference: None,
    ) -> None:
        self.loaded: dict[Arm, Backend] = {}
        self.failed: dict[Arm, str] = {}
        self.precisions: dict[str, str] = {v.name: v.precision for v in family.variants}
        """Of every variant that may run, or may still be running."""
        self.rows = rows = sample_rows(placement.folder, family, placement.room.held(family))
        self._family = family
        self._placement = placement
        self._conformance = Conformance(placement.folder, family, rows)
        self._compared = compared
        self._vetted: dict[Arm, Vetted] = {}

    @property
    def placement(self) -> Placement:
        """How arms are opened now."""
        return self._placement

    def adopt(self, family: Family) -> None:
        """The variants that may be served are others now."""
        self.precisions.update({v.name: v.precision for v in family.variants})
        self._family = family

    def candidates(self) -> list[PossibleArm]:
        """Every way of running every variant here, smallest artefact first."""
        by_size = sorted(self._family.variants, key=lambda v: size_of(self._placement.folder, v))
        return [candidate for v in by_size for candidate in self.ways_of(v)]

    def ways_of(self, variant: Variant) -> list[PossibleArm]:
        """Every way of running this variant here, whether or not it may be served."""
        only, any_size = self._placement.only, self._family.any_size
        return [PossibleArm(variant, way) for way in ways(variant, only, any_size=any_size)]

    def open(self, candidate: PossibleArm, graphs: tuple[int, ...] = ()) -> Loaded | None:
        """The arm, opened but not in use; None, and the reason in the log, where it cannot be.

        `graphs`: as its profile has them, or nothing: as it finds best now.
        """
        placement = self._placement
        try:
            slot = Slot(placement.threads, placement.instances, graphs=graphs, keeps=True)
            found = load(placement.folder, self._family, candidate.variant, slot, candidate.way)
        except BackendError as error:
            self._out(candidate.arm, error)
            return None
        self.failed.pop(candidate.arm, None)
        return found

    def vet(self, candidate: PossibleArm, backend: Backend) -> Vetted | None:
        """What is found of an opened arm; None, and out it is, where its answers are not the model's."""
        arm = candidate.arm
        vet = partial(self._conformance.vet, backend, candidate.variant, candidate.way)
        try:
            vetted = within(VET_LIMIT_S, vet, "trying its answers")
        except (BackendError, MemoryError) as error:
            self._out(arm, error)
            return None
        if vetted.alone:
            _log.warning(
                "%s: %s on %s: %s", self._family.name, arm.variant, arm.backend, vetted.alone
            )
        self.heed(arm, vetted)
        return vetted

    def vetted_all(self) -> None:
        """No other arm of the variant that was vetted last comes soon: what was kept for it takes memory."""
        self._conformance.forget()

    def heed(self, arm: Arm, vetted: Vetted) -> None:
        """Run it with nothing but what it was vetted with, today or on another day."""
        self.rows.narrow(vetted.rows)
        self._vetted[arm] = vetted
        self._compared(arm, vetted.difference)

    def vetted(self, arm: Arm) -> Vetted:
        """What is known of it."""
        return self._vetted.get(arm, UNVETTED)

    def warm(self, arm: Arm, backend: Backend, most: int) -> bool:
        """Run every batch size worth compiling for, up to `most` rows; False, and out it is, where one fails."""
        most = 1 if self.vetted(arm).alone else most
        try:
            for rows in sorted(set(graphs_of(backend)) or {r for r in WARM_ROWS if r <= most}):
                backend.run(self.rows.work(rows))
        except (BackendError, MemoryError) as error:
            self.fail(arm, str(error) or "out of memory")
            return False
        return True

    def admit(self, arm: Arm, backend: Backend) -> None:
        """Let workers use it, in place of an older one; a batch that runs on that ends there."""
        self.loaded[arm] = backend

    def release(self, arm: Arm) -> None:
        """Let it go. The policy must not know it any more; what still runs on it keeps it alive until it ends."""
        self.loaded.pop(arm, None)

    def _out(self, arm: Arm, error: Exception) -> None:
        """The arm cannot be used; where that is the runtime's way of computing, no operator need get up for it."""
        if not isinstance(error, Refused):
            self.fail(arm, str(error) or "out of memory")
            return
        self.failed[arm] = str(error)
        self._compared(arm, error.difference)
        text = "%s: %s is not run by %s on %s: %s"
        _log.warning(text, self._family.name, arm.variant, arm.backend, arm.device, error)

    def fail(self, arm: Arm, reason: str) -> None:
        """Note that the arm cannot be used."""
        self.failed[arm] = reason
        text = "%s: %s on %s %s is out: %s"
        _log.error(text, self._family.name, arm.variant, arm.backend, arm.device, reason)

    def resize(self, threads: int, instances: int) -> Iterator[Arm]:
        """Open every loaded arm anew for so many threads and runs at a time, one after the other; yields each as it is
        swapped. The former one serves until then, and goes on where the new one cannot be opened."""
        self._placement = replace(self._placement, threads=threads, instances=instances)
        for candidate in self.candidates():
            arm = candidate.arm
            former = self.loaded.get(arm)
            anew = self.open(candidate, graphs_of(former)) if former is not None else None
            if anew is not None and self.warm(arm, anew.backend, min(4, self._family.max_batch)):
                self.admit(arm, anew.backend)
                yield arm

    def close(self) -> None:
        """Free everything; nothing runs any more."""
        for backend in self.loaded.values():
            backend.close()
        self.loaded.clear()
