"""One word per thing: a public class name occurs once in a package."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gearshift", "models", "profiler", "server", "loadtest", "trainer", "surroundings")


def public_classes(package: str) -> dict[str, list[str]]:
    """The places of every public class of a package, by name."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in sorted((ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return places


@pytest.mark.parametrize("package", PACKAGES)
def test_a_public_class_name_occurs_once_in_a_package(package: str):
    doubles = {name: places for name, places in public_classes(package).items() if len(places) > 1}

    assert doubles == {}
