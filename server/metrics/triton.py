"""The counts of ModelStatistics by the names that Triton's dashboards ask for: no `_total`, microseconds."""

from collections.abc import Callable, Iterable, Sequence

from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from server.metrics.records import ModelCounts
from server.metrics.series import Series

_VERSION = "1"
_SERIES: Sequence[tuple[str, str, Callable[[ModelCounts], float]]] = (
    ("request_success", "Requests answered", lambda t: t.success),
    ("request_failure", "Requests that were not answered", lambda t: t.fail),
    ("count", "Rows answered", lambda t: t.rows),
    ("exec_count", "Batches run", lambda t: t.batches),
    ("request_duration_us", "Requests' time, arrival to answer", lambda t: t.success_ns / 1e3),
    ("queue_duration_us", "Requests' time in the queue", lambda t: t.queue_ns / 1e3),
    ("compute_input_duration_us", "Gathering inputs", lambda t: t.gather_ns / 1e3),
    ("compute_infer_duration_us", "Inside the backend", lambda t: t.compute_ns / 1e3),
    ("compute_output_duration_us", "0: not timed apart", lambda _t: 0.0),
)


class _AsTriton(Collector):
    def __init__(self, series: Series) -> None:
        self._series = series

    def describe(self) -> Iterable[Metric]:
        """The names alone."""
        return [Metric(f"nv_inference_{name}", text, "unknown") for name, text, _ in _SERIES]

    def collect(self) -> Iterable[Metric]:
        """Untyped: a counter's name would end in `_total`, which Triton's do not."""
        tallies = [(name, view.tally) for name, view in tuple(self._series.views.items())]
        for name, text, read in _SERIES:
            metric = Metric(f"nv_inference_{name}", text, "unknown")
            for family, tally in tallies:
                labels = {"model": family, "version": _VERSION}
                metric.add_sample(metric.name, labels, float(read(tally)))
            yield metric


def watch_as_triton(series: Series) -> None:
    """Add them to the registry of these series."""
    series.registry.register(_AsTriton(series))
