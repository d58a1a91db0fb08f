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
    Profiling,
    Promoted,
    Rejected,
    RolledBack,
    Stage,
    Trial,
    TrialRules,
    Verdict,
)
from server.runtime.candidates.verdicts import StoredVerdict, Verdicts

_log = logging.getLogger(__name__)

NAMES: Mapping[type[Stage], str] = {
    Profiling: "profiling",
    Trial: "trial",
    Promoted: "promoted",
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
                life = Life(_claim(variant), self._found(variant, fingerprint), self._rules)
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
        level = logging.INFO if isinstance(stage, Promoted) else logging.WARNING
        _log.log(level, "%s: candidate %s: %s", self._family, name, text_of(stage))
        verdict = StoredVerdict(
            fingerprint=fingerprint,
            variant=name,
            sha256=variant.content,
            kind=kind,
            reason=reason_of(stage),
            compared=round(tally.rows),
            agreed=round(tally.agreed),
            by_hand=isinstance(stage, Promoted) and stage.by_hand,
        )
        self._verdicts.keep(verdict)

    def _found(self, variant: Variant, fingerprint: str) -> Stage:
        """How far it had come when it was last judged here; who had been promoted is watched anew."""
        kept = self._verdicts.find(fingerprint, variant)
        if kept is None:
            return Profiling()
        tally = promotion.Tally()
        match kept.kind:
            case "promoted":
                until_s = -inf if kept.by_hand else time.monotonic() + self._rules.probation_s
                return Promoted(until_s, kept.reason, by_hand=kept.by_hand)
            case "rejected":
                return Rejected(kept.reason, tally)
            case _:
                return RolledBack(kept.reason, tally)

    def _set(self, entries: Mapping[str, Candidate]) -> None:
        self.entries = entries
        counts = Counter(NAMES[type(e.life.stage)] for e in entries.values())
        self._metrics.candidates({name: counts[name] for name in NAMES.values()})


def text_of(stage: Stage) -> str:
    """In words, for the log."""
    reason = reason_of(stage)
    return NAMES[type(stage)].replace("_", " ") + (f": {reason}" if reason else "")


def reason_of(stage: Stage) -> str:
    """Why it is at this stage; empty where that needs no saying."""
    return stage.reason if isinstance(stage, Promoted | Rejected | RolledBack) else ""


def _claim(variant: Variant) -> Claim:
    return Claim(variant.accuracy.value, variant.accuracy.interval)
