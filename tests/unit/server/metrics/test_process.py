"""What the process takes is among the metrics, by the names that everybody's dashboards know."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from server.metrics.process import watch_process


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_memory_time_files_and_start_are_told():
    registry = CollectorRegistry()
    watch_process(registry)

    values = dict(
        line.split(" ")
        for line in generate_latest(registry).decode().splitlines()
        if not line.startswith("#")
    )

    names = ("resident_memory_bytes", "cpu_seconds_total", "open_fds", "start_time_seconds")
    assert all(float(values[f"process_{name}"]) > 0 for name in names)
