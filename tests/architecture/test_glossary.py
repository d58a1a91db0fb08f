"""The glossary's code names exist: as something defined, as a key of a table, or as a word of the wire."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = ROOT / "docs/glossary.md"
PACKAGES = ("gearshift", "models", "profiler", "server", "loadtest", "trainer")


def names_of(node: ast.AST) -> Iterator[str]:
    """What a piece of code defines or spells out."""
    match node:
        case ast.ClassDef() | ast.FunctionDef():
            yield node.name
        case ast.Name(ctx=ast.Store()):
            yield node.id
        case ast.Constant(value=str() as text):
            yield text
        case _:
            pass


def known_names() -> set[str]:
    """Everything that the packages define or spell out."""
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    trees = [ast.parse(path.read_text()) for path in sources]
    return {name for tree in trees for node in ast.walk(tree) for name in names_of(node)}


def test_every_code_name_of_the_glossary_exists():
    named = set(re.findall(r"`([^`\n]+)`", GLOSSARY.read_text())) - {"code"}

    assert named
    assert sorted(named - known_names()) == []


def test_every_word_of_the_glossary_is_explained_once():
    lines = re.findall(r"^- (.+?):", GLOSSARY.read_text(), re.MULTILINE)
    words = [word for line in lines for word in re.findall(r"\*\*(.+?)\*\*", line)]

    assert words
    assert len(words) == len(set(words))
