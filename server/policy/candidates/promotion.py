"""A candidate's life: measured, tried on live rows, promoted or not, and watched for a while when it is. Pure.

A frozen life and an event in, the life after it and verdicts out. The shell measures, compares and carries out.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import inf
from statistics import median

from server.policy.arms.retune import Known
from server.policy.candidates import agreement, frontier
from server.policy.candidates.agreement import Tally
from server.policy.candidates.candidacy import (
    Compared,
    Event,
    Life,
    Looked,
    Offended,
    Ordered,
    Profiling,
    Promote,
    Promoted,
    Reject,
    Rejected,
    RollBack,
    RolledBack,
    Stage,
    Timed,
    Trial,
    Unusable,
    Verdict,
)
from server.policy.decision import ArmProfile

OBVIOUS = frozenset({"failed", "flaky", "hung"})
"""Troubles that no hiccup of a machine looks like. Of the others the second counts: after the first a probe tells."""
STRIKES = 3  # looks in a row that find it behind the frontier, before that is believed: speeds move by themselves
HYSTERESIS = 1.15
"""A promoted candidate is behind only if it were so being this many times faster: by as much a speed may be off."""
RECENT_S = 10.0  # within which (s) an arm must have run to count against one on probation
TIMED = 8  # undisturbed runs from which on their median, not the profile, says how fast a candidate on trial is

Step = tuple[
    Life, tuple[Verdict, ...]
]  # the life after an event, and what is to be done; mostly nothing


def seen(known: Known, variant: str, now_s: float) -> Looked:
    """A look at a variant that serves. Arms that did not run lately may look faster than they are now: left out."""
    last = known.last
    others = [arm for arm in known.effective if arm.variant != variant]
    mine = [arm for arm in known.effective if arm.variant == variant]
    lately = [arm for arm in others if arm in last and last[arm].ended_s > now_s - RECENT_S]
    return Looked(
        [known.effective[arm] for arm in mine],
        [known.effective[arm] for arm in lately],
        [known.profiled[arm] for arm in mine],
        [known.profiled[arm] for arm in others],
    )


def is_watched(stage: Stage, now_s: float) -> bool:
    """Whether live rows are to be compared: on trial, or promoted not long ago."""
    lately = isinstance(stage, Promoted) and now_s < stage.watched_until_s
    return lately or isinstance(stage, Trial)


def tally_of(stage: Stage) -> Tally:
    """What live rows have told so far."""
    return Tally() if isinstance(stage, Profiling) else stage.tally


def step(life: Life, event: Event, now_s: float) -> Step:
    """The life after `event`. An event that does not concern its stage changes nothing."""
    if isinstance(event, Ordered):
        return _ordered(life, event)
    match life.stage:
        case Profiling():
            return _profiling(life, event)
        case Trial() as trial:
            return _trial(life, trial, event, now_s)
        case Promoted() as promoted if now_s < promoted.watched_until_s:
            return _promoted(life, promoted, event)
        case _:
            return life, ()


def _ordered(life: Life, order: Ordered) -> Step:
    """The operator's word stands: no probation after it."""
    if order.promote:
        reason = order.reason or "promoted by hand"
        stage = Promoted(-inf, reason, by_hand=True, tally=tally_of(life.stage))
        return replace(life, stage=stage), (Promote(reason),)
    return _rolled_back(life, order.reason or "rolled back by hand")


def _profiling(life: Life, event: Event) -> Step:
    match event:
        case Unusable(reason):
            return _rejected(life, reason)
        case Looked():
            cover = _covered(life, event.mine, event.others)
            if cover is not None:
                return _rejected(life, f"does not move the frontier: {cover.text()}")
            return replace(life, stage=Trial()), ()
        case _:
            return life, ()


def _trial(life: Life, trial: Trial, event: Event, now_s: float) -> Step:
    match event:
        case Unusable(reason):
            return _rejected(life, reason)
        case Timed(ratio):
            return replace(
                life, stage=replace(trial, ratios=(*trial.ratios, ratio)[-2 * TIMED :])
            ), ()
        case Compared():
            trial = replace(trial, tally=_tallied(life, trial.tally, event))
            life = replace(life, stage=trial)
            contradiction = _contradiction(life, trial.tally)
            return _rejected(life, contradiction) if contradiction else (life, ())
        case Looked():
            return _looked_at_trial(life, trial, event, now_s)
        case _:
            return life, ()


def _looked_at_trial(life: Life, trial: Trial, look: Looked, now_s: float) -> Step:
    factor = max(1.0, median(trial.ratios)) if len(trial.ratios) >= TIMED else 1.0
    cover = _covered(life, [frontier.slowed(arm, factor) for arm in look.mine], look.others)
    if cover is not None:
        if trial.strikes + 1 >= STRIKES:
            return _rejected(life, f"does not move the frontier at its live speed: {cover.text()}")
        return replace(life, stage=replace(trial, strikes=trial.strikes + 1)), ()
    if trial.tally.rows < life.rules.least_rows:
        return replace(life, stage=replace(trial, strikes=0)), ()
    until_s = now_s + life.rules.probation_s
    reason = f"moves the frontier; ran on {trial.tally.rows:.0f} live rows"
    return replace(life, stage=Promoted(until_s, reason, tally=trial.tally)), (Promote(reason),)


def _promoted(life: Life, promoted: Promoted, event: Event) -> Step:
    match event:
        case Offended(reason):
            offences = promoted.offences + 1
            if reason in OBVIOUS or offences > 1:
                return _rolled_back(life, f"its arm was taken out of use: {reason}")
            return replace(life, stage=replace(promoted, offences=offences)), ()
        case Compared():
            promoted = replace(promoted, tally=_tallied(life, promoted.tally, event))
            life = replace(life, stage=promoted)
            contradiction = _contradiction(life, promoted.tally)
            return _rolled_back(life, contradiction) if contradiction else (life, ())
        case Looked():
            return _looked_at_promoted(life, promoted, event)
        case _:
            return life, ()


def _looked_at_promoted(life: Life, promoted: Promoted, look: Looked) -> Step:
    """Behind by its speed now, though not by its profile: whom a better one overtakes has not fallen short."""
    faster = [frontier.slowed(arm, 1.0 / HYSTERESIS) for arm in look.mine]
    cover = _covered(life, faster, look.others)
    if cover is None or _covered(life, look.mine_profiled, look.others_profiled) is not None:
        return replace(life, stage=replace(promoted, strikes=0)), ()
    if promoted.strikes + 1 < STRIKES:
        return replace(life, stage=replace(promoted, strikes=promoted.strikes + 1)), ()
    return _rolled_back(life, f"slower than its profile and off the frontier: {cover.text()}")


def _covered(
    life: Life, mine: Sequence[ArmProfile], others: Sequence[ArmProfile]
) -> frontier.Cover | None:
    return frontier.covered(mine, frontier.gain_of(life.claim.interval), others)


def _tallied(life: Life, tally: Tally, event: Compared) -> Tally:
    """Where accuracies are uncertain, their lower ends are what must hold."""
    if event.agreed is None:
        return agreement.added(tally, event.rows, event.rows, 0.0)
    mine, other = (c.accuracy - c.interval for c in (life.claim, event.other))
    return agreement.added(tally, event.rows, event.agreed, agreement.least(mine, other))


def _contradiction(life: Life, tally: Tally) -> str:
    """Why its accuracy cannot hold on live rows; empty where it may."""
    if not agreement.is_contradicted(tally, life.rules.least_rows):
        return ""
    return (
        f"its accuracy does not hold on live rows: it agrees on {tally.agreed / tally.rows:.1%} of {tally.rows:.0f} "
        f"with what was served, its accuracy says {tally.due / tally.rows:.1%} at least"
    )


def _rejected(life: Life, reason: str) -> Step:
    return replace(life, stage=Rejected(reason, tally_of(life.stage))), (Reject(reason),)


def _rolled_back(life: Life, reason: str) -> Step:
    return replace(life, stage=RolledBack(reason, tally_of(life.stage))), (RollBack(reason),)
