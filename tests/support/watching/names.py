"""The names of metrics."""

from prometheus_client import CollectorRegistry

from models.catalog import Slo
from server.metrics import Metrics
from server.metrics.memory import watch_arms_memory
from server.metrics.process import watch_build, watch_price, watch_process
from server.sharing.metrics import ShareFigures, ShareMetrics, TaskFigures


def known() -> set[str]:
    """Every name of a sample that the server's registry may show, labels or not, and what the rules record."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, [])
    metrics.family("m").watch_promises(Slo(0.05), lambda _: 1.0, lambda: 0.0)
    watch_process(registry)
    watch_build(registry, "native")
    watch_price(registry, 1.0)
    watch_arms_memory(registry, list)
    task = TaskFigures("a", 1, 1.0, 1.0, 1.0, 1.0)
    ShareMetrics(registry, ["x"], ["x"], ["x"]).watch(
        lambda: ShareFigures((task,), 1, 1.0, 1.0, 1.0, 1.0)
    )
    names: set[str] = set()
    for family in registry.collect():
        names |= {family.name, f"{family.name}_total"}
        names |= {f"{family.name}_{end}" for end in ("bucket", "count", "sum")}
    return names
