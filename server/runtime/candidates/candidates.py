"""The trial of published candidates: found, measured, run on live rows, promoted, watched, rolled back.

What follows from what is the pure `promotion.py`'s affair. It runs on the tuner's thread; one candidate at a
time is measured and tried, in the order of the manifest.
"""

import logging
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from models.catalog import Family
from server.errors import BadInput, NotReady
from server.policy.arms.incidents import Failed, Out, Stay
from server.policy.candidates.candidacy import (
    Event,
    Looked,
    Offended,
    Ordered,
    Postponed,
    Profiling,
    Promote,
    Promoted,
    Trial,
    Unusable,
    Verdict,
    Waited,
)
from server.policy.candidates.promotion import is_watched, seen, strain
from server.policy.decision import ArmProfile
from server.runtime.candidates.comparison import Comparison
from server.runtime.candidates.measuring import CandidateMeasurement, MeasuringPlace
from server.runtime.candidates.orders import Orders, check
from server.runtime.candidates.repository import Repository
from server.runtime.candidates.runnable import RunnableArm, ServingParts
from server.runtime.candidates.serving import ServingVariants
from server.runtime.candidates.stages import Stages

_log = logging.getLogger(__name__)

LOOK_S = 1.0
"""So often (s) a watched candidate is compared with the frontier: a publisher waits for it, whatever the SLO."""
MEASURING_S = 5.0
"""For measuring one candidate (s), where `profile_budget_s` is no less."""


class Candidates:
    """One family's. `tick` does one thing or two, and takes no longer than a batch or a few, but for promotions."""

    def __init__(
        self,
        known: Family,
        parts: ServingParts,
        variants: ServingVariants,
        stages: Stages,
        budget_s: float,
    ) -> None:
        self.known = known
        """The family as published, its candidates included."""
        self.stages = stages
        self._parts = parts
        self._variants = variants
        self._budget_s = budget_s
        self._repository = Repository(parts.residency.placement.folder, parts.amendments)
        self._comparison = Comparison(known, parts.dispatcher, parts.samples)
        self._measurement: CandidateMeasurement | None = None
        self._look_at_s = 0.0
        self._turn = 0
        self._offences: deque[Out | Stay] = deque(maxlen=64)
        self._orders = Orders()
        parts.dispatcher.quarantine.listen(self._offences.append)

    def order(self, variant: str, order: Ordered) -> "Future[None]":
        """Have a candidate promoted or rolled back whatever was found of it; done when the result is there. Any thread.

        Raises UnknownModel or BadInput for a variant of which that cannot be asked, NotReady while stopping.
        """
        self._check(variant, order)
        return self._orders.add(variant, order)

    def stop(self) -> None:
        """Take no more orders; those not carried out yet are refused. Any thread."""
        self._orders.stop()

    def foreseen(self, variant: str) -> list[ArmProfile]:
        """What the arms of a candidate on trial would cost now; none where they are not known. Any thread."""
        measurement = self._measurement
        if measurement is None or measurement.variant.name != variant:
            return []
        return self._parts.knowledge.foreseen([m.table for m in measurement.arms])

    @property
    def is_under_way(self) -> bool:
        """Whether any is tried, measured or watched."""
        now_s = time.monotonic()
        stages = [entry.life.stage for entry in self.stages.entries.values()]
        return any(isinstance(s, Profiling) or is_watched(s, now_s) for s in stages)

    def tick(self) -> None:
        """Go on with what there is to do."""
        found = self._repository.look()
        if found is not None:
            self._renew(found)
        self._orders.obey(self._obey)
        self._hear()
        self._try_postponed()
        watched = [
            n for n, e in self.stages.entries.items() if is_watched(e.life.stage, time.monotonic())
        ]
        self._parts.samples.want(wanted=bool(watched))
        self._try_next()
        if watched:
            self._turn += 1
            self._compare(watched[self._turn % len(watched)])
        if watched and time.monotonic() >= self._look_at_s:
            self._look_at_s = time.monotonic() + LOOK_S
            for name in watched:
                self._look(name)

    def _renew(self, found: Family) -> None:
        """The publisher has changed something: new variants are taken in, those that are gone let go."""
        plain = [v for v in found.variants if not v.candidate]
        self.known = found
        self._parts.knowledge.publish(found)
        self.stages.hold(
            [v for v in found.variants if v.candidate], self._parts.knowledge.fingerprint
        )
        if self._measurement is not None and self._measurement.variant not in found.variants:
            self._end_measurement()
        serving = [*plain, *self.stages.promoted()]
        if not serving:
            text = "%s: nothing is published any more that may be served; the server goes on with what it has"
            _log.warning(text, found.name)
        elif tuple(serving) != self._variants.family.variants:
            self._variants.serve(serving)

    def _obey(self, variant: str, order: Ordered) -> None:
        """Raises UnknownModel or BadInput, where that could not be asked, or cannot be done."""
        self._check(variant, order)
        self._befell(variant, order)
        if order.promote and not self._variants.has_arm(variant):
            if self._variants.is_closed:
                raise NotReady(
                    "the server stopped before that was done; it goes on when it starts again"
                )
            raise BadInput(f"variant '{variant}' cannot be run here: {self._why_not(variant)}")

    def _hear(self) -> None:
        while self._offences:
            offence = self._offences.popleft()
            if offence.arm.variant in self.stages.entries:
                stays = isinstance(offence, Stay)
                self._befell(offence.arm.variant, Offended(offence.reason, stays))

    def _try_postponed(self) -> None:
        for name, entry in self.stages.entries.items():
            if isinstance(entry.life.stage, Postponed):
                self._befell(name, Waited())

    def _try_next(self) -> None:
        """Measure the candidate whose turn it is, a step further."""
        if self._measurement is not None and not self._measurement.holds:
            self._end_measurement()  # workers, threads or the hardware are others now: opened and measured anew
        if self._measurement is None:
            entries = self.stages.entries.values()
            turn = next((e for e in entries if isinstance(e.life.stage, Profiling | Trial)), None)
            if turn is None:
                return
            parts, budget_s = self._parts, min(self._budget_s, MEASURING_S)
            place = MeasuringPlace(parts.residency, parts.knowledge, parts.slots, budget_s)
            most = self._variants.family.max_batch  # there is no room for more
            family, anew = replace(self.known, max_batch=most), turn.life.postponed > 0
            self._measurement = CandidateMeasurement(family, turn.variant, place, anew=anew)
        name = self._measurement.variant.name
        if not self._measurement.advance():
            return
        if not self._measurement.arms:
            self._befell(name, Unusable(self._measurement.failed))
        elif self._is_at(name, Profiling):
            self._look(name)

    def _compare(self, name: str) -> None:
        ours = self._runnable(name)
        if ours is None:
            return
        entries, now_s = self.stages.entries, time.monotonic()
        doubted = {n for n, e in entries.items() if is_watched(e.life.stage, now_s)} | {name}
        references = self._parts.references(self._variants.family, doubted)
        for event in self._comparison.turn(ours, references):
            if isinstance(event, Unusable) and self._is_at(name, Promoted):
                self._parts.dispatcher.quarantine.tell(
                    Failed(ours.profile.arm, canary_passed=False)
                )
            self._befell(name, event)

    def _look(self, name: str) -> None:
        known, shared = self._parts.knowledge.known, self._parts.shared()
        if self._is_at(name, Promoted):
            self._befell(name, seen(known, name, time.monotonic(), shared))
        elif mine := self.foreseen(name):
            strained = strain(known, name, shared)
            self._befell(name, Looked(mine, list(known.effective.values()), strain=strained))

    def _befell(self, name: str, event: Event) -> None:
        """Step, and carry out what follows."""
        if name not in self.stages.entries:
            return
        last = {v.name for v in self._variants.family.variants} == {name}
        if last and not isinstance(event, Ordered):
            return  # nobody could take its place
        for verdict in self.stages.step(name, event):
            self._carry_out(name, verdict)
            self.stages.keep(name, self._parts.knowledge.fingerprint)
            if isinstance(verdict, Promote):
                self._make_sure(name)

    def _make_sure(self, name: str) -> None:
        """Whom the policy cannot choose after all does not serve. A server that stops leaves that to the next start."""
        if self._variants.has_arm(name) or self._variants.is_closed:
            return
        reason = f"it cannot be run: {self._why_not(name)}"
        self._befell(name, Ordered(promote=False, reason=reason))

    def _why_not(self, variant: str) -> str:
        failed = self._parts.residency.failed.items()
        return next(
            (reason for arm, reason in failed if arm.variant == variant), "no runtime runs it"
        )

    def _carry_out(self, name: str, verdict: Verdict) -> None:
        measurement = (
            self._measurement
            if self._measurement and self._measurement.variant.name == name
            else None
        )
        plain = [v for v in self.known.variants if not v.candidate]
        serving = [*plain, *self.stages.promoted()]
        if serving and tuple(serving) != self._variants.family.variants:
            measured = (
                measurement.arms
                if measurement and measurement.is_done and measurement.holds
                else ()
            )
            self._variants.serve(serving, measured)
        if measurement and isinstance(verdict, Promote):
            self._measurement = None  # its arms serve now
        elif measurement:
            self._end_measurement()

    def _end_measurement(self) -> None:
        if self._measurement is not None:
            self._measurement.close()
        self._measurement = None

    def _is_at(self, name: str, stage: type[Profiling | Trial | Promoted]) -> bool:
        entry = self.stages.entries.get(name)
        return entry is not None and isinstance(entry.life.stage, stage)

    def _runnable(self, name: str) -> RunnableArm | None:
        """Where the candidate can be run: on trial on its own arm, promoted where it serves."""
        if self._is_at(name, Promoted):
            return self._parts.serving(self._variants.family, name)
        mine = self.foreseen(name)
        if self._measurement is None or not mine:
            return None
        best = self._measurement.best
        table = next(t for t in mine if t.arm == best.way.arm)
        claim, foreseen_s = self.stages.entries[name].life.claim, self._parts.knowledge.foreseen_s
        return RunnableArm(table, claim, best.loaded.backend, partial(foreseen_s, best.table))

    def _check(self, name: str, order: Ordered) -> None:
        """Raises UnknownModel or BadInput."""
        check(name, order, self.known, self.stages.entries, self._variants.family)
