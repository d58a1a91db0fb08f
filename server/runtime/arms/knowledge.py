"""What is known of a family's arms and what the policy is told of them: follows every batch, and changes of hardware.

Any thread may tell; every change reaches the dispatcher as one assignment.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from math import inf

from models.backends.base import graphs_of
from models.catalog import Family
from profiler.hardware.fingerprint import Hardware
from profiler.measuring.rulings import believed
from profiler.profiles import Profile
from profiler.speed import drift
from server.metrics import FamilyMetrics, RanBatch
from server.policy.arms import retune
from server.policy.arms.probing import Probe
from server.policy.decision import Arm, ArmProfile
from server.runtime.arms.residency import Residency
from server.runtime.arms.stored_profiles import StoredProfiles
from server.runtime.dispatch import tables
from server.runtime.dispatch.dispatcher import Dispatcher
from server.runtime.dispatch.jobs import Batch

_log = logging.getLogger(__name__)

SAID_EVERY_S = 60.0
"""So often (s) at most it is said that the profiles are believed again."""
WIDER = 1.15
"""After the hardware changed, upper estimates are this much higher until batches have shown what holds now."""


class Knowledge:
    """One family's. `known` is a value, swapped whole; `residency` tells with how many threads arms run."""

    def __init__(
        self,
        family: Family,
        residency: Residency,
        stored: StoredProfiles,
        dispatcher: Dispatcher,
        metrics: FamilyMetrics,
    ) -> None:
        self.family = family
        """With the variants that serve now."""
        self.known = retune.Known(family.slo.latency_s)
        """What the policy is told, and from what it follows."""
        self.stored = stored
        """The profiles of the hardware that is served on."""
        self.unmeasured = False
        """Whether the arms in use were never measured on this hardware: what held before it changed is all there is."""
        self.unfit = ""
        """Why the policy in force could not work with what it was told last; empty where it never was so."""
        self._residency = residency
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._lock = threading.Lock()
        self._revival_said_s = -inf
        self._ran_s = -inf  # when anything last ran
        self._arrived = 0  # rows that had been offered by then
        self._before: dict[str, retune.Known] = {}  # what was known, by fingerprint

    @property
    def fingerprint(self) -> str:
        """Of the hardware that is served on."""
        return self.stored.fingerprint

    def profile(self, arm: Arm) -> Profile | None:
        """What is stored of this arm on this hardware, with the threads that it has now.

        Nothing where it was tried with other rows than the publisher gives now, or ran on other graphs than it does. It
        may still have to be vetted, where its verdict is by other rules than today's.
        """
        found = self.stored.find(arm, self._residency.placement.threads)
        if found is None or not self._residency.rows.covers(found.vetted.rows):
            return None
        loaded = self._residency.loaded.get(arm)
        if loaded is not None and graphs_of(loaded) != found.graphs:
            return None
        return believed(found, self._residency.vetted(arm))

    def table(self, profile: Profile) -> ArmProfile:
        """What the policy is told of an arm with this profile, the machine being as it was when it was measured."""
        variant = self.family.variant(profile.variant)
        accuracy = variant.accuracy.value if variant else 0.0
        return tables.of_profile(profile, accuracy, self.family)

    def profiled(self) -> Iterable[ArmProfile]:
        """The arms that the policy is told of, as they were measured. Any thread."""
        return self.known.profiled.values()

    def foreseen(self, arms: Sequence[ArmProfile]) -> list[ArmProfile]:
        """What these arms, which the policy does not know, would cost at the machine's present speed."""
        effective = retune.with_arms(self.known, arms).effective
        return [effective[one.arm] for one in arms]

    def foreseen_s(self, arm: ArmProfile, rows: int) -> float:
        """What such a run of an arm, which the policy does not know, should take in the backend now."""
        return retune.predicted_s(retune.with_arms(self.known, [arm]), arm.arm, rows)

    def tell(self, arm: ArmProfile) -> None:
        """Let the policy choose this one too."""
        with self._lock:
            self._now(retune.with_arms(self.known, [arm]))

    def forget(self, which: Callable[[Arm], bool]) -> list[Arm]:
        """Let the policy choose those no more; returns them."""
        with self._lock:
            gone = [arm for arm in self.known.profiled if which(arm)]
            self._now(retune.without_arms(self.known, gone))
        for arm in gone:
            self._metrics.forget(arm)
        return gone

    def adopt(self, family: Family) -> None:
        """The variants that may be served are others now; what is known of those that stay goes on."""
        self.family = family
        with self._lock:
            stored = [p for arm in self.known.profiled if (p := self.profile(arm)) is not None]
            self._now(retune.with_arms(self.known, [self.table(p) for p in stored]))

    def publish(self, family: Family) -> None:
        """These variants are published now, whether or not they serve: profiles of them are kept."""
        with self._lock:
            self.stored.adopt(family)

    def learn(self, profiles: Iterable[Profile], *, whole: bool) -> None:
        """Store better profiles and decide by them. Not `whole`: large batches were left out, as requests came."""
        better = self._kept(profiles)
        with self._lock:
            self._now(retune.with_arms(self.known, self._of_known(better)))
            lacks = any(self.profile(arm) is None for arm in self.known.profiled)
            self.unmeasured = lacks or not whole

    def begin_anew(self, profiles: Iterable[Profile]) -> None:
        """Every arm was measured on this hardware: store it, and begin anew from there."""
        measured = self._kept(profiles)
        with self._lock:
            self.unmeasured = False
            self._now(retune.measured(self.known, self._of_known(measured)))
        _log.info("%s: measured on %s", self.family.name, self.fingerprint)

    def observe(self, batch: Batch, busy_s: float) -> None:
        """Learn from a finished batch that kept its worker busy for `busy_s`; rebuild the tables when costs moved."""
        arm = batch.profile.arm
        took_s = batch.ended_s - batch.started_s
        gather_s = batch.gathered_s - batch.started_s
        ended_s, after = batch.ended_s, batch.after
        ran = retune.LatencySample(arm, batch.units, took_s, busy_s, ended_s, after=after)
        with self._lock:
            if arm not in self.known.profiled:  # let go while this batch ran on it
                return
            predicted_s = retune.predicted_s(self.known, arm, batch.units)
            predicted_s += retune.switch_s(self.known, arm, after)
            profiled_s = self.known.profiled[arm].mean_s[batch.units]
            if batch.telling:
                self._observe(ran, self._dispatcher.running())
        took = (gather_s, batch.compute_s, predicted_s, profiled_s, after not in {None, arm})
        self._metrics.ran(RanBatch(arm.variant, batch.precision, batch.rows, *took, arm.backend))

    def observe_shadow(self, probe: Probe, took_s: float, ended_s: float) -> None:
        """Learn from a run that answered nobody."""
        ran = retune.LatencySample(probe.arm, probe.rows, took_s, took_s, ended_s, shadow=True)
        with self._lock:
            if probe.arm in self.known.profiled:
                self._observe(ran, None)
        self._metrics.shadow_ran()

    def revive(self, now_s: float) -> None:
        """Where what was learnt lets nobody in and nothing has run for a while, begin again from the profiles.

        Where it lets in only those who allow more time than all that come, believe less of it by and by.
        """
        slo_s = self.family.slo.latency_s - self._dispatcher.limits.reply_margin_s
        with self._lock:
            revived = retune.revived(self.known, slo_s, now_s)
            if revived is None:
                self._refused(now_s)
                return
            self._now(revived)
        is_news = now_s >= self._revival_said_s + SAID_EVERY_S
        self._revival_said_s = now_s if is_news else self._revival_said_s
        text = (
            "%s: by what was learnt no arm answers in time any more; believing the profiles again"
        )
        _log.log(logging.WARNING if is_news else logging.DEBUG, text, self.family.name)

    def _refused(self, now_s: float) -> None:
        """Called under the lock. Whoever came since anything ran, and does not wait, was refused."""
        load, ran_s = self._dispatcher.load(), retune.last_ran_s(self.known)
        if load.running or load.tickets or ran_s != self._ran_s:
            self._ran_s, self._arrived = ran_s, load.arrived
        if load.arrived > self._arrived:
            self.known, arms = retune.refused(self.known, now_s)
            if arms is not None:
                self._apply(arms)

    def resized(self) -> None:
        """Arms run with another number of threads: what is stored of that, else what held before, with more margin."""
        with self._lock:
            self._restart(self._restarted())

    def moved_to(self, hardware: Hardware) -> None:
        """Serve on other hardware: by what was learnt or stored of it, else by what held before, with more margin."""
        with self._lock:
            self._before[self.fingerprint] = before = self.known
            self.stored = self.stored.on(hardware)
            restarted = self._restarted()
            former = self._before.get(self.fingerprint)
            self._restart(restarted if former is None else retune.like(former, before))
        known = "held before" if self.unmeasured else "is known"
        text = "%s: serving on %s with what %s of it"
        _log.warning(text, self.family.name, self.fingerprint, known)

    def _restarted(self) -> retune.Known:
        """What is stored of the arms in use, here and at this number of threads; of the others what held before."""
        before = self.known
        stored = [self.table(p) for arm in before.profiled if (p := self.profile(arm)) is not None]
        self.unmeasured = len(stored) < len(before.profiled)
        return retune.with_arms(retune.renewed(before, WIDER), stored)

    def _restart(self, known: retune.Known) -> None:
        """Called under the lock."""
        self.known = known
        self._apply(retune.arms_now(known))

    def _kept(self, profiles: Iterable[Profile]) -> list[Profile]:
        kept = list(profiles)
        for profile in kept:
            self.stored.keep(profile)
        return kept

    def _of_known(self, profiles: Iterable[Profile]) -> list[ArmProfile]:
        """The tables of those that the policy knows."""
        return [t for p in profiles if (t := self.table(p)).arm in self.known.profiled]

    def _observe(
        self, ran: retune.LatencySample, running: tuple[retune.RunningBatch, ...] | None
    ) -> None:
        """Called under the lock."""
        self.known, arms = retune.observe(self.known, ran, running)
        if arms is not None:
            self._apply(arms)

    def _now(self, known: retune.Known) -> None:
        """This is known now. Called under the lock."""
        self.known = known
        self._apply(known.effective.values())

    def _apply(self, arms: Iterable[ArmProfile]) -> None:
        """Hand the dispatcher every arm at the present speed. Called under the lock."""
        effective = list(arms)
        try:
            self._dispatcher.apply(effective)
        except ValueError as error:  # a pinned variant comes later, or never
            self.unfit = str(error)
        for profile in effective:
            arm = profile.arm
            self._metrics.speed(arm, retune.scale(self.known, arm))
        self._metrics.switch_costs(self.known.switches.cost_s)
        self._metrics.stalls(*drift.stalls(self.known.speed))
