"""What the policy knows of a family: which arms there are, what each costs now, and which are worth memory.

`prepare` and the tasks that follow it run on the tuner's thread while the server serves; every change reaches the
dispatcher as one assignment.
"""

import logging
import threading
from collections.abc import Callable, Collection, Iterable, Sequence

from models.backends.base import BackendError
from models.catalog import Family
from profiler.hardware import Hardware
from profiler.measure import Bench, Loaded
from profiler.profiles import Profile
from server.metrics import FamilyMetrics, RanBatch
from server.policy import retune
from server.policy.decision import Arm, ArmProfile
from server.policy.keep import worth_keeping
from server.policy.probing import Probe
from server.runtime import tables
from server.runtime.dispatcher import Dispatcher
from server.runtime.jobs import Batch
from server.runtime.residency import Candidate, Residency
from server.runtime.shelf import Shelf
from server.runtime.slots import Slots

_log = logging.getLogger(__name__)

STARVED_S = 0.5
"""So long (s) nothing may run before that is put down to what was learnt."""
REMEASURE_S = 20.0
"""For measuring all arms in memory anew, in idle moments."""
WIDER = 1.15
"""After the hardware changed, upper estimates are this much higher until batches have shown what holds now."""


class Tuner:
    """Fills the residency and the dispatcher's arms, and follows the speed of all."""

    def __init__(
        self,
        family: Family,
        residency: Residency,
        shelf: Shelf,
        dispatcher: Dispatcher,
        metrics: FamilyMetrics,
    ) -> None:
        self._family = family
        self._residency = residency
        self._shelf = shelf
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._lock = threading.Lock()
        self._known = retune.Known()
        self._before: dict[str, retune.Known] = {}  # what was known, by fingerprint
        self.unmeasured = False
        """Whether the arms in use were never measured on this hardware: what held before it changed is all there is."""
        self._leaving: set[Arm] = set()
        self._unfit = ""
        self._stop = threading.Event()

    @property
    def known(self) -> retune.Known:
        """What the policy is told, and from what it follows: a value."""
        return self._known

    @property
    def fingerprint(self) -> str:
        """Of the hardware that is served on."""
        return self._shelf.fingerprint

    @property
    def shelf(self) -> Shelf:
        """The profiles of the hardware that is served on."""
        return self._shelf

    @property
    def is_stopping(self) -> bool:
        """Whether nothing more is prepared."""
        return self._stop.is_set()

    def prepare(self, slots: Slots, budget_s: float) -> None:
        """Make every arm worth having eligible, smallest artefact first; measure those without a profile here.

        Returns early after `stop`. Raises BackendError when not one of them can be served with.
        """
        found = self._residency.candidates()
        stored = {c.arm: p for c in found if (p := self._profile(c.arm)) is not None}
        kept = _worth(map(self._table, stored.values()))
        for candidate in found:
            if candidate.arm in kept and not self._stop.is_set():
                self._use(candidate, stored[candidate.arm])
        unknown = [c for c in found if c.arm not in stored]
        if unknown and not self._stop.is_set():
            self._measure(unknown, slots, budget_s)
        if self._stop.is_set():
            return
        self.settle()
        self._check_ready(len(found))

    def settle(self) -> None:
        """Hold the arms that are worth it, no others; what is worth it follows from all profiles there are.

        Of arms in use that were not measured on this hardware yet, what held before is all there is.
        """
        found = {
            c.arm: c for c in self._residency.candidates() if c.arm not in self._residency.failed
        }
        profiles = {arm: p for arm in found if (p := self._profile(arm)) is not None}
        unmeasured = [t for arm, t in self._known.profiled.items() if arm not in profiles]
        kept = _worth([*map(self._table, profiles.values()), *unmeasured])
        for arm in kept - self._residency.loaded.keys():
            self._use(found[arm], profiles[arm])
        with self._lock:
            out = [arm for arm in self._residency.loaded if arm not in kept]
            self._known = retune.without_arms(self._known, out)
            self._apply(self._known.told.values())
        for arm in out:
            self._leaving.add(arm)
            self._metrics.forget(arm)
            _log.info("%s: %s on %s is not kept: others are as accurate and faster",
                      self._family.name, arm.variant, arm.backend)  # fmt: skip

    def revive(self, now_s: float) -> None:
        """Where what was learnt lets nobody in and nothing has run for a while, begin again from the profiles."""
        slo_s = self._family.slo.latency_s - self._dispatcher.limits.reply_margin_s
        with self._lock:
            known = self._known
            if not retune.is_starved(known, slo_s) or now_s - retune.last_ran_s(known) < STARVED_S:
                return
            self._known = retune.forgotten(known)
            self._apply(self._known.told.values())
        _log.warning("%s: by what was learnt no arm answers in time any more; believing the profiles again",
                     self._family.name)  # fmt: skip

    def sweep(self) -> None:
        """Let go of arms that the policy does not know any more, once nothing runs on them."""
        running = {run.arm for run in self._dispatcher.running()}
        for arm in self._leaving - running - self._known.profiled.keys():
            self._residency.release(arm)
        self._leaving &= running

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
            if arm not in self._known.profiled:  # let go while this batch ran on it
                return
            predicted_s = retune.predicted_s(self._known, arm, batch.rows)
            if batch.telling:
                self._observe(ran, self._dispatcher.running())
        self._metrics.ran(
            RanBatch(
                arm.variant, batch.precision, batch.rows, gather_s, batch.compute_s, predicted_s
            )
        )

    def observe_shadow(self, probe: Probe, took_s: float, ended_s: float) -> None:
        """Learn from a run that answered nobody."""
        ran = retune.Ran(probe.arm, probe.rows, took_s, took_s, ended_s, shadow=True)
        with self._lock:
            if probe.arm in self._known.profiled:
                self._observe(ran, None)
        self._metrics.shadow_ran()

    def bench(self, slots: Slots) -> Bench:
        """All arms in memory, to be measured anew."""
        bench = Bench(self._family, slots.effort(REMEASURE_S), slots.instruments())
        for arm, backend in self._residency.loaded.items():
            variant, profile = self._family.variant(arm.variant), self._profile(arm)
            if variant is not None:
                loaded = Loaded(
                    backend,
                    self._residency.berth.threads,
                    arm.device,
                    profile.load_s if profile else 0.0,
                )
                bench.add(loaded, variant)
        return bench

    def measured(self, profiles: Iterable[Profile]) -> None:
        """Every arm was measured on this hardware: store it, and begin anew from there."""
        kept = list(profiles)
        for profile in kept:
            self._shelf.keep(profile)
        with self._lock:
            anew = [t for p in kept if (t := self._table(p)).arm in self._known.profiled]
            self._known = retune.measured(self._known, anew)
            self.unmeasured = False
            self._apply(self._known.told.values())
        _log.info("%s: measured on %s", self._family.name, self._shelf.fingerprint)

    def resize(self, threads: int, instances: int) -> None:
        """Open every arm anew for so many threads a run and runs at a time, one after the other, while all serve.

        With other threads other profiles hold: what is stored of them, else what held before, with more margin.
        """
        former = self._residency.berth.threads
        for arm in self._residency.resize(threads, instances):
            _log.info("%s: %s on %s now runs on %d thread(s), %d at a time",
                      self._family.name, arm.variant, arm.backend, threads, instances)  # fmt: skip
        if threads != former:
            with self._lock:
                self._known = self._restarted(self._known)
                self._apply(retune.arms_now(self._known))

    def _restarted(self, before: retune.Known) -> retune.Known:
        """What is stored of the arms on this hardware, at this number of threads; of the others what held before."""
        stored = [
            self._table(p) for arm in before.profiled if (p := self._profile(arm)) is not None
        ]
        self.unmeasured = len(stored) < len(before.profiled)
        return retune.with_arms(retune.renewed(before, WIDER), stored)

    def adopt(self, family: Family) -> None:
        """The variants that may be served are others now; what is known of those that stay goes on."""
        self._family = family
        with self._lock:
            known = [p for arm in self._known.profiled if (p := self._profile(arm)) is not None]
            self._known = retune.with_arms(self._known, [self._table(p) for p in known])
            self._apply(self._known.told.values())

    def drop(self, variants: Collection[str]) -> None:
        """Let go of every arm of these variants."""
        self._let_go(lambda arm: arm.variant in variants)

    def enlist(self, arms: Iterable[tuple[Candidate, Profile, Loaded]]) -> None:
        """Let the policy choose from these too, which are open and measured; hold what is worth it then."""
        for candidate, profile, loaded in arms:
            self._use(candidate, profile, loaded)
        self.settle()

    def take_in(self, variants: Collection[str], slots: Slots, budget_s: float) -> None:
        """Open, and where that is needed measure, every arm of these variants; hold what is worth it then."""
        found = [c for c in self._residency.candidates() if c.variant.name in variants]
        stored = {c.arm: p for c in found if (p := self._profile(c.arm)) is not None}
        for candidate in found:
            if candidate.arm in stored and not self._stop.is_set():
                self._use(candidate, stored[candidate.arm])
        unknown = [c for c in found if c.arm not in stored]
        if unknown and not self._stop.is_set():
            self._measure(unknown, slots, budget_s)
        if not self._stop.is_set():
            self.settle()

    def foreseen(self, arms: Sequence[ArmProfile]) -> list[ArmProfile]:
        """What these arms, which the policy does not know, would cost at the machine's present speed."""
        told = retune.with_arms(self._known, arms).told
        return [told[one.arm] for one in arms]

    def foreseen_s(self, arm: ArmProfile, rows: int) -> float:
        """What such a run of an arm, which the policy does not know, should take in the backend now."""
        return retune.predicted_s(retune.with_arms(self._known, [arm]), arm.arm, rows)

    def drop_devices(self) -> None:
        """Let go of every arm that is not on the CPU."""
        self._let_go(lambda arm: arm.device != "cpu")

    def moved_to(self, hardware: Hardware) -> None:
        """Serve on other hardware: by what was learnt or stored of it, else by what held before, with more margin."""
        with self._lock:
            self._before[self._shelf.fingerprint] = self._known
            before, self._shelf = self._known, self._shelf.on(hardware)
            restarted = self._restarted(before)
            former = self._before.get(self._shelf.fingerprint)
            self._known = restarted if former is None else retune.like(former, before)
            self._apply(retune.arms_now(self._known))
        _log.warning(
            "%s: serving on %s with what %s of it",
            self._family.name, self._shelf.fingerprint, "held before" if self.unmeasured else "is known",
        )  # fmt: skip

    def _let_go(self, which: Callable[[Arm], bool]) -> None:
        with self._lock:
            gone = [arm for arm in self._known.profiled if which(arm)]
            self._known = retune.without_arms(self._known, gone)
            self._apply(self._known.told.values())
        chosen = {
            profile.arm for profile in self._dispatcher.arms
        }  # a policy that is pinned to one keeps it
        self._leaving.update(arm for arm in gone if arm not in chosen)
        for arm in gone:
            self._metrics.forget(arm)

    def _use(self, candidate: Candidate, profile: Profile, loaded: Loaded | None = None) -> None:
        """Load and warm it, then let the policy choose it."""
        loaded = loaded or self._residency.open(candidate)
        table = self._table(profile)
        within = [
            b
            for b in range(1, table.max_batch + 1)
            if table.mean_s[b] <= self._family.slo.latency_s
        ]
        if loaded is None or not self._residency.warm(
            candidate.arm, loaded.backend, max(within, default=1)
        ):
            return
        with self._lock:
            self._residency.admit(candidate.arm, loaded.backend)
            self._known = retune.with_arms(self._known, [table])
            self._apply(self._known.told.values())

    def _measure(self, unknown: list[Candidate], slots: Slots, budget_s: float) -> None:
        """Each becomes eligible as soon as its profile can be served with; then all are measured better, in turns."""
        bench = Bench(self._family, slots.effort(budget_s), slots.instruments())
        for candidate in unknown:
            if (loaded := self._residency.open(candidate)) is None:
                continue
            _log.info(
                "%s: measuring %s on %s",
                self._family.name,
                candidate.arm.variant,
                candidate.arm.backend,
            )
            # What is compiled at first use is compiled now: not with the workers held, as measured runs are.
            rows = min(4, self._family.max_batch)
            if not self._residency.warm(candidate.arm, loaded.backend, rows):
                continue
            bench.charge(loaded.load_s)
            label = bench.add(loaded, candidate.variant)
            self._go_through(bench, bench.first_steps(label), slots)
            if self._stop.is_set():
                return
            if (profile := bench.profile(label)) is None:
                self._residency.fail(candidate.arm, bench.failed[label])
                continue
            self._shelf.keep(profile)
            self._use(candidate, profile, loaded)
        self._go_through(bench, bench.steps(), slots)
        self.unmeasured = (
            slots.are_disputed
        )  # large batches were left out: they are measured when it is quiet
        self._learn(bench.profiles())

    def _go_through(self, bench: Bench, steps: Iterable[object], slots: Slots) -> None:
        """Take the steps one by one, each as far as requests allow now, until the server is to stop."""
        bench.limit(slots.bound_s())
        for _ in steps:
            if self._stop.is_set():
                return
            bench.limit(slots.bound_s())

    def _learn(self, profiles: Iterable[Profile]) -> None:
        """Store better profiles and decide by them."""
        kept = list(profiles)
        for profile in kept:
            self._shelf.keep(profile)
        with self._lock:
            better = [t for p in kept if (t := self._table(p)).arm in self._known.profiled]
            self._known = retune.with_arms(self._known, better)
            self._apply(self._known.told.values())

    def _observe(self, ran: retune.Ran, running: tuple[retune.Running, ...] | None) -> None:
        """Called under the lock."""
        self._known, arms = retune.observe(self._known, ran, running)
        if arms is not None:
            self._apply(arms)

    def _profile(self, arm: Arm) -> Profile | None:
        return self._shelf.find(arm, self._residency.berth.threads)

    def _table(self, profile: Profile) -> ArmProfile:
        variant = self._family.variant(profile.variant)
        accuracy = variant.accuracy.value if variant else 0.0
        return tables.of_profile(profile, accuracy, self._family.max_batch)

    def _apply(self, arms: Iterable[ArmProfile]) -> None:
        """Hand the dispatcher every arm at the present speed. Called under the lock."""
        told = list(arms)
        try:
            self._dispatcher.apply(told)
        except ValueError as error:  # a pinned variant comes later, or never
            self._unfit = str(error)
        for profile in told:
            arm = profile.arm
            self._metrics.speed(arm, retune.scale(self._known, arm))

    def _check_ready(self, possible: int) -> None:
        name, loaded, failed = self._family.name, self._residency.loaded, self._residency.failed
        if not loaded:
            allowed = ", ".join(self._residency.berth.only) or "any"
            nothing = f"no runtime that is installed and allowed (key `backends`: {allowed}) runs its artefacts here"
            reason = next(iter(failed.values()), nothing)
            raise BackendError(f"no variant of {name} can be loaded: {reason}")
        if self._unfit and not self._dispatcher.arms:
            raise BackendError(f"{name} cannot be served: {self._unfit}")
        _log.info("%s: %d of %d arms ready", name, len(self._known.profiled), possible)


def _worth(found: Iterable[ArmProfile]) -> frozenset[Arm]:
    """The arms to hold: those that can be the best choice, and for each variant the best way to run it."""
    tables = list(found)
    best: dict[str, ArmProfile] = {}
    for table in tables:
        rival = best.setdefault(table.arm.variant, table)
        if table.mean_s[1] < rival.mean_s[1]:
            best[table.arm.variant] = table
    return worth_keeping(tables) | {table.arm for table in best.values()}
