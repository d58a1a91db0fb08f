"""What the arms of every family take in memory, by their profiles: asked when metrics are read."""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class FamilyMemory(NamedTuple):
    """What the arms of a family take, may take (0: no bound), and how many are left out for that."""

    family: str
    taken_bytes: int
    budget_bytes: int
    left_out: int


class _ArmsMemory(Collector):
    def __init__(self, read: Callable[[], Iterable[FamilyMemory]]) -> None:
        self._read = read

    def collect(self) -> Iterable[Metric]:
        taken = GaugeMetricFamily(
            "gearshift_arms_memory_bytes",
            "What the arms in memory took as they were opened, by their profiles",
            labels=["family"],
        )
        budget = GaugeMetricFamily(
            "gearshift_arms_memory_budget_bytes",
            "What they may take (memory_mib); 0: no bound",
            labels=["family"],
        )
        left_out = GaugeMetricFamily(
            "gearshift_arms_left_out", "Arms that memory_mib has no room for", labels=["family"]
        )
        for one in self._read():
            taken.add_metric([one.family], one.taken_bytes)
            budget.add_metric([one.family], one.budget_bytes)
            left_out.add_metric([one.family], one.left_out)
        return [taken, budget, left_out]

    def describe(self) -> Iterable[Metric]:
        """Nothing, so that nothing is asked while this is registered."""
        return []


def watch_arms_memory(
    registry: CollectorRegistry, read: Callable[[], Iterable[FamilyMemory]]
) -> None:
    """Add these series; `read` may be called from any thread."""
    registry.register(_ArmsMemory(read))
