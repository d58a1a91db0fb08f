"""Answers that wait to be counted are counted before anybody reads, each once."""

import threading
import time
from collections.abc import Iterator

import pytest
from prometheus_client import CollectorRegistry

from server.metrics import FamilyMetrics, Metrics, Served
from server.metrics.family import MOST_UNCOUNTED


def answers(
    count: int, *, slo_class: str = "default", in_time: bool = True, at_s: float | None = None
) -> Iterator[Served]:
    """Alike: they waited a quarter of a second, and took half of one of the second that they had."""
    now_s = time.monotonic() if at_s is None else at_s
    return (Served(slo_class, 0.8, 0.125, 0.25, 0.5, 1.0, in_time, now_s) for _ in range(count))


def some() -> tuple[Metrics, FamilyMetrics]:
    metrics = Metrics(CollectorRegistry(), [1.0])
    return metrics, metrics.family("m")


@pytest.mark.parametrize("count", [1, MOST_UNCOUNTED, MOST_UNCOUNTED + 1, 500])
def test_a_scrape_finds_all_answers(count: int):
    metrics, family = some()
    for _ in range(count):
        family.answered(answers(1))
    family.answered(answers(2, slo_class="gold", in_time=False))

    read = metrics.registry.get_sample_value

    assert read("gearshift_in_time_answers_total", {"family": "m"}) == count
    assert read("gearshift_in_time_accuracy_total", {"family": "m"}) == pytest.approx(0.8 * count)
    ok = {"family": "m", "slo_class": "default", "outcome": "ok"}
    assert read("gearshift_requests_total", ok) == count
    late = {"family": "m", "slo_class": "gold", "outcome": "late"}
    assert read("gearshift_requests_total", late) == 2
    assert read("gearshift_queue_seconds_count", {"family": "m"}) == count + 2
    gold = {"family": "m", "slo_class": "gold"}
    assert read("gearshift_request_seconds_sum", gold) == pytest.approx(1.0)


def test_all_other_readers_find_them_too():
    _, family = some()
    family.answered(answers(3))
    assert family.outcomes() == {"ok": 3}
    family.answered(answers(2, in_time=False))
    assert (family.recent().offered, family.recent().in_time) == (5, 3)
    family.answered(answers(1))
    (region,), _ = family.regions()
    assert (region.offered, region.in_time, region.slo_ms) == (6, 4, 1024.0)
    family.answered(answers(1))

    tally = family.tally

    assert (tally.success, tally.queue_ns, tally.compute_ns) == (
        7,
        7 * 250_000_000,
        7 * 125_000_000,
    )
    assert abs(tally.last_ms - time.time() * 1e3) < 5_000


def test_what_was_answered_before_is_counted_before_what_is_refused_now():
    """Rings of slots do not step back: an answer of an hour ago must not wipe out what ended since."""
    _, family = some()
    family.answered(answers(1, at_s=time.monotonic() - 3600.0))
    family.unrun("default", "shed", 1.0)

    assert (family.recent().offered, family.outcomes()) == (1, {"ok": 1, "shed": 1})


def test_a_family_whose_name_another_has_by_now_goes_on_counting():
    metrics, before = some()
    before.answered(answers(2))
    metrics.family("m").answered(answers(3))
    before.answered(answers(4))

    labels = {"family": "m", "slo_class": "default", "outcome": "ok"}
    assert metrics.registry.get_sample_value("gearshift_requests_total", labels) == 9


def test_answers_of_several_threads_are_counted_each_once_while_others_read():
    metrics, family = some()

    def answer() -> None:
        for _ in range(300):
            family.answered(answers(3))

    threads = [threading.Thread(target=answer) for _ in range(3)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        family.recent()
    labels = {"family": "m", "slo_class": "default", "outcome": "ok"}

    assert metrics.registry.get_sample_value("gearshift_requests_total", labels) == 2700
    assert family.tally.success == 2700
