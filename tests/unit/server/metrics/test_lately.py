"""The last minute's requests by latency bound, and who answered them."""

import pytest

from server.metrics.lately import WINDOW_S, Lately


def test_requests_count_in_the_region_of_the_nearest_power_of_two():
    lately = Lately()
    for slo_s in (0.030, 0.033, 0.040):
        lately.ended(slo_s, 0.8, 100.0)
    lately.ended(0.1, 0.6, 100.0)
    lately.ended(0.1, None, 100.0)

    regions = lately.regions(101.0)

    assert [(r.slo_ms, r.offered, r.in_time) for r in regions] == [(32.0, 3, 3), (128.0, 2, 1)]
    assert [r.attainment for r in regions] == [1.0, 0.5]
    assert [r.effective_accuracy for r in regions] == [pytest.approx(0.8), pytest.approx(0.6)]


@pytest.mark.parametrize(("slo_s", "told_ms"), [(0.0, 1.0), (1e-9, 1.0), (1e9, 4194304.0)])
def test_odd_bounds_count_at_the_ends(slo_s: float, told_ms: float):
    lately = Lately()
    lately.ended(slo_s, None, 0.0)

    (region,) = lately.regions(0.0)

    assert (region.slo_ms, region.effective_accuracy) == (told_ms, 0.0)


def test_what_is_older_than_the_window_is_forgotten():
    lately = Lately()
    lately.ended(0.03, 0.8, 5.0)
    lately.ran("a", 3, 5.0)
    lately.ran("b", 1, 5.0 + WINDOW_S / 2)

    assert len(lately.regions(5.0 + WINDOW_S / 2)) == 1
    assert lately.shares(5.0 + WINDOW_S / 2) == {"a": 0.75, "b": 0.25}
    assert lately.regions(6.0 + WINDOW_S) == []
    assert lately.shares(6.0 + WINDOW_S) == {"b": 1.0}


@pytest.mark.parametrize(("now_s", "span_s"), [(1000.0, 50.0), (1009.0, 59.0), (1010.0, 50.0)])
def test_a_steady_rate_is_told_as_it_is_whenever_that_is_asked(now_s: float, span_s: float):
    lately = Lately()
    for tenth in range(round(now_s * 10)):
        lately.ended(0.03, 0.8, tenth / 10)

    (region,) = lately.regions(now_s)

    assert lately.span_s(now_s) == span_s
    assert region.offered / lately.span_s(now_s) == pytest.approx(10.0)


def test_soon_after_the_first_request_the_span_is_short_but_no_moment():
    lately = Lately()
    lately.ended(0.03, 0.8, 1005.0)

    spans_s = [lately.span_s(now_s) for now_s in (1005.0, 1009.0, 1025.0, 1069.0)]

    assert spans_s == [10.0, 10.0, 20.0, 59.0]
    assert Lately().span_s(1005.0) == 10.0


def test_nobody_has_a_share_of_nothing():
    assert Lately().shares(0.0) == {}
