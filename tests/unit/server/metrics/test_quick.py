"""Counters and histograms of the request path look to Prometheus like the library's own."""

import threading

import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)

from server.metrics.quick import QuickCounter, QuickHistogram

EDGES = (0.001, 0.01, 1.0)


@pytest.fixture(autouse=True)
def _without_created() -> None:
    """As in a server: the library's own series tell nothing of when they were begun."""
    disable_created_metrics()


def shown(registry: CollectorRegistry) -> list[str]:
    """What a scrape finds."""
    return generate_latest(registry).decode().splitlines()


def test_a_scrape_finds_what_the_librarys_own_would_show() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    counters = (
        QuickCounter("some_total", "Some", ["a", "b"], ours),
        Counter("some_total", "Some", ["a", "b"], registry=theirs),
    )
    histograms = (
        QuickHistogram("took_seconds", "Took", ["a"], ours, buckets=EDGES),
        Histogram("took_seconds", "Took", ["a"], registry=theirs, buckets=EDGES),
    )
    for counter in counters:
        counter.labels("x", 'odd "\\\n').inc()
        counter.labels("x", "y").inc(2.5)
        counter.labels("x", "y").inc()
        counter.labels("only", "begun")
    for histogram in histograms:
        for value in (0.0, 0.001, 0.0011, 1.0, 7.0):
            histogram.labels("x").observe(value)
        histogram.labels("only begun")
    assert shown(ours) == shown(theirs)


def test_nothing_is_lost_where_many_threads_count() -> None:
    registry = CollectorRegistry()
    total = QuickCounter("some_total", "Some", [], registry).labels()
    times = QuickHistogram("took_seconds", "Took", [], registry, buckets=EDGES).labels()

    def count() -> None:
        for _ in range(2_000):
            total.inc()
            times.observe(0.005)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert total.value == 16_000
    counts, seconds = times.read()
    assert counts == [0, 16_000, 16_000, 16_000]
    assert seconds == pytest.approx(80.0)


def test_a_name_is_taken_once() -> None:
    registry = CollectorRegistry()
    QuickCounter("some_total", "Some", [], registry)
    with pytest.raises(ValueError, match="some"):
        QuickCounter("some_total", "Some", [], registry)
