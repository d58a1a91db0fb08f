"""What the process is and takes: its build, memory, CPU time, open files, threads. Read when metrics are, at no other
time."""

import platform
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from server.policy.dispatch import choose
from surroundings.compiled import is_compiled


class _Threads(Collector):
    """How many threads the process has; nothing where the system has no /proc."""

    def describe(self) -> Iterable[GaugeMetricFamily]:
        return [GaugeMetricFamily("process_threads", "Threads of the process")]

    def collect(self) -> Iterable[GaugeMetricFamily]:
        try:
            count = sum(1 for _ in Path("/proc/self/task").iterdir())
        except OSError:
            return []
        return [GaugeMetricFamily("process_threads", "Threads of the process", value=count)]


def watch_process(registry: CollectorRegistry) -> None:
    """Add `process_resident_memory_bytes`, `process_cpu_seconds_total`, `process_open_fds`, `process_max_fds`, when it
    began, `process_start_time_seconds`, and `process_threads`; none where the system has no /proc. Raises ValueError
    where the registry has them."""
    ProcessCollector(registry=registry)
    registry.register(_Threads())


def watch_build(registry: CollectorRegistry, front: str) -> None:
    """Add `gearshift_build_info`, which is 1: labels say what runs. `front`: what speaks gRPC."""
    labels = {
        "version": version("gearshift"),
        "python": platform.python_version(),
        "front": front.partition(",")[0].partition(";")[0],
        "policy": "compiled" if is_compiled(choose) else "Python",
    }
    Gauge(
        "gearshift_build_info", "1; the labels say what runs", list(labels), registry=registry
    ).labels(**labels).set(1)


def watch_price(registry: CollectorRegistry, price: float) -> None:
    """Add what a core costs an hour, where that is known (above 0)."""
    if price > 0:
        Gauge(
            "gearshift_price_per_core_hour",
            "What a core costs an hour, as the operator says",
            registry=registry,
        ).set(price)
