"""A candidate's life: measured, tried on live rows, promoted or not, and watched for a while when it is. Pure.

A frozen life and an event in, the life after it and verdicts out. The shell measures, compares and carries out.

A verdict against a candidate is final where the fault is its own: it fails, hangs, disagrees, or is too slow on a
machine that gives what it gave when it was measured. Where the machine is strained, being slow is put down to that: the
candidate is let go for a while at most, and tried again, unless probe after probe of its own time shows it slow.
"""

from collections.abc import Sequence
from dataclasses import replace
from math import exp, inf, log
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
    Postpone,
    Postponed,
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
    TrialRules,
    Unusable,
    Verdict,
    Waited,
)
from server.policy.decision import ArmProfile

OBVIOUS = frozenset({"failed", "flaky", "hung"})
"""Troubles that no hiccup of a machine looks like."""
OFFENCES, STRAINED_OFFENCES = 2, 6
"""So many times out of use for slowness within OFFENCES_WITHIN_SLOS count, the machine being as usual or strained."""
BAD_PROBES, STRAINED_BAD_PROBES = 1, 5
"""And so many bad probes in a row: the quarantine's times between them double, so that a burst cannot spoil five."""
OFFENCES_WITHIN_SLOS = 1200.0
"""In latency bounds: by them the quarantine says what is slow and how soon an arm may offend again."""
AGAIN_SHARE, AGAIN_MOST = 0.1, 6.0
"""A postponed candidate is tried again after this share of its probation; each time doubles it, up to this multiple."""
STRAINED_FACTOR = 1.5
"""Speeds that are compared on a strained machine may be off by this much."""
STRAINED_LEVEL = 1.5
"""A machine this many times slower than it was measured, for all arms alike, is strained."""
STRIKES = 3  # looks in a row that find it behind the frontier, before that is believed: speeds move by themselves
HYSTERESIS = 1.15
"""A promoted candidate is behind only if it were so being this many times faster: by as much a speed may be off."""
RECENT_SLOS = 200.0
"""Within so many latency bounds an arm must have run to count against one on probation: what is believed of others has
begun to fade (`retune`)."""
TIMED = 8  # undisturbed runs from which on their median, not the profile, says how fast a candidate on trial is

Step = tuple[
    Life, tuple[Verdict, ...]
]  # the life after an event, and what is to be done; mostly nothing


def strain(known: Known, variant: str, shared: str) -> str:
    """What keeps the machine from being what it was when the arms were measured, in words; empty where nothing does.

    `shared`: who else has the processor, if that was noticed. A level that rests on the word of the variant's own arms
    is no sign of the machine.
    """
    speed = known.speed
    claimed = speed.claim is not None and getattr(speed.claim.key, "variant", "") == variant
    level = speed.claim.level if speed.claim is not None and claimed else speed.level
    slower = f"every arm takes {exp(level):.1f} times as long as measured"
    return shared or (slower if level >= log(STRAINED_LEVEL) else "")


def again_after_s(life: Life) -> float:
    """How long (s) a candidate that is postponed now waits to be tried again."""
    share = min(AGAIN_MOST, AGAIN_SHARE * 2.0**life.postponed)
    return share * life.rules.probation_s


def seen(known: Known, variant: str, now_s: float, shared: str = "") -> Looked:
    """A look at a variant that serves. Arms that did not run lately may look faster than they are now: left out."""
    last = known.last
    others = [arm for arm in known.effective if arm.variant != variant]
    mine = [arm for arm in known.effective if arm.variant == variant]
    since_s = now_s - RECENT_SLOS * known.slo_s
    lately = [arm for arm in others if arm in last and last[arm].ended_s > since_s]
    return Looked(
        [known.effective[arm] for arm in mine],
        [known.effective[arm] for arm in lately],
        [known.profiled[arm] for arm in mine],
        [known.profiled[arm] for arm in others],
        strain(known, variant, shared),
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
            return _profiling(life, event, now_s)
        case Trial() as trial:
            return _trial(life, trial, event, now_s)
        case Promoted() as promoted if now_s < promoted.watched_until_s:
            return _promoted(life, promoted, event, now_s)
        case Postponed(_, again_s) if isinstance(event, Waited) and now_s >= again_s:
            return replace(life, stage=Profiling()), ()
        case _:
            return life, ()


def _ordered(life: Life, order: Ordered) -> Step:
    """The operator's word stands: no probation after it."""
    if order.promote:
        reason = order.reason or "promoted by hand"
        stage = Promoted(-inf, reason, by_hand=True, tally=tally_of(life.stage))
        return replace(life, stage=stage), (Promote(reason),)
    return _rolled_back(life, order.reason or "rolled back by hand")


def _profiling(life: Life, event: Event, now_s: float) -> Step:
    match event:
        case Unusable(reason):
            return _rejected(life, reason)
        case Looked():
            cover = _covered(life, event.mine, event.others)
            if cover is not None:
                reason = f"does not move the frontier: {cover.text()}"
                return _slow(life, reason, _excuse(life, event.mine, event), now_s, Reject)
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
    mine = [frontier.slowed(arm, factor) for arm in look.mine]
    cover = _covered(life, mine, look.others)
    if cover is not None:
        if trial.strikes + 1 >= STRIKES:
            reason = f"does not move the frontier at its live speed: {cover.text()}"
            return _slow(life, reason, _excuse(life, mine, look), now_s, Reject)
        return replace(life, stage=replace(trial, strikes=trial.strikes + 1)), ()
    if trial.tally.rows < life.rules.least_rows:
        return replace(life, stage=replace(trial, strikes=0)), ()
    until_s = now_s + life.rules.probation_s
    reason = f"moves the frontier; ran on {trial.tally.rows:.0f} live rows"
    return replace(life, stage=Promoted(until_s, reason, tally=trial.tally)), (Promote(reason),)


def _promoted(life: Life, promoted: Promoted, event: Event, now_s: float) -> Step:
    match event:
        case Offended():
            return _offended(life, promoted, event, now_s)
        case Compared():
            promoted = replace(promoted, tally=_tallied(life, promoted.tally, event))
            life = replace(life, stage=promoted)
            contradiction = _contradiction(life, promoted.tally)
            return _rolled_back(life, contradiction) if contradiction else (life, ())
        case Looked():
            return _looked_at_promoted(life, promoted, event, now_s)
        case _:
            return life, ()


def _offended(life: Life, promoted: Promoted, offence: Offended, now_s: float) -> Step:
    """What no hiccup looks like, and a row of bad probes, counts at once; other slowness at a later look."""
    reason = f"its arm was taken out of use: {offence.reason}"
    if offence.reason in OBVIOUS:
        return _rolled_back(life, reason)
    since_s = now_s - OFFENCES_WITHIN_SLOS * life.rules.slo_s
    offences = (*(at_s for at_s in promoted.offences if at_s > since_s), now_s)
    if not offence.stays:
        return replace(life, stage=replace(promoted, offences=offences, bad_probes=0)), ()
    bad_probes = promoted.bad_probes + 1
    if bad_probes >= STRAINED_BAD_PROBES:
        return _rolled_back(life, reason)
    offences = promoted.offences or offences
    return replace(life, stage=replace(promoted, offences=offences, bad_probes=bad_probes)), ()


def _looked_at_promoted(life: Life, promoted: Promoted, look: Looked, now_s: float) -> Step:
    """Behind by its speed now, though not by its profile: whom a better one overtakes has not fallen short."""
    if _counts(life.rules, promoted, look.strain, now_s):
        reason = "its arm was taken out of use: slow or overdue again and again"
        return _slow(life, reason, look.strain, now_s, RollBack)
    faster = [frontier.slowed(arm, 1.0 / HYSTERESIS) for arm in look.mine]
    cover = _covered(life, faster, look.others)
    if cover is None or _covered(life, look.mine_profiled, look.others_profiled) is not None:
        return replace(life, stage=replace(promoted, strikes=0)), ()
    if promoted.strikes + 1 < STRIKES:
        return replace(life, stage=replace(promoted, strikes=promoted.strikes + 1)), ()
    reason = f"slower than its profile and off the frontier: {cover.text()}"
    return _slow(life, reason, _excuse(life, look.mine, look), now_s, RollBack)


def _counts(rules: TrialRules, promoted: Promoted, strain: str, now_s: float) -> bool:
    """Whether what the quarantine has told is enough against a candidate."""
    since_s = now_s - OFFENCES_WITHIN_SLOS * rules.slo_s
    lately = [at_s for at_s in promoted.offences if at_s > since_s]
    if not lately or now_s - lately[-1] < rules.settled_s:
        return False
    if strain:
        return len(lately) >= STRAINED_OFFENCES
    return len(lately) >= OFFENCES or promoted.bad_probes >= BAD_PROBES


def _excuse(life: Life, mine: Sequence[ArmProfile], look: Looked) -> str:
    """What the machine's strain may have to do with it that others cover `mine`: nothing, where they do by far."""
    faster = [frontier.slowed(arm, 1.0 / STRAINED_FACTOR) for arm in mine]
    return "" if _covered(life, faster, look.others) is not None else look.strain


def _slow(
    life: Life, reason: str, strain: str, now_s: float, final: type[Reject | RollBack]
) -> Step:
    """Too slow to serve: final, unless the machine is strained."""
    if not strain:
        return _rejected(life, reason) if final is Reject else _rolled_back(life, reason)
    reason = f"{reason}; but {strain}"
    stage = Postponed(reason, now_s + again_after_s(life), tally_of(life.stage))
    return replace(life, stage=stage, postponed=life.postponed + 1), (Postpone(reason),)


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
