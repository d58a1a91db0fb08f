"""Every candidate of one family and how far it has come: read by anybody, written on the tuner's thread."""

import logging
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from math import inf

from models.catalog import Variant
from server.metrics import FamilyMetrics
from server.policy.candidates import promotion
from server.policy.candidates.candidacy import (
    Claim,
    Event,
    Life,
    Postponed,
    Profiling,
    Promoted,
    Rejected,
    RolledBack,
    Stage,
    Trial,
    TrialRules,
    Verdict,
)
from server.runtime.candidates.verdicts import (
    StoredVerdict,
    Verdicts,
    clock_in,
    seconds_until,
)

_log = logging.getLogger(__name__)

NAMES: Mapping[type[Stage], str] = {
    Profiling: "profiling",
    Trial: "trial",
    Promoted: "promoted",
    Postponed: "postponed",
    Rejected: "rejected",
    RolledBack: "rolled_back",
}
"""Of the stages, as operators and metrics read them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A candidate and its life."""

    variant: Variant
    life: Life


class Stages:
    """`entries` by the variant's name: a value, swapped whole."""

    def __init__(
        self, family: str, verdicts: Verdicts, rules: TrialRules, metrics: FamilyMetrics
    ) -> None:
        self.entries: Mapping[str, Candidate] = {}
        self._family = family
        self._verdicts = verdicts
        self._rules = rules
        self._metrics = metrics
        metrics.may_be_tried(NAMES.values())

    def hold(self, candidates: Iterable[Variant], fingerprint: str) -> None:
        """These are the candidates now. One that is known goes on; what was found of a new one before is looked up."""
        entries: dict[str, Candidate] = {}
        for variant in candidates:
            known = self.entries.get(variant.name)
            if known is not None and known.variant.content == variant.content:
                life = replace(known.life, claim=_claim(variant))
            else:
                stage, postponed = self._found(variant, fingerprint)
                life = Life(_claim(variant), stage, self._rules, postponed)
                text = "%s: candidate %s (accuracy %.4f, as its publisher says): %s"
                _log.info(
                    text, self._family, variant.name, variant.accuracy.value, text_of(life.stage)
                )
            entries[variant.name] = Candidate(variant, life)
        self._set(entries)

    def promoted(self) -> list[Variant]:
        """Those that serve."""
        return [e.variant for e in self.entries.values() if isinstance(e.life.stage, Promoted)]

    def step(self, name: str, event: Event) -> tuple[Verdict, ...]:
        """What an event changes; the verdicts are for the caller to carry out, and then to `keep`."""
        entry = self.entries[name]
        life, verdicts = promotion.step(entry.life, event, time.monotonic())
        self._set({**self.entries, name: replace(entry, life=life)})
        return verdicts

    def keep(self, name: str, fingerprint: str) -> None:
        """Remember beyond this process how far the candidate has come, and say so."""
        entry = self.entries[name]
        stage, variant = entry.life.stage, entry.variant
        kind, tally = NAMES[type(stage)], promotion.tally_of(stage)
        self._metrics.judged(kind)
        level = logging.INFO if isinstance(stage, Promoted | Postponed) else logging.WARNING
        _log.log(level, "%s: candidate %s: %s", self._family, name, text_of(stage))
        again_in_s = stage.again_s - time.monotonic() if isinstance(stage, Postponed) else None
        verdict = StoredVerdict(
            fingerprint=fingerprint,
            variant=name,
            sha256=variant.content,
            kind=kind,
            reason=reason_of(stage),
            compared=round(tally.rows),
            agreed=round(tally.agreed),
            by_hand=isinstance(stage, Promoted) and stage.by_hand,
            again_at="" if again_in_s is None else clock_in(again_in_s),
            postponed=entry.life.postponed,
        )
        self._verdicts.keep(verdict)

    def _found(self, variant: Variant, fingerprint: str) -> tuple[Stage, int]:
        """How far it had come when it was last judged here, and how often it was postponed; who had been promoted is
        watched anew, who is postponed is tried again when it would have been."""
        kept = self._verdicts.find(fingerprint, variant)
        if kept is None:
            return Profiling(), 0
        tally, now_s = promotion.Tally(), time.monotonic()
        match kept.kind:
            case "promoted":
                until_s = -inf if kept.by_hand else now_s + self._rules.probation_s
                return Promoted(until_s, kept.reason, by_hand=kept.by_hand), kept.postponed
            case "postponed":
                most_s = (
                    promotion.AGAIN_MOST * self._rules.probation_s
                )  # the clock may have been set
                again_s = now_s + min(seconds_until(kept.again_at), most_s)
                return Postponed(kept.reason, again_s), kept.postponed
            case "rejected":
                return Rejected(kept.reason, tally), 0
            case _:
                return RolledBack(kept.reason, tally), 0

    def _set(self, entries: Mapping[str, Candidate]) -> None:
        self.entries = entries
        counts = Counter(NAMES[type(e.life.stage)] for e in entries.values())
        self._metrics.candidates({name: counts[name] for name in NAMES.values()})


def text_of(stage: Stage) -> str:
    """In words, for the log."""
    reason = reason_of(stage)
    again = ""
    if isinstance(stage, Postponed):
        again = f"; it is tried again in {max(0.0, stage.again_s - time.monotonic()):.0f} s"
    return NAMES[type(stage)].replace("_", " ") + (f": {reason}" if reason else "") + again


def reason_of(stage: Stage) -> str:
    """Why it is at this stage; empty where that needs no saying."""
    return stage.reason if isinstance(stage, Promoted | Postponed | Rejected | RolledBack) else ""


def _claim(variant: Variant) -> Claim:
    return Claim(variant.accuracy.value, variant.accuracy.interval)
