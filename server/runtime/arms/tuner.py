"""Which arms a family has: opens, measures and holds those that are worth memory, and lets the others go.

All but `stop` and `drop_devices` runs on the tuner's thread while the server serves. What the arms cost, and what the
policy is told of it, is `server.runtime.arms.knowledge`'s affair.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Iterator

from models.backends import no_way
from models.backends.base import BackendError
from models.backends.memory import give_back
from models.catalog import Family, Variant
from profiler.measuring import rulings
from profiler.measuring.measure import Bench, Loaded
from profiler.profiles import Profile
from server.policy.arms.keep import worth_keeping
from server.policy.decision import Arm
from server.runtime.arms.ahead import opened_ahead
from server.runtime.arms.holding import Holding
from server.runtime.arms.knowledge import Knowledge
from server.runtime.arms.residency import PossibleArm, Residency
from server.runtime.arms.slots import Slots
from server.runtime.dispatch.dispatcher import Dispatcher

_log = logging.getLogger(__name__)


class Tuner:
    """Fills the residency, and has what is in it known."""

    def __init__(
        self,
        family: Family,
        residency: Residency,
        knowledge: Knowledge,
        slots: Slots,
        dispatcher: Dispatcher,
    ) -> None:
        self._family = family
        self._residency = residency
        self._knowledge = knowledge
        self._slots = slots
        self._dispatcher = dispatcher
        self.holding = Holding(residency, knowledge, dispatcher)
        """Which arms are worth memory."""
        self._leaving: set[Arm] = set()
        self._leaving_lock = threading.Lock()
        self._stop = threading.Event()

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more is prepared."""
        return self._stop.is_set()

    @property
    def arms(self) -> Collection[Arm]:
        """Those that the policy may choose."""
        return self._knowledge.known.profiled.keys()

    def stop(self) -> None:
        """Prepare nothing more."""
        self._stop.set()

    def preparing(self, budget_s: float) -> Iterator[None]:
        """Make every arm worth having eligible; measure those without a profile here, smallest artefact first.

        Of arms that are known those come first that can be the best choice, again the smallest of them before all.
        Each step is one arm more to serve with. The last come after `stop` at once. Raises BackendError when not one of
        them can be served with.
        """
        found = self._residency.candidates()
        stored = {c.arm: p for c in found if (p := self._knowledge.profile(c.arm)) is not None}
        kept = self.holding.worth(map(self._knowledge.table, stored.values()))
        self._say_unrun(self._family.variants, found)
        used = {arm: p for arm, p in stored.items() if arm in kept}
        yield from self._fill(found, used, stored, budget_s)
        if not self._stop.is_set():
            self._check_ready(len(found))

    def take_in(self, variants: Collection[str], budget_s: float) -> None:
        """Open, and where that is needed measure, every arm of these variants; hold what is worth it then."""
        found = [c for c in self._residency.candidates() if c.variant.name in variants]
        stored = {c.arm: p for c in found if (p := self._knowledge.profile(c.arm)) is not None}
        self._say_unrun([v for v in self._family.variants if v.name in variants], found)
        for _ in self._fill(found, stored, stored, budget_s):
            pass

    def enlist(self, arms: Iterable[tuple[PossibleArm, Profile, Loaded]]) -> None:
        """Let the policy choose from these too, which are open and measured; hold what is worth it then."""
        for candidate, profile, loaded in arms:
            self._use(candidate, profile, loaded)
        self.settle()

    def adopt(self, family: Family) -> None:
        """The variants that may be served are others now."""
        self._family = family
        self._knowledge.adopt(family)

    def drop(self, variants: Collection[str]) -> None:
        """Let go of every arm of these variants."""
        self._let_go(lambda arm: arm.variant in variants)

    def drop_devices(self) -> None:
        """Let go of every arm that is not on the CPU. Any thread."""
        self._let_go(lambda arm: arm.device != "cpu")

    def settle(self) -> None:
        """Hold the arms that are worth it, no others; what is worth it follows from all profiles there are.

        Of arms in use that were not measured on this hardware yet, what held before is all there is.
        """
        knowledge, failed = self._knowledge, self._residency.failed
        found = {c.arm: c for c in self._residency.candidates() if c.arm not in failed}
        profiles = {arm: p for arm in found if (p := knowledge.profile(arm)) is not None}
        unmeasured = [t for arm, t in knowledge.known.profiled.items() if arm not in profiles]
        kept = self.holding.worth([*map(knowledge.table, profiles.values()), *unmeasured])
        loaded = self._residency.loaded.keys()
        if self.holding.budget_bytes and kept & loaded:  # what goes makes room for what comes
            self._keep_only(kept)
            self.sweep()
        for arm in kept - loaded:
            self._use(found[arm], profiles[arm])
        self._keep_only(kept)

    def reconsider(self) -> None:
        """Hold other arms where the budget does not hold all, and the load calls for others than it did."""
        if self.holding.is_due:
            self.settle()

    def _keep_only(self, kept: Collection[Arm]) -> None:
        for arm in self._let_go(lambda arm: arm not in kept):
            left_out = arm in self.holding.left_out
            why = "memory_mib is too little" if left_out else "others are as accurate and faster"
            text = "%s: %s on %s is not kept: %s"
            _log.info(text, self._family.name, arm.variant, arm.backend, why)

    def sweep(self) -> None:
        """Let go of arms that the policy does not know any more, once nothing runs on them."""
        running = {run.arm for run in self._dispatcher.running()}
        chosen = {profile.arm for profile in self._dispatcher.arms}  # a pinned policy keeps its own
        known = self._knowledge.known.profiled.keys()
        with self._leaving_lock:
            self._leaving -= known
            released = self._leaving - running - chosen
            self._leaving -= released
        for arm in released:
            self._residency.release(arm)
        if released:
            give_back()

    def resize(self, threads: int, instances: int) -> None:
        """Open every arm anew for so many threads a run and runs at a time, one after the other, while all serve.

        With other threads other profiles hold: what is stored of them, else what held before, with more margin.
        """
        former = self._residency.placement.threads
        for arm in self._residency.resize(threads, instances):
            text = "%s: %s on %s now runs on %d thread(s), %d at a time"
            _log.info(text, self._family.name, arm.variant, arm.backend, threads, instances)
        if threads != former:
            self._knowledge.resized()

    def _let_go(self, which: Callable[[Arm], bool]) -> list[Arm]:
        """Those leave memory at a later `sweep`."""
        gone = self._knowledge.forget(which)
        with self._leaving_lock:
            self._leaving.update(gone)
        return gone

    def _fill(
        self,
        found: Iterable[PossibleArm],
        used: dict[Arm, Profile],
        stored: Collection[Arm],
        budget_s: float,
    ) -> Iterator[None]:
        """Use those of the candidates that are to be, measure what has no stored profile, hold what is worth it."""
        candidates = list(found)
        unknown = [candidate for candidate in candidates if candidate.arm not in stored]
        best = worth_keeping([self._knowledge.table(p) for p in used.values()])
        known = [candidate for candidate in candidates if candidate.arm in used]
        known.sort(key=lambda candidate: candidate.arm not in best)
        for candidate, loaded in opened_ahead(
            known, lambda c: self._open(c, used[c.arm]), self._may_open_ahead
        ):
            if loaded is not None and not self._stop.is_set():
                self._use(candidate, used[candidate.arm], loaded)
                yield from self._steps()
        if unknown and not self._stop.is_set():
            yield from self._measure(unknown, budget_s)
        if not self._stop.is_set():
            self.settle()

    def _open(self, candidate: PossibleArm, profile: Profile) -> Loaded | None:
        """As its profile says; None where it cannot be, or nothing more is to be prepared."""
        if self._stop.is_set():
            return None
        return self._residency.open(candidate, profile.graphs)

    def _may_open_ahead(self) -> bool:
        """Not where requests come: a core at least is theirs. Nor before the first arm: then other families have theirs
        opened, or measured, which nothing may disturb."""
        return bool(self.arms) and not self._slots.are_disputed

    def _use(self, candidate: PossibleArm, profile: Profile, loaded: Loaded | None = None) -> None:
        """Load and warm it, then let the policy choose it."""
        arm, loaded = candidate.arm, loaded or self._open(candidate, profile)
        if loaded is None or (found := self._vetted(candidate, profile, loaded)) is None:
            return
        table, slo_s = self._knowledge.table(found), self._family.slo.latency_s
        within = [b for b in range(1, table.max_batch + 1) if table.mean_s[b] <= slo_s]
        if not self._residency.warm(arm, loaded.backend, max(within, default=1)):
            return
        self._residency.admit(arm, loaded.backend)
        self._knowledge.tell(table)

    def _vetted(self, candidate: PossibleArm, profile: Profile, loaded: Loaded) -> Profile | None:
        """Its profile with a verdict by today's rules; None where it has no such profile, or is out."""
        if rulings.holds(profile.vetted):
            self._residency.heed(candidate.arm, profile.vetted)
            return profile
        if (vetted := self._residency.vet(candidate, loaded.backend)) is None:
            return None
        if (found := rulings.under(profile, vetted)) is None:
            self._residency.fail(
                candidate.arm, "its profile has no run of one row; measure it again"
            )
            return None
        self._knowledge.stored.keep(found)
        return found

    def _steps(self) -> Iterator[None]:
        """A step, where there is an arm to serve with."""
        if self.arms:
            yield

    def _measure(self, unknown: list[PossibleArm], budget_s: float) -> Iterator[None]:
        """Each becomes eligible as soon as its profile can be served with; then all are measured better, in turns."""
        slots = self._slots
        rows = self._residency.rows
        bench = Bench(self._family, slots.effort(budget_s), slots.instruments(), rows)
        for candidate in unknown:
            self._measure_first(candidate, bench)
            if self._stop.is_set():
                return
            yield from self._steps()
        self._residency.vetted_all()
        self._go_through(bench, bench.steps())
        self._knowledge.learn(bench.profiles(), whole=not slots.are_disputed)

    def _measure_first(self, candidate: PossibleArm, bench: Bench) -> None:
        """What makes the arm eligible."""
        arm, loaded = candidate.arm, self._residency.open(candidate)
        if loaded is None:
            return
        if (vetted := self._residency.vet(candidate, loaded.backend)) is None:
            return
        _log.info("%s: measuring %s on %s", self._family.name, arm.variant, arm.backend)
        # What is compiled at first use is compiled now: not with the workers held, as measured runs are.
        if not self._residency.warm(arm, loaded.backend, min(4, self._family.max_batch)):
            return
        bench.charge(loaded.load_s)
        label = bench.add(loaded, candidate.variant, vetted)
        self._go_through(bench, bench.first_steps(label))
        if self._stop.is_set():
            return
        if (profile := bench.profile(label)) is None:
            self._residency.fail(arm, bench.failed[label])
            return
        self._knowledge.stored.keep(profile)
        self._use(candidate, profile, loaded)

    def _go_through(self, bench: Bench, steps: Iterable[object]) -> None:
        """Take the steps one by one, each as far as requests allow now, until the server is to stop."""
        bench.limit(self._slots.bound_s())
        for _ in steps:
            if self._stop.is_set():
                return
            bench.limit(self._slots.bound_s())

    def _say_unrun(self, variants: Iterable[Variant], found: Collection[PossibleArm]) -> None:
        runnable = {c.variant.name for c in found}
        for variant in variants:
            if variant.name not in runnable:
                reason = no_way(variant, self._residency.placement.only)
                _log.warning("%s: %s is left out: %s", self._family.name, variant.name, reason)

    def _check_ready(self, possible: int) -> None:
        name, loaded, failed = self._family.name, self._residency.loaded, self._residency.failed
        if not loaded:
            only = self._residency.placement.only
            reasons = [*failed.values(), *(no_way(v, only) for v in self._family.variants)]
            raise BackendError(f"no variant of {name} can be loaded: {reasons[0]}")
        if self._knowledge.unfit and not self._dispatcher.arms:
            raise BackendError(f"{name} cannot be served: {self._knowledge.unfit}")
        _log.info("%s: %d of %d arms ready", name, len(self._knowledge.known.profiled), possible)
