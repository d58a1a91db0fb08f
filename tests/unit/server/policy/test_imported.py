"""Policies by import path: what is found, and that every mistake is one line."""

import re
import sys
from pathlib import Path

import pytest

from server.policy.decision import Drop, Idle, Run, WaitUntil
from server.policy.imported import OwnPolicy, PolicyFailed
from server.policy.registry import policy
from tests.support.builders import a_profile, a_ticket, an_outlook, three_arms

MODULE = """
from server.policy.decision import Idle

number = 5


def idle(arms):
    return lambda queue, outlook, now_s: Idle()


def nothing(arms):
    pass


def three(queue, outlook, now_s):
    return Idle()


def leaving(arms):
    raise SystemExit(4)


def broken(arms):
    raise RuntimeError("not\\ntoday")
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, holding modules, which is not on Python's path."""
    (tmp_path / "mine_here.py").write_text(MODULE)
    (tmp_path / "mine_lacking.py").write_text("import nowhere_at_all\n")
    (tmp_path / "mine_wrong.py").write_text("def (")
    (tmp_path / "mine_ending.py").write_text("raise SystemExit(3)")
    (tmp_path / "mine_parts").mkdir()
    (tmp_path / "mine_parts" / "inner.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [p for p in sys.path if p])
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        del sys.modules[name]


@pytest.mark.parametrize("path", ["mine_here:idle", "mine_parts.inner:idle"])
def test_a_module_of_the_current_directory_is_found(path: str):
    decide = policy(path)(three_arms())

    assert decide((), an_outlook(), 0.0) == Idle()


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "nowhere_at_all:idle",
            "unknown policy 'nowhere_at_all:idle': there is no module nowhere_at_all on Py",
        ),
        (
            "mine_here.more:idle",
            "there is no module mine_here.more on Python's path or in the current directory",
        ),
        ("mine_here:absent", "module mine_here has no attribute absent"),
        ("mine_here:number", "mine_here:number cannot be called: it is of type int"),
        (
            "mine_lacking:idle",
            "module mine_lacking cannot be imported: ModuleNotFoundError: No module named 'now",
        ),
        ("mine_wrong:idle", "module mine_wrong cannot be imported: SyntaxError: invalid syntax"),
        ("mine_ending:idle", "module mine_ending cannot be imported: SystemExit: 3"),
    ],
)
def test_what_leads_to_no_factory_is_told_in_one_line(path: str, words: str):
    with pytest.raises(ValueError, match=re.escape(words)) as refusal:
        policy(path)

    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (
            "mine_here:nothing",
            "mine_here:nothing built no policy: what it returned is of type NoneType",
        ),
        ("mine_here:three", "policy mine_here:three raised when it was built: TypeError: "),
        ("mine_here:leaving", "policy mine_here:leaving raised when it was built: SystemExit: 4"),
        (
            "mine_here:broken",
            "policy mine_here:broken raised when it was built: RuntimeError: not today",
        ),
    ],
)
def test_what_builds_no_policy_is_told_in_one_line(path: str, words: str):
    with pytest.raises(ValueError, match=words) as refusal:
        policy(path)(three_arms())

    assert "\n" not in str(refusal.value)


ARMS = three_arms()
QUEUE = [a_ticket(0), a_ticket(1), a_ticket(2, rows=16), a_ticket(3, min_accuracy=0.8)]
NOW_S = 0.01


@pytest.mark.parametrize(
    "decision",
    [
        Idle(),
        WaitUntil(NOW_S + 1e-9, (Drop(QUEUE[0], "late"),)),
        Run(ARMS[0], (QUEUE[1], QUEUE[0]), "some", (Drop(QUEUE[2], "shed"),)),
        Run(ARMS[2], (QUEUE[3],), "best"),
    ],
)
def test_what_can_be_done_is_passed_on(decision: object):
    decide = OwnPolicy("mine:own", lambda *_: decision, ARMS)  # type: ignore[arg-type, return-value] - as anybody's

    assert decide(QUEUE, an_outlook(), NOW_S) is decision


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        (None, "made no decision: what it returned is of type NoneType"),
        (Run, "made no decision: what it returned is of type type"),
        (Idle((Drop(a_ticket(9), "late"),)), "named a ticket that does not wait"),
        (Run(ARMS[0], (QUEUE[0], None), "odd"), "named a ticket that does not wait"),
        (Run(ARMS[0], (QUEUE[0],), "twice", (Drop(QUEUE[0], "late"),)), "named a ticket twice"),
        (WaitUntil(NOW_S), "waits until a time that has come already"),
        (WaitUntil(float("nan")), "waits until a time that has come already"),
        (Run(a_profile("gone"), (QUEUE[0],), "gone"), "runs an arm that it was not given"),
        (Run(ARMS[0], (), "none"), "runs 0 rows on small, which takes 1 to 16"),
        (Run(ARMS[0], tuple(QUEUE[:3]), "all"), "runs 18 rows on small, which takes 1 to 16"),
        (Run(ARMS[0], (QUEUE[3],), "cheap"), "runs a ticket on small, which it does not accept"),
        (Run(ARMS[0], (QUEUE[0],), ["why"]), "gives a reason that is no text"),
        (Run(ARMS[0], (QUEUE[0],), "why", (), "terms"), "or terms that are none"),
        (Idle(5), "raised when it was asked: TypeError"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(decision: object, words: str):
    decide = OwnPolicy("mine:own", lambda *_: decision, ARMS)  # type: ignore[arg-type, return-value] - of wrong types

    with pytest.raises(PolicyFailed, match=re.escape(words)) as failure:
        decide(QUEUE, an_outlook(), NOW_S)

    assert str(failure.value).startswith("policy mine:own ")
    assert "\n" not in str(failure.value)
