"""A share over a package whose networks cost what tests say, and a server of a real package."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.sharing.control.share import Share
from tests.support.serving.families import ECHO, publish_scripted
from tests.support.serving.server import Server, serving
from tests.support.sharing.asked import LEVELS, SHARED
from tests.support.sharing.packages import a_package
from tests.support.sharing.shares import TASKS, Clock, PricedFolder, a_share


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def source(tmp_path: Path, clock: Clock) -> PricedFolder:
    a_package(tmp_path, TASKS)
    return PricedFolder(tmp_path / "tiny", clock)


@pytest.fixture
def share(source: PricedFolder, clock: Clock) -> Iterator[Share]:
    with a_share(source, clock) as share:
        yield share


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the package `tiny` (tasks a, b, c) and the family `echo`."""
    root = tmp_path_factory.mktemp("shared")
    publish_scripted(root / "models", ECHO)
    a_package(root / "models", tuple(LEVELS))
    return root


@pytest.fixture(scope="module")
def shared(package: Path) -> Iterator[Server]:
    """A server of both; a and b are in service from the start, and each test leaves it so."""
    with serving(package / "models", package, **SHARED) as running:
        yield running
