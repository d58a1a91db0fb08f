"""The servers that the integration tests speak to: real processes, started once a session."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.serving.families import ECHO, FRAIL, MARKER, PAIR, publish_mlp, publish_scripted
from tests.support.serving.server import Server, serving


@pytest.fixture(scope="session")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four small families: echo (two scripted variants), frail, pair (two inputs, two outputs), mlp (ONNX)."""
    root = tmp_path_factory.mktemp("gearshift") / "models"
    root.mkdir()
    publish_scripted(
        root,
        ECHO,
        {"quick": "fixed_s = 0.0005", "sharp": "fixed_s = 0.002"},
        {"quick": 0.6, "sharp": 0.8},
    )
    publish_scripted(root, FRAIL, {"only": f"fixed_s = 0.02\nfail_marker = {MARKER}"})
    publish_scripted(root, PAIR)
    publish_mlp(root)
    return root


@pytest.fixture(scope="session")
def server(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A ready server of `repository`; it must drain and exit with 0 in the end."""
    with serving(repository, tmp_path_factory.mktemp("cache")) as running:
        yield running


@pytest.fixture
def models(tmp_path: Path) -> Path:
    """A repository of the test's own, with the family `echo`."""
    publish_scripted(tmp_path / "models", ECHO)
    return tmp_path / "models"
