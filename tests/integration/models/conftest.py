"""The folder where families are published."""

from pathlib import Path

import pytest


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository that is not there yet."""
    return tmp_path / "models"
