"""Folders for families: where they are published, and where they are made before."""

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository that is not there yet."""
    return tmp_path / "models"


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """An empty folder beside the repository."""
    (tmp_path / "made").mkdir()
    return tmp_path / "made"
