"""The hull and the price of time."""

import pytest

from server.policy.dispatch.hull import Point, hull, prices


def test_points_below_the_line_of_their_neighbours_are_not_vertices():
    points = [Point(1, 0.5), Point(2, 0.55), Point(3, 0.8), Point(4, 0.7)]

    assert hull(points) == (Point(1, 0.5), Point(3, 0.8))


def test_of_two_equally_cheap_the_more_accurate_is_kept():
    assert hull([Point(1, 0.5), Point(1, 0.6)]) == (Point(1, 0.6),)


def test_the_price_never_rises_with_the_time_there_is():
    curve = prices(hull([Point(1, 0.5), Point(3, 0.8), Point(9, 0.9)]))

    seen = [curve.at(0.1 * i) for i in range(400)]

    assert seen == sorted(seen, reverse=True)


def test_serving_pays_even_when_time_is_scarcest():
    curve = prices((Point(2, 0.5),))

    assert 0.5 - curve.at(0.0) * 2 > 0


def test_half_way_between_two_vertices_the_price_is_their_slope():
    curve = prices(hull([Point(1, 0.5), Point(3, 0.8)]))

    assert curve.at(2.0) == pytest.approx(0.15)
