"""What a scrape shows of a family: by arm, by promise, in base units; and Triton's names for those who ask."""

import re

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics

from models.catalog import Slo
from server.metrics import Metrics, RanBatch, Served
from server.metrics.triton import watch_as_triton
from server.policy.decision import Arm

A = {"family": "m", "variant": "a", "backend": "x"}


@pytest.fixture
def registry() -> CollectorRegistry:
    """Of a family that answered one request on one arm, and failed another."""
    registry = CollectorRegistry()
    metrics = Metrics(registry, [0.05])
    watch_as_triton(metrics)
    family = metrics.family("m")
    family.watch_promises(Slo(0.05, 0.7, 0.95), lambda _: 1.0, lambda: 0.0)
    family.watch_workers(lambda: 1.0, lambda: 2.0)
    family.speed(Arm("a", "x", "cpu"), 1.0)
    family.speed(Arm("b", "y", "cpu"), 1.0)
    family.ran(RanBatch("a", "fp32", 4, 0.001, 0.02, 0.03, 0.01, backend="x"))
    family.answered([Served("default", 0.8, 0.02, 0.004, 0.03, 0.05, True, 1.0, gather_s=0.001)])
    family.unrun("default", "failed", 0.05)
    return registry


def test_predicted_and_measured_seconds_are_told_by_arm(registry: CollectorRegistry):
    values = [
        registry.get_sample_value(f"gearshift_{name}_seconds_total", A)
        for name in ("predicted", "profiled", "measured")
    ]

    assert values == [0.03, 0.01, 0.02]


def test_sums_of_an_arm_begin_at_0_before_its_first_batch(registry: CollectorRegistry):
    idle = {"family": "m", "variant": "b", "backend": "y"}

    assert registry.get_sample_value("gearshift_measured_seconds_total", idle) == 0.0


def test_the_slo_and_the_workers_are_told(registry: CollectorRegistry):
    names = ("slo_seconds", "slo_min_accuracy_ratio", "slo_percentile_ratio", "busy_workers")

    values = [registry.get_sample_value(f"gearshift_{n}", {"family": "m"}) for n in names]

    assert values == [0.05, 0.7, 0.95, 1.0]
    assert registry.get_sample_value("gearshift_workers", {"family": "m"}) == 2.0


def test_a_family_that_is_gone_promises_nothing():
    metrics = Metrics(other := CollectorRegistry(), [])
    metrics.family("m").watch_promises(Slo(0.05), lambda _: 1.0, lambda: 0.0)

    metrics.gone("m")

    assert other.get_sample_value("gearshift_slo_seconds", {"family": "m"}) is None
    assert other.get_sample_value("gearshift_busy_workers", {"family": "m"}) == 0.0


def test_there_are_no_summaries_and_no_times_of_creation(registry: CollectorRegistry):
    for text in (generate_latest(registry).decode(), generate_openmetrics(registry).decode()):
        assert not re.search(r"^# TYPE \S+ summary", text, re.MULTILINE)
        assert "_created" not in text


def test_times_and_sizes_are_in_base_units(registry: CollectorRegistry):
    names = {family.name for family in registry.collect()} - set(
        re.findall(r"nv_\w+", generate_latest(registry).decode())
    )

    assert len(names) > 30
    odd = re.compile(
        r"_(ms|us|ns|milliseconds|minutes|hours|kb|mb|mib|percent)(_|$)", re.IGNORECASE
    )
    assert [name for name in names if odd.search(name)] == []


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("request_success", 1),
        ("request_failure", 1),
        ("count", 4),
        ("exec_count", 1),
        ("request_duration_us", 30_000),
        ("queue_duration_us", 4_000),
        ("compute_input_duration_us", 1_000),
        ("compute_infer_duration_us", 20_000),
        ("compute_output_duration_us", 0),
    ],
)
def test_tritons_names_tell_the_same_counts(registry: CollectorRegistry, name: str, value: float):
    labels = {"model": "m", "version": "1"}

    assert registry.get_sample_value(f"nv_inference_{name}", labels) == value
