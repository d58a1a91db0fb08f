"""A started share over a package whose networks cost what tests say."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from server.sharing.control.share import Share
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
