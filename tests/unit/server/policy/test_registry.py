"""Policies by name."""

import pytest

from server.policy.decision import Finished, Outlook, Run, WaitUntil
from server.policy.dispatch.choose import adaptive
from server.policy.registry import names, policy
from tests.support.builders import an_outlook, three_arms, tickets


def test_the_adaptive_policy_goes_by_its_name():
    assert policy("adaptive") is adaptive


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        ("largest", "large"),
        ("static:small", "small"),
        ("fixed:middle", "middle"),
        ("fixed:middle+drop", "middle"),
        ("clipper", "large"),
        ("clipper:small+drop", "small"),
    ],
)
def test_a_policy_on_one_variant_runs_it_whatever_the_load(name: str, variant: str):
    decide = policy(name)(three_arms())

    for rate_rps in (0.0, 1000.0):
        step = decide(tickets(5), an_outlook(rate_rps), 0.0)
        assert isinstance(step, Run)
        assert step.profile.arm.variant == variant


@pytest.mark.parametrize(
    "name",
    ["", "best", "static", "static:", "static:small+drop", "adaptive+drop", "slackfit:small"],
)
def test_an_unknown_name_is_told_the_known_ones(name: str):
    with pytest.raises(
        ValueError, match=r"known: adaptive, .*, largest, static:VARIANT, .*slackfit"
    ):
        policy(name)


def test_an_unknown_variant_is_told_the_profiled_ones():
    with pytest.raises(ValueError, match="profiled variants: large, middle, small"):
        policy("static:huge")(three_arms())


def test_every_name_told_for_some_arms_builds_a_policy_that_serves_them():
    told = names(three_arms())

    assert {"adaptive", "static:small", "fixed:large+drop", "slackfit", "slackfit+drop"} <= {*told}
    for name in told:
        step = policy(name)(three_arms())(tickets(3), an_outlook(), 0.0)
        assert isinstance(step, Run | WaitUntil)


def test_names_without_arms_say_where_a_variant_belongs():
    assert {"static:VARIANT", "clipper:VARIANT+drop", "clipper"} <= {*names()}


def test_what_a_policy_learns_survives_new_tables_but_is_not_shared_with_another_of_its_name():
    arms, factory = three_arms(), policy("clipper:small")
    learnt = Outlook(finished=(Finished(arms[0].arm, 1, 0.001),))

    factory(arms)(tickets(5), learnt, 0.0)

    assert len(_batch(factory(arms)(tickets(5), Outlook(), 0.0))) == 2
    assert len(_batch(policy("clipper:small")(arms)(tickets(5), Outlook(), 0.0))) == 1


def _batch(step: object) -> tuple[object, ...]:
    assert isinstance(step, Run)
    return step.tickets
