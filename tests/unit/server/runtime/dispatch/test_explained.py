"""Kept decisions in words: the alternatives come from asking the policy again, and one line says it all."""

import re

import pytest

from server.policy import registry
from server.policy.decision import Drop, Idle, Run, WaitUntil
from server.runtime.dispatch.explained import line, weighed
from server.runtime.dispatch.journal import Record
from tests.support.builders import a_profile, a_ticket, an_outlook, cpu_arms, tickets


def a_record(name: str, waiting: int, rate_rps: float = 250.0) -> Record:
    """What policy `name` decides for `waiting` tickets, one every 4 ms, the last 4 ms ago."""
    arms, queue, outlook = tuple(cpu_arms()), tickets(waiting, 0.0472, 0.004), an_outlook(rate_rps)
    now_s = 0.004 * waiting
    decision = registry.policy(name)(arms)(queue, outlook, now_s)
    return Record(now_s, 5e-5, arms, tuple(queue), waiting, outlook, decision, name)


def test_the_step_that_was_taken_is_the_best_of_those_weighed():
    record = a_record("adaptive", 6)

    run, found = record.decision, weighed(record)

    assert isinstance(run, Run)
    assert (found[0].variant, found[0].rows) == (run.profile.arm.variant, run.rows)
    assert len({one.variant for one in found}) > 1


@pytest.mark.parametrize("name", ["largest", "static:lite0-int8"])
def test_a_policy_of_one_arm_weighed_no_other(name: str):
    record = a_record(name, 6)

    assert isinstance(record.decision, Run)
    names = {one.variant for one in weighed(record)}
    assert names == {record.decision.profile.arm.variant}


def test_a_policy_without_a_price_tells_no_alternatives():
    run = Run(a_profile(), (a_ticket(),), "drain")
    record = Record(0.0, 1e-5, (a_profile(),), (a_ticket(),), 1, an_outlook(), run)

    assert weighed(record) == ()
    assert line("echo", record) == (
        "echo: 1 rows on small (drain): 1 waiting, 0 rps forecast; dropped 0"
    )


def test_a_line_tells_step_reason_load_price_alternative_and_drops():
    text = line("imagenet", a_record("adaptive", 6))

    assert re.fullmatch(
        r"imagenet: \d rows on [\w-]+ \((partial|drain)\): 6 waiting, 250 rps forecast, "
        r"price [\d.]+ acc/s; next best [\w-]+ x \d; dropped 0",
        text,
    ), text


def test_waiting_and_idling_have_their_lines_too():
    gone = (Drop(a_ticket(), "late"),)
    ends = {
        WaitUntil(1.0025): "wait 2.5 ms: 3 waiting, 9 rps forecast; dropped 0",
        Idle(gone): "idle: 3 waiting, 9 rps forecast; dropped 1",
    }
    for decision, words in ends.items():
        record = Record(1.0, 1e-5, (a_profile(),), (), 3, an_outlook(9.0), decision)
        assert line("echo", record) == f"echo: {words}"
