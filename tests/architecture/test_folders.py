"""Folders and files stay small enough to be seen at a glance, are described, and are held to their layers."""

import ast
import itertools
import re
import tomllib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SETTINGS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINTER = SETTINGS["tool"]["importlinter"]
PACKAGES: list[str] = LINTER["root_packages"]
LAYERED = ("server", "profiler", "trainer", "models")
"""Packages whose inner folders are kept in layers."""
MOST_MODULES = 15
"""In a folder, beside `__init__`."""
MOST_LINES_OF_NINE_TENTHS = 200
"""Nine source files of ten are at most so long."""
MOST_LINES_OF_A_TEST = 400


def modules(*tops: str) -> list[Path]:
    """Every Python file below these folders, generated ones apart."""
    found = itertools.chain.from_iterable((ROOT / top).rglob("*.py") for top in tops)
    return sorted(path for path in found if not path.stem.endswith(("_pb2", "_pb2_grpc")))


def length(path: Path) -> int:
    """Lines of a file."""
    return len(path.read_text(encoding="utf-8").splitlines())


def dotted(folder: Path) -> str:
    """A folder's name as a package."""
    return ".".join(folder.relative_to(ROOT).parts)


def in_layers() -> set[str]:
    """All packages that a contract on layers holds, or keeps in their place."""
    found: set[str] = set()
    for contract in (one for one in LINTER["contracts"] if one["type"] == "layers"):
        names = [name for layer in contract["layers"] for name in re.split(r"\s*[|:]\s*", layer)]
        for container in contract.get("containers", []):
            found |= {container, *(f"{container}.{name.strip('()')}" for name in names)}
    return found


@pytest.mark.parametrize("top", [*PACKAGES, "benchmarks", "scripts", "tests"])
def test_no_folder_holds_more_modules_than_can_be_seen_at_a_glance(top: str):
    held = Counter(path.parent for path in modules(top) if path.stem != "__init__")

    assert {dotted(folder): n for folder, n in held.items() if n > MOST_MODULES} == {}


def test_nine_source_files_of_ten_are_short():
    lengths = [length(path) for path in modules(*PACKAGES)]

    assert np.quantile(lengths, 0.9) <= MOST_LINES_OF_NINE_TENTHS


def test_no_test_module_is_long():
    lengths = {str(path.relative_to(ROOT)): length(path) for path in modules("tests")}

    assert {path: n for path, n in lengths.items() if n > MOST_LINES_OF_A_TEST} == {}


def test_no_test_module_imports_another():
    found = [
        path.name
        for path in modules("tests")
        if re.search(r"^(from|import) tests\.(?!support\b)", path.read_text(), re.MULTILINE)
    ]

    assert found == []


@pytest.mark.parametrize("top", LAYERED)
def test_every_package_says_what_it_is_for(top: str):
    inits = [path for path in modules(top) if path.stem == "__init__"]

    silent = [dotted(p.parent) for p in inits if not ast.get_docstring(ast.parse(p.read_text()))]

    assert silent == []
    assert {path.parent for path in inits} == {path.parent for path in modules(top)}


@pytest.mark.parametrize("top", LAYERED)
def test_every_inner_package_has_its_layer(top: str):
    inner = {dotted(path.parent) for path in modules(top)} - {top}

    assert inner - in_layers() == set()


def test_the_image_holds_every_package():
    copied = re.findall(r"^COPY (\w+) \1$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)

    assert set(copied) == {*PACKAGES, "native"}  # which is compiled
