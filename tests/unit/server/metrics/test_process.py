"""What the process takes is among the metrics, by the names that everybody's dashboards know."""

import platform
from importlib.metadata import version
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from server.metrics.process import watch_build, watch_price, watch_process


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system has no /proc")
def test_memory_time_files_and_start_are_told():
    registry = CollectorRegistry()
    watch_process(registry)

    values = dict(
        line.split(" ")
        for line in generate_latest(registry).decode().splitlines()
        if not line.startswith("#")
    )

    names = (
        "resident_memory_bytes",
        "cpu_seconds_total",
        "open_fds",
        "max_fds",
        "start_time_seconds",
        "threads",
    )
    assert all(float(values[f"process_{name}"]) > 0 for name in names)


def test_the_build_says_what_runs():
    registry = CollectorRegistry()

    watch_build(registry, "native, nghttp2 1.2")

    (sample,) = next(iter(registry.collect())).samples
    assert sample.name == "gearshift_build_info"
    assert sample.value == 1
    assert sample.labels["front"] == "native"
    assert sample.labels["version"] == version("gearshift")
    assert sample.labels["python"] == platform.python_version()
    assert sample.labels["policy"] in {"compiled", "Python"}


def test_a_price_is_told_where_there_is_one():
    known, unknown = CollectorRegistry(), CollectorRegistry()

    watch_price(known, 0.05)
    watch_price(unknown, 0.0)

    assert known.get_sample_value("gearshift_price_per_core_hour") == 0.05
    assert unknown.get_sample_value("gearshift_price_per_core_hour") is None
