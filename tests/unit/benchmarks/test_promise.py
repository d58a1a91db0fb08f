"""Who keeps the promise, and who is compared with whom."""

import pytest

from benchmarks.policies import promise
from benchmarks.policies.policies_run import Figures


def delivered(attainment: float, accuracy: float = 0.8) -> Figures:
    """What a policy delivered."""
    return {
        "awg": attainment * accuracy,
        "attainment": attainment,
        "accuracy": accuracy,
        "late": 0,
    }


def test_the_promise_is_kept_down_to_two_tenths_of_a_point_below_the_percentile():
    assert promise.keeps(delivered(0.988))
    assert not promise.keeps(delivered(0.9879))


def test_rivals_are_those_that_keep_the_promise_wherever_any_does():
    references = {"keeps": delivered(0.99, 0.7), "breaks": delivered(0.95, 0.9)}

    assert promise.rivals(delivered(0.99), references) == ("keeps",)
    assert promise.rivals(delivered(0.90), references) == ("keeps",)


def test_all_are_rivals_where_nobody_keeps_it_and_none_is_where_only_ours_does():
    references = {"a": delivered(0.95), "b": delivered(0.90)}

    assert promise.rivals(delivered(0.94), references) == ("a", "b")
    assert promise.rivals(delivered(0.99), references) == ()


def test_the_best_fixed_variant_is_the_most_accurate_that_keeps_the_percentile_in_full():
    references = {
        "static:small": delivered(1.0, 0.70),
        "fixed:middle+nexus": delivered(0.99, 0.75),
        "static:nearly": delivered(0.989, 0.78),
        "ramsis": delivered(1.0, 0.80),
    }

    assert promise.best_fixed(references) == "fixed:middle+nexus"
    assert promise.best_fixed({"ramsis": delivered(1.0)}) is None


@pytest.mark.parametrize(
    ("attainment", "accuracy", "verdict"),
    [
        (0.988, 0.75, "kept"),
        (0.995, 0.7496, "kept"),
        (0.995, 0.749, "less accurate"),
        (0.987, 0.80, "broken"),
    ],
)
def test_beside_a_fixed_variant_that_keeps_it_ours_must_keep_it_and_be_as_accurate(
    attainment: float, accuracy: float, verdict: str
):
    references = {"static:v": delivered(0.991, 0.75)}

    assert promise.verdict(delivered(attainment, accuracy), references) == verdict


def test_a_promise_that_any_policy_keeps_can_be_broken_and_one_that_none_keeps_cannot():
    assert promise.verdict(delivered(0.9), {"ramsis": delivered(0.99)}) == "broken"
    assert promise.verdict(delivered(0.9), {"ramsis": delivered(0.95)}) == "none can"
    assert promise.verdict(delivered(0.99), {"ramsis": delivered(0.95)}) == "alone"
