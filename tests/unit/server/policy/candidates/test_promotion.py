"""What becomes of a candidate, by what befalls it."""

from dataclasses import replace
from math import inf, log

import pytest

from profiler.speed.state import LoneClaim, SpeedScale
from server.policy.arms import retune
from server.policy.candidates import promotion as p
from server.policy.candidates.agreement import Tally
from server.policy.candidates.candidacy import (
    Claim,
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
    Timed,
    Trial,
    TrialRules,
    Unusable,
    Verdict,
    Waited,
)
from server.policy.decision import Arm
from tests.support.builders import a_profile

SMALL, LARGE = a_profile("small", 0.7, 0.003), a_profile("large", 0.8, 0.012)
OTHERS = [SMALL, LARGE]
GOOD, SLOW = a_profile("new", 0.75, 0.006), a_profile("new", 0.75, 0.016)
REFERENCE = Claim(0.8)
RULES = TrialRules(least_rows=64, probation_s=600.0)
NEW = Life(Claim(0.75), rules=RULES)
ON_TRIAL = replace(NEW, stage=Trial())
SERVING = replace(NEW, stage=Promoted(600.0))
GOOD_LOOK = Looked([GOOD], OTHERS, [GOOD], OTHERS)
STRAINED_LOOK = GOOD_LOOK._replace(strain="others used 90%")
SLOW_LOOK = Looked([SLOW], OTHERS, [GOOD], OTHERS)
"""By its profile it leads; at the present speed it does not."""


def after(life: Life, *events: Event, now_s: float = 0.0) -> tuple[Life, list[Verdict]]:
    """The life after these events, and all verdicts."""
    verdicts: list[Verdict] = []
    for event in events:
        life, more = p.step(life, event, now_s)
        verdicts += more
    return life, verdicts


def rows(agreed: int, of: int = 8) -> Compared:
    """Rows compared with the reference: 0.55 of them must agree."""
    return Compared(of, agreed, REFERENCE)


def test_a_candidate_that_leads_by_its_profile_goes_on_trial():
    assert after(NEW, GOOD_LOOK) == (ON_TRIAL, [])


def test_a_dominated_candidate_is_rejected_and_told_by_whom():
    life, verdicts = after(NEW, Looked([SLOW], OTHERS))

    assert [type(v) for v in verdicts] == [Reject]
    assert isinstance(life.stage, Rejected)
    assert life.stage.reason.startswith("does not move the frontier: neither clearly more accurate")
    assert life.stage.reason.endswith("than large on scripted (cpu)")


@pytest.mark.parametrize("life", [NEW, ON_TRIAL])
def test_a_candidate_that_cannot_be_run_is_rejected(life: Life):
    life, verdicts = after(life, Unusable("no such operator"))

    assert verdicts == [Reject("no such operator")]
    assert life.stage == Rejected("no such operator")


def test_no_look_promotes_before_enough_rows_were_compared():
    life, verdicts = after(ON_TRIAL, *[rows(8)] * 7, *[GOOD_LOOK] * 50)
    assert (verdicts, type(life.stage)) == ([], Trial)

    life, verdicts = after(life, rows(8), GOOD_LOOK, now_s=5.0)
    assert [type(v) for v in verdicts] == [Promote]
    assert life.stage == Promoted(
        605.0, "moves the frontier; ran on 64 live rows", False, Tally(64, 64, pytest.approx(35.2))
    )


def test_an_idle_server_promotes_nobody():
    assert after(ON_TRIAL, *[GOOD_LOOK] * 100) == (ON_TRIAL, [])


def test_rows_that_disagree_reject_once_they_are_enough():
    _, early = after(ON_TRIAL, *[rows(2)] * 7)
    life, verdicts = after(ON_TRIAL, *[rows(2)] * 8, GOOD_LOOK)

    assert early == []
    assert [type(v) for v in verdicts] == [Reject]
    assert isinstance(life.stage, Rejected)
    assert "agrees on 25.0% of 64" in life.stage.reason
    assert "its accuracy says 55.0% at least" in life.stage.reason


def test_the_lower_ends_of_uncertain_accuracies_are_what_must_agree():
    doubtful = replace(ON_TRIAL, claim=Claim(0.75, 0.1))

    life, _ = after(doubtful, Compared(8, 8, Claim(0.8, 0.05)))

    assert p.tally_of(life.stage).due == pytest.approx(8 * (0.65 + 0.75 - 1.0))


def test_outputs_that_are_no_class_scores_only_have_to_be_given():
    _, verdicts = after(ON_TRIAL, *[Compared(8, None, REFERENCE)] * 8, GOOD_LOOK)

    assert [type(v) for v in verdicts] == [Promote]


def test_who_is_behind_at_the_present_speed_thrice_in_a_row_is_rejected():
    _, twice = after(ON_TRIAL, SLOW_LOOK, SLOW_LOOK, GOOD_LOOK, SLOW_LOOK, SLOW_LOOK)
    _, thrice = after(ON_TRIAL, SLOW_LOOK, SLOW_LOOK, SLOW_LOOK)

    assert twice == []
    assert [type(v) for v in thrice] == [Reject]


def test_live_runs_that_take_longer_than_foreseen_count_in_the_middle():
    slow = [Timed(3.0)] * p.TIMED
    _, by_all = after(ON_TRIAL, *slow, *[GOOD_LOOK] * p.STRIKES)
    _, by_few = after(ON_TRIAL, *slow[1:], *[GOOD_LOOK] * p.STRIKES)
    _, by_one = after(ON_TRIAL, *[Timed(1.0)] * p.TIMED, Timed(50.0), *[GOOD_LOOK] * p.STRIKES)
    fast, _ = after(NEW, GOOD_LOOK, *[Timed(0.1)] * p.TIMED, *[SLOW_LOOK] * p.STRIKES)

    assert [type(v) for v in by_all] == [Reject]
    assert (by_few, by_one) == ([], [])
    assert isinstance(fast.stage, Rejected)  # runs that were quick by chance do not make it faster


@pytest.mark.parametrize("reason", ["failed", "flaky", "hung"])
def test_an_obvious_trouble_rolls_back_at_once(reason: str):
    life, verdicts = after(SERVING, Offended(reason))

    assert verdicts == [RollBack(f"its arm was taken out of use: {reason}")]
    assert isinstance(life.stage, RolledBack)


def at(life: Life, *events: tuple[float, Event]) -> tuple[Life, list[Verdict]]:
    """The life after these events, each at its time (s), and all verdicts."""
    verdicts: list[Verdict] = []
    for now_s, event in events:
        life, more = p.step(life, event, now_s)
        verdicts += more
    return life, verdicts


@pytest.mark.parametrize("reason", ["slow", "overdue"])
def test_what_may_be_a_hiccup_counts_the_second_time_once_a_neighbour_would_be_known(reason: str):
    once = at(SERVING, (1.0, Offended(reason)), (9.0, GOOD_LOOK))[1]
    twice = (1.0, Offended(reason)), (5.0, Offended(reason))
    soon = at(SERVING, *twice, (6.0, GOOD_LOOK))[1]
    life, then = at(SERVING, *twice, (5.0 + RULES.settled_s, GOOD_LOOK))

    assert (once, soon) == ([], [])
    assert [type(v) for v in then] == [RollBack]
    assert isinstance(life.stage, RolledBack)


def test_two_hiccups_far_apart_are_none():
    events = [(100.0 * n, Offended("slow")) for n in range(5)]

    assert at(SERVING, *events, (499.0, GOOD_LOOK))[1] == []


def test_a_bad_probe_after_a_hiccup_counts():
    _, verdicts = at(
        SERVING, (1.0, Offended("slow")), (1.1, Offended("slow", stays=True)), (4.0, GOOD_LOOK)
    )

    assert [type(v) for v in verdicts] == [RollBack]


def test_on_a_strained_machine_hiccups_cost_a_candidate_nothing_until_they_are_many():
    few = [(1.0 + n, Offended("overdue")) for n in range(p.STRAINED_OFFENCES - 1)]
    many = [*few, (8.0, Offended("overdue"))]

    _, stays = at(SERVING, *few, (20.0, STRAINED_LOOK))
    life, verdicts = at(SERVING, *many, (20.0, STRAINED_LOOK))

    assert stays == []
    assert [type(v) for v in verdicts] == [Postpone]
    assert isinstance(life.stage, Postponed)
    assert life.stage.reason.endswith("; but others used 90%")


def test_who_is_slow_probe_after_probe_is_rolled_back_however_strained_the_machine_is():
    probes = [(1.1 + n, Offended("slow", stays=True)) for n in range(p.STRAINED_BAD_PROBES)]
    between = (3.05, STRAINED_LOOK)

    _, first = at(SERVING, (1.0, Offended("slow")), *probes[:-1], (20.0, STRAINED_LOOK))
    life, verdicts = at(SERVING, (1.0, Offended("slow")), *probes[:2], between, *probes[2:])

    assert first == []
    assert verdicts == [RollBack("its arm was taken out of use: slow")]
    assert isinstance(life.stage, RolledBack)


def test_a_good_probe_between_bad_ones_ends_the_row():
    row = [(1.0 + n, Offended("slow", stays=n % 3 > 0)) for n in range(30)]

    assert at(SERVING, *row)[1] == []


def test_who_falls_behind_on_a_strained_machine_is_tried_again_later_and_later():
    life, waits_s, now_s = SERVING, list[float](), 0.0
    for _ in range(10):
        slow = [(now_s + n, SLOW_LOOK._replace(strain="others used 90%")) for n in range(3)]
        life, verdicts = at(replace(life, stage=Promoted(inf)), *slow)
        assert [type(v) for v in verdicts] == [Postpone]
        assert isinstance(life.stage, Postponed)
        waits_s.append(life.stage.again_s - now_s - 2.0)
        now_s = life.stage.again_s
        early, _ = at(life, (now_s - 1.0, Waited()))
        again, _ = at(life, (now_s, Waited()))
        assert (early, again.stage) == (life, Profiling())

    assert waits_s[:3] == pytest.approx([60.0, 120.0, 240.0])
    assert max(waits_s) == pytest.approx(3600.0)


def test_who_is_covered_by_far_is_rejected_on_a_strained_machine_too():
    by_far = Looked([a_profile("new", 0.75, 0.09)], OTHERS, strain="others used 90%")
    a_little = Looked([SLOW], OTHERS, strain="others used 90%")

    assert [type(v) for v in after(NEW, by_far)[1]] == [Reject]
    assert [type(v) for v in after(NEW, a_little)[1]] == [Postpone]


@pytest.mark.parametrize(
    ("level", "claim", "strained"),
    [
        (log(1.2), None, False),
        (log(3.0), None, True),
        (log(3.0), LoneClaim(Arm("new", "scripted"), 0.0), False),
        (log(3.0), LoneClaim(Arm("large", "scripted"), 0.0), True),
    ],
)
def test_a_machine_that_is_slow_for_all_alike_is_strained(
    level: float, claim: LoneClaim | None, *, strained: bool
):
    known = retune.Known(speed=SpeedScale(level=level, claim=claim))

    assert bool(p.strain(known, "new", "")) is strained
    assert p.strain(known, "new", "others used 90%") == "others used 90%"


def test_who_becomes_slower_than_its_profile_and_falls_behind_is_rolled_back():
    _, twice = after(SERVING, SLOW_LOOK, SLOW_LOOK, GOOD_LOOK, SLOW_LOOK, SLOW_LOOK)
    life, thrice = after(SERVING, SLOW_LOOK, SLOW_LOOK, SLOW_LOOK)

    assert twice == []
    assert [type(v) for v in thrice] == [RollBack]
    assert isinstance(life.stage, RolledBack)
    assert life.stage.reason.startswith("slower than its profile and off the frontier: neither")


def test_who_is_a_little_slower_than_the_next_stays():
    little = Looked([a_profile("new", 0.75, 0.0125)], OTHERS, [GOOD], OTHERS)

    assert after(SERVING, *[little] * 10) == (SERVING, [])


def test_who_is_overtaken_by_a_better_one_has_not_fallen_short():
    better = [*OTHERS, a_profile("better", 0.79, 0.003)]

    assert after(SERVING, *[Looked([GOOD], better, [GOOD], better)] * 10) == (SERVING, [])


def test_answers_that_begin_to_disagree_roll_back():
    agreeing, verdicts = after(SERVING, *[rows(8)] * 8)
    _, later = after(agreeing, *[rows(0)] * 30)

    assert verdicts == []
    assert [type(v) for v in later] == [RollBack]


@pytest.mark.parametrize("event", [Offended("failed"), SLOW_LOOK, rows(0, 640)])
def test_after_its_probation_nothing_rolls_it_back_but_an_operator(event: Event):
    assert after(SERVING, *[event] * 5, now_s=600.0) == (SERVING, [])

    assert after(SERVING, Ordered(promote=False), now_s=600.0)[1] == [
        RollBack("rolled back by hand")
    ]


@pytest.mark.parametrize(
    "stage",
    [Profiling(), Trial(), Promoted(600.0), Postponed("x", 9.0), Rejected("x"), RolledBack("x")],
)
def test_an_operators_promotion_stands_and_is_not_watched(stage: p.Stage):
    life, verdicts = after(replace(NEW, stage=stage), Ordered(promote=True))
    later, more = after(life, Offended("failed"), *[SLOW_LOOK] * 5, rows(0, 640))

    assert verdicts == [Promote("promoted by hand")]
    assert life.stage == Promoted(-inf, "promoted by hand", by_hand=True)
    assert not p.is_watched(life.stage, 0.0)
    assert (later, more) == (life, [])


@pytest.mark.parametrize("stage", [Rejected("x"), RolledBack("x")])
@pytest.mark.parametrize("event", [GOOD_LOOK, rows(8, 640), Unusable("y"), Timed(1.0)])
def test_a_verdict_is_final(stage: p.Stage, event: Event):
    life = replace(NEW, stage=stage)

    assert after(life, event) == (life, [])


def test_arms_that_have_not_run_lately_do_not_count_against_it():
    known = retune.with_arms(retune.Known(), [GOOD, SMALL, LARGE])
    for arm, at_s in ((SMALL, 1.0), (LARGE, 20.0)):
        known, _ = retune.observe(known, retune.LatencySample(arm.arm, 1, 0.003, 0.003, at_s))

    look = p.seen(known, "new", 21.0)

    assert [one.arm.variant for one in look.mine] == ["new"]
    assert [one.arm.variant for one in look.others] == ["large"]
    assert look.mine_profiled == [GOOD]
    assert look.others_profiled == [SMALL, LARGE]
