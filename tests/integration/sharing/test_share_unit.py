"""The tasks of a package as the server's parts list knows them: loaded on one thread, stopped on another."""

import threading
from pathlib import Path

from prometheus_client import CollectorRegistry

from server.config import Config, ModelsSection, SharingSection
from server.sharing.unit import ShareUnit
from tests.support.sharing.packages import a_package


def test_a_server_that_is_stopped_before_its_tasks_are_loaded_ends_in_peace(tmp_path: Path):
    a_package(tmp_path)
    config = Config(
        models=ModelsSection(repository=str(tmp_path)), sharing=SharingSection(package="tiny")
    )
    unit = ShareUnit(config, CollectorRegistry())
    unit.start()
    unit.stop()

    unit.prepare()

    assert not unit.is_ready
    assert not [t for t in threading.enumerate() if t.name.startswith("sharing-")]
