"""What CONTRIBUTING.md and docs/architecture.md name exists: paths, links, and names of the code."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GUIDE = "CONTRIBUTING.md"
SOURCES = (
    "gearshift",
    "loadtest",
    "models",
    "profiler",
    "proto",
    "scripts",
    "server",
    "surroundings",
    "tests",
    "trainer",
)
PAGES = ["README.md", GUIDE, *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]
_CODE = re.compile(r"`([^`\n]+)`")
_BLOCK = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
_PATH = re.compile(r"\.?[\w.-]+(?:/[\w.-]*)+|[\w.-]+\.(?:toml|md|json)")
_NAME = re.compile(r"_?[A-Za-z]\w*(?:\.[A-Za-z_]\w*)*")
_LINK = re.compile(r"\]\(([^)#:]+)\)")


def coded(document: str) -> set[str]:
    """What stands in backticks outside of code blocks; calls without their arguments."""
    text = _BLOCK.sub("", (ROOT / document).read_text())
    return {found.partition("(")[0] for found in _CODE.findall(text)}


def in_the_picture(document: str) -> set[str]:
    """The words of a document's first code block."""
    picture = _BLOCK.findall((ROOT / document).read_text())[0]
    return set(re.findall(r"[\w./-]*\w", picture))


def is_a_name(text: str) -> bool:
    """Whether it can only be a name of the code: dotted, in CamelCase or in capitals."""
    if not _NAME.fullmatch(text) or _PATH.fullmatch(text):
        return False
    return "." in text or bool(re.search(r"[a-z][A-Z]|^[A-Z_]{4,}$", text))


def words_of_the_code() -> set[str]:
    """Every word in our Python files and contracts, and the modules' own names."""
    files = [f for top in SOURCES for f in (ROOT / top).rglob("*") if f.suffix in (".py", ".proto")]
    inside = {word for f in files for word in re.findall(r"\w+", f.read_text())}
    return inside | {part for f in files for part in f.relative_to(ROOT).with_suffix("").parts}


def test_every_path_that_the_guide_names_exists():
    paths = {text for text in coded(GUIDE) if _PATH.fullmatch(text)}

    assert len(paths) > 40
    assert sorted(path for path in paths if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("page", PAGES)
def test_every_link_leads_to_a_file(page: str):
    here = (ROOT / page).parent

    assert [
        link for link in _LINK.findall((ROOT / page).read_text()) if not (here / link).exists()
    ] == []


@pytest.mark.parametrize(
    ("document", "places"),
    [(GUIDE, coded), ("docs/architecture.md", coded), ("docs/architecture.md", in_the_picture)],
)
def test_every_name_of_the_code_in_a_document_exists(
    document: str, places: Callable[[str], set[str]]
):
    names = {text for text in places(document) if is_a_name(text)}

    known = words_of_the_code()

    assert sorted(name for name in names if not known.issuperset(name.split("."))) == []


def test_the_picture_names_folders_that_exist():
    tops = tuple(f"{top}/" for top in SOURCES)
    folders = {word for word in in_the_picture("docs/architecture.md") if word.startswith(tops)}

    assert len(folders) > 8
    assert sorted(folder for folder in folders if not (ROOT / folder).is_dir()) == []
