"""One word per thing: a public class name occurs once in a package, and a name says what it holds."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("gearshift", "models", "profiler", "server", "loadtest", "trainer", "surroundings")
VAGUE = {"told"}
"""Words in no name: what is told is an offer, a line, a text, a report, and is called so."""


def sources(package: str) -> list[Path]:
    """The modules of a package."""
    return sorted((ROOT / package).rglob("*.py"))


def public_classes(package: str) -> dict[str, list[str]]:
    """The places of every public class of a package, by name."""
    places: dict[str, list[str]] = defaultdict(list)
    for path in sources(package):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                places[node.name].append(f"{path.relative_to(ROOT)}:{node.lineno}")
    return places


@pytest.mark.parametrize("package", PACKAGES)
def test_a_public_class_name_occurs_once_in_a_package(package: str):
    doubles = {name: places for name, places in public_classes(package).items() if len(places) > 1}

    assert doubles == {}


def names(node: ast.AST) -> Iterator[str]:
    """What a node names: a value, an attribute, a parameter, a function or a class."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case _:
            pass


@pytest.mark.parametrize("package", [*PACKAGES, "examples"])
def test_no_name_is_vague(package: str):
    vague = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {name}"
        for path in sources(package)
        for node in ast.walk(ast.parse(path.read_text()))
        for name in names(node)
        if VAGUE & set(name.lower().split("_"))
    ]

    assert vague == []
