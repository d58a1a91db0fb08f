"""Compiled modules are used only where they were made of exactly the sources that are there."""

import json
import sys
from pathlib import Path
from typing import Any

from native.policy.build import is_hot, sources
from surroundings.compiled import MANIFEST, ROOT, CompiledFinder, digest

NAME = "server.policy.dispatch.some"
SOURCE = "server/policy/dispatch/some.py"


def finder(tmp_path: Path, **changed: Any) -> CompiledFinder:
    """One over a source and what was compiled of it; `changed` is put into the manifest."""
    (tmp_path / SOURCE).parent.mkdir(parents=True)
    (tmp_path / SOURCE).write_text("x = 1\n")
    made: dict[str, Any] = {
        "python": sys.implementation.cache_tag,
        "sources": {SOURCE: digest(tmp_path / SOURCE)},
        "modules": {NAME: "some.so"},
    }
    (tmp_path / "built").mkdir()
    (tmp_path / "built" / MANIFEST).write_text(json.dumps(made | changed))
    return CompiledFinder(tmp_path / "built", tmp_path)


def test_a_module_that_was_compiled_from_its_source_is_found(tmp_path: Path):
    found = finder(tmp_path).find_spec(NAME, None)

    assert found is not None
    assert found.origin == str(tmp_path / "built" / "some.so")


def test_where_a_source_has_changed_nothing_is_used(tmp_path: Path):
    over = finder(tmp_path)
    (tmp_path / SOURCE).write_text("x = 2\n")

    assert over.find_spec(NAME, None) is None


def test_where_a_source_is_gone_or_another_python_runs_nothing_is_used(tmp_path: Path):
    assert finder(tmp_path / "a", sources={"gone.py": ""}).find_spec(NAME, None) is None
    assert finder(tmp_path / "b", python="cpython-27").find_spec(NAME, None) is None


def test_where_nothing_was_built_or_it_cannot_be_read_the_sources_run(tmp_path: Path):
    assert CompiledFinder(tmp_path / "none", tmp_path).find_spec(NAME, None) is None
    over = finder(tmp_path)
    (tmp_path / "built" / MANIFEST).write_text("{")

    assert over.find_spec(NAME, None) is None


def test_modules_that_were_not_compiled_are_left_to_others(tmp_path: Path):
    assert finder(tmp_path).find_spec("server.policy.dispatch.other", None) is None
    assert finder(tmp_path / "b").find_spec("json", None) is None


def test_what_is_compiled_is_seen_and_holds_nothing_that_other_processes_are_sent():
    hot = [name for name in sources() if is_hot(name)]

    assert "server/policy/dispatch/alike/scene.py" in hot
    assert "server/policy/dispatch/mixed/step.py" in hot
    assert not {"server/policy/decision.py", "server/policy/dispatch/tuning.py"} & set(hot)
    assert "server/policy/queueing/tickets.py" not in hot  # but seen
    assert "server/policy/queueing/tickets.py" in sources()
    assert all((ROOT / name).is_file() for name in sources())
