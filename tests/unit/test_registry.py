"""Policies by name and the fixed baselines."""

import pytest

from server.policy.choose import adaptive
from server.policy.decision import Run
from server.policy.registry import policy
from tests.builders import an_outlook, three_arms, tickets


def test_the_adaptive_policy_goes_by_its_name():
    assert policy("adaptive") is adaptive


@pytest.mark.parametrize(("name", "variant"), [("largest", "large"), ("static:small", "small")])
def test_a_fixed_policy_runs_its_variant_whatever_the_load(name: str, variant: str):
    decide = policy(name)(three_arms())

    for rate_rps in (0.0, 1000.0):
        step = decide(tickets(5), an_outlook(rate_rps), 0.0)
        assert isinstance(step, Run)
        assert step.arm.arm.variant == variant


@pytest.mark.parametrize("name", ["", "best", "static", "static:"])
def test_an_unknown_name_is_told_the_known_ones(name: str):
    with pytest.raises(ValueError, match="known: adaptive, largest, static:VARIANT"):
        policy(name)


def test_an_unknown_variant_is_told_the_profiled_ones():
    with pytest.raises(ValueError, match="profiled variants: large, middle, small"):
        policy("static:huge")(three_arms())
