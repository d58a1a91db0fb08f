"""Whatever the scores, handing over is rare and never to a worse candidate."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from server.policy.rehearsal.contest import Contest, ContestRules, judge

NAMES = ("calm", "burst", "drain")
scores = st.fixed_dictionaries({name: st.floats(0.0, 1.0) for name in NAMES})


@given(st.lists(scores, max_size=12))
def test_who_takes_over_leads_by_the_margin_in_that_window(windows: list[dict[str, float]]):
    rules, contest = ContestRules(), Contest("calm")

    for window in windows:
        before = contest.in_force
        contest, _ = judge(contest, window, rules)
        if contest.in_force != before:
            assert window[contest.in_force] - window[before] >= rules.margin


@given(scores)
def test_a_load_that_does_not_change_is_settled_after_one_change(window: dict[str, float]):
    contest, forces = Contest("calm"), ["calm"]

    for _ in range(12):
        contest, _ = judge(contest, window)
        forces.append(contest.in_force)

    changes = sum(a != b for a, b in pairwise(forces))
    assert changes <= 1
    assert max(window.values()) - window[forces[-1]] < ContestRules().margin


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12), st.floats(0.0, 0.0019))
def test_leads_within_the_noise_never_hand_over(levels: list[float], lead: float):
    contest = Contest("calm")

    for level in levels:
        contest, _ = judge(contest, {"calm": level, "burst": level + lead})

    assert contest.in_force == "calm"
