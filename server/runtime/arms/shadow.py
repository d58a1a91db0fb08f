"""Uses idle moments: runs arms whose cost is not known well any more, measures what this hardware has no profile of.

Nobody waits for a shadow run: when to run which is the pure `policy.arms.probing`'s affair, and one during which a
request came is forgotten. It runs on the tuner's thread.
"""

import logging
import time
from collections.abc import Iterator

from models.backends.base import BackendError
from models.catalog import Family
from profiler.measuring.measure import Bench, Loaded, Step
from server.policy.arms import probing
from server.policy.arms.incidents import Failed
from server.policy.arms.retune import Known, without_arms
from server.runtime.arms.knowledge import Knowledge
from server.runtime.arms.residency import Residency
from server.runtime.arms.slots import Slots
from server.runtime.dispatch.dispatcher import Dispatcher

_log = logging.getLogger(__name__)

STEP_S = 0.1
"""About what one step of measuring anew takes (s), whatever the SLO; it is begun only where hardly anybody will come
meanwhile."""
REMEASURE_S = 20.0
"""For measuring all arms in memory anew, in idle moments."""
QUIET_RISK = 0.05
"""The chance allowed that a request comes in that time."""


class Shadow:
    """One family's. `tick` does one thing at most, and takes no longer than a batch or a few."""

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
        self._spent = probing.ShadowBudget()
        self._bench: Bench | None = None
        self._begun_on = ""
        self._steps: Iterator[Step] = iter(())

    def tick(self) -> None:
        """Use this moment, if it is idle."""
        slack = self._dispatcher.slack(self._family.slo.latency_s)
        quiet = not slack.waiting and slack.rate_rps * STEP_S <= QUIET_RISK
        if quiet and slack.idle == slack.workers and self._knowledge.unmeasured:
            self._measure_on()
            return
        probe = probing.next_probe(self._trusted(), slack, self._spent, time.monotonic())
        if probe is not None and probe.arm in self._residency.loaded:
            self._probe(probe)

    def _trusted(self) -> Known:
        """What is known, but for arms that are out of use: the quarantine probes those itself, under its watch."""
        known, quarantine = self._knowledge.known, self._dispatcher.quarantine
        out = [arm for arm in known.profiled if quarantine.is_out(arm)]
        return without_arms(known, out) if out else known

    def _probe(self, probe: probing.Probe) -> None:
        backend = self._residency.loaded[probe.arm]
        rows = self._residency.rows.work(probe.rows)
        arrived, begun_s = self._dispatcher.load().arrived, time.monotonic()
        try:
            backend.run(rows)  # the first after others finds cold caches
            warm_s = time.monotonic()
            backend.run(rows)
        except (BackendError, MemoryError) as error:
            _log.error(
                "%s: shadow run on %s failed: %s", self._family.name, probe.arm.variant, error
            )
            self._dispatcher.quarantine.tell(Failed(probe.arm, canary_passed=False))
            return
        ended_s = time.monotonic()
        workers, slo_s = self._dispatcher.limits.workers, self._family.slo.latency_s
        self._spent = probing.after(ended_s - begun_s, workers, ended_s, slo_s)
        if self._dispatcher.load().arrived == arrived:
            self._knowledge.observe_shadow(probe, ended_s - warm_s, ended_s)

    def _measure_on(self) -> None:
        """One more step of measuring every loaded arm on hardware that has no profile of them."""
        if self._bench is None or self._begun_on != self._knowledge.fingerprint:
            self._bench, self._begun_on = self._bench_of_all(), self._knowledge.fingerprint
            self._steps = self._bench.steps()
            _log.info("%s: hardly anybody asks; measuring on this hardware", self._family.name)
        if next(self._steps, None) is None:
            self._knowledge.begin_anew(self._bench.profiles())
            self._bench = None

    def _bench_of_all(self) -> Bench:
        """All arms in memory, to be measured anew."""
        knowledge, slots, threads = self._knowledge, self._slots, self._residency.placement.threads
        rows = self._residency.rows
        bench = Bench(self._family, slots.effort(REMEASURE_S), slots.instruments(), rows)
        for arm, backend in self._residency.loaded.items():
            variant, profile = knowledge.family.variant(arm.variant), knowledge.profile(arm)
            if variant is not None:
                load_s, took = (profile.load_s, profile.memory_bytes) if profile else (0.0, 0)
                vetted = self._residency.vetted(arm)
                bench.add(Loaded(backend, threads, arm.device, load_s, took), variant, vetted)
        return bench
