"""Policies by import path: what is found, and that every mistake is one line."""

import re
import sys
from pathlib import Path

import pytest

from server.policy.decision import Idle
from server.policy.registry import policy
from tests.support.builders import an_outlook, three_arms

MODULE = """
from server.policy.decision import Idle

number = 5


def idle(arms):
    return lambda queue, outlook, now_s: Idle()


def nothing(arms):
    pass


def three(queue, outlook, now_s):
    return Idle()


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
