"""What is counted and timed: Prometheus series, the protocol's statistics, the last seconds' results."""

from server.metrics.family import FamilyMetrics, Metrics
from server.metrics.lately import Region
from server.metrics.recent import WINDOW_S, Results
from server.metrics.records import ModelCounts, RanBatch, Served

__all__ = [
    "WINDOW_S",
    "FamilyMetrics",
    "Metrics",
    "ModelCounts",
    "RanBatch",
    "Region",
    "Results",
    "Served",
]
