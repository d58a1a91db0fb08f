"""A challenger takes over when it leads for long or by far, and not before."""

import pytest

from server.policy.rehearsal.contest import Contest, ContestRules, judge

RULES = ContestRules(margin=0.002, windows=3, at_once=0.02)


def judged(contest: Contest, *windows: dict[str, float]) -> tuple[Contest, list[str]]:
    """The contest after these windows, and the reasons given."""
    reasons: list[str] = []
    for scores in windows:
        contest, verdict = judge(contest, scores, RULES)
        reasons.append(verdict.reason)
    return contest, reasons


def test_a_steady_lead_takes_over_in_the_third_window():
    window = {"calm": 0.800, "burst": 0.805}

    contest, reasons = judged(Contest("calm"), window, window, window)

    assert contest == Contest("burst")
    assert reasons == ["leading", "leading", "steady"]


def test_one_window_without_the_lead_starts_the_count_again():
    ahead, even = {"calm": 0.800, "burst": 0.805}, {"calm": 0.800, "burst": 0.801}

    contest, reasons = judged(Contest("calm"), ahead, ahead, even, ahead, ahead)

    assert contest.in_force == "calm"
    assert reasons == ["leading", "leading", "close", "leading", "leading"]


def test_a_large_lead_takes_over_at_once():
    contest, verdict = judge(Contest("calm"), {"calm": 0.70, "burst": 0.73}, RULES)

    assert (contest.in_force, verdict.reason) == ("burst", "far_ahead")
    assert verdict.lead == pytest.approx(0.03)


def test_two_challengers_that_take_turns_in_front_both_keep_their_counts():
    a_first, b_first = {"calm": 0.8, "a": 0.806, "b": 0.804}, {"calm": 0.8, "a": 0.804, "b": 0.806}

    contest, _ = judged(Contest("calm"), a_first, b_first, a_first)

    assert contest.in_force == "a"


def test_the_best_in_force_stays():
    contest, verdict = judge(Contest("calm"), {"calm": 0.81, "burst": 0.80}, RULES)

    assert (contest, verdict.reason, verdict.lead) == (Contest("calm"), "best", 0.0)


def test_one_that_is_no_candidate_any_more_gives_way_to_the_best():
    contest, verdict = judge(Contest("removed"), {"calm": 0.8, "burst": 0.81}, RULES)

    assert (contest.in_force, verdict.reason) == ("burst", "gone")


def test_no_scores_are_refused():
    with pytest.raises(ValueError, match="no scores"):
        judge(Contest("calm"), {}, RULES)
