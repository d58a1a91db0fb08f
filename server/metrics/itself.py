"""Metrics that tell how a server is built and configured."""

from server.metrics.process import watch_build, watch_price
from server.metrics.series import Series
from server.metrics.triton import watch_as_triton


def watch_itself(series: Series, front: str, price: float, *, as_triton: bool) -> None:
    """Add what runs (`front` speaks gRPC), what a core costs an hour (0: not known), and Triton's names if asked."""
    watch_build(series.registry, front)
    watch_price(series.registry, price)
    if as_triton:
        watch_as_triton(series)
