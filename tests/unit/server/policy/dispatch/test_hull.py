"""The hull and the price of time."""

import pytest

from server.policy.dispatch.hull import FLOOR, Point, Prices, hull, joint, prices


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


CHEAP = prices(hull([Point(1, 0.5), Point(3, 0.8), Point(9, 0.9)]))
DEAR = prices(hull([Point(4, 0.6), Point(7, 0.85)]))


def spent(curve: Prices, price: float) -> float:
    """The time that a row is given at this price: the curve read the other way round."""
    low, high = curve.knots_s[0], curve.knots_s[-1]
    for _ in range(60):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if curve.at(middle) > price else (low, middle)
    return 0.5 * (low + high)


@pytest.mark.parametrize("affordable_s", [0.1, 0.9, 1.0, 1.7, 2.0, 3.1, 8.0, 20.0, 300.0])
def test_of_one_kind_alone_the_joint_price_is_its_own(affordable_s: float):
    for curve in (CHEAP, DEAR):
        known = joint([curve]).at([1.0], affordable_s)
        if affordable_s <= curve.knots_s[-1]:
            assert known == pytest.approx(curve.at(affordable_s))
        else:  # beyond, time goes on to lose its worth
            least = FLOOR * curve.at(affordable_s)
            assert least * (1.0 - 1e-9) <= known <= curve.at(affordable_s)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
@pytest.mark.parametrize("affordable_s", [2.5, 4.0, 5.5, 8.0, 12.0])
def test_at_the_joint_price_all_kinds_together_spend_the_time_there_is(
    share: float, affordable_s: float
):
    price = joint([CHEAP, DEAR]).at([share, 1.0 - share], affordable_s)

    together_s = share * spent(CHEAP, price) + (1.0 - share) * spent(DEAR, price)
    cap = min(CHEAP.at(0.0), DEAR.at(0.0))
    assert price == pytest.approx(cap) or together_s == pytest.approx(affordable_s, rel=0.02)


def test_the_joint_price_never_rises_with_the_time_there_is_nor_above_the_cap_of_any():
    both = joint([CHEAP, DEAR])

    seen = [both.at([0.4, 0.6], 0.1 * i) for i in range(3000)]

    assert seen == sorted(seen, reverse=True)
    assert max(seen) <= min(CHEAP.at(0.0), DEAR.at(0.0)) * (1.0 + 1e-9)
    assert seen[-1] < seen[100]
