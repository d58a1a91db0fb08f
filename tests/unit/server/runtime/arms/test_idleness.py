"""The longer nothing happens, the more seldom it is looked; whatever happens, it is looked often again."""

from server.runtime.arms.idleness import LEAST_S, Idleness

MOST_S = 0.5


def test_it_waits_longer_the_longer_nothing_came():
    now_s = [0.0]
    idleness = Idleness(lambda: 7, MOST_S, lambda: now_s[0])
    waits: list[float] = []

    for now_s[0] in (0.0, 0.5, 2.0, 5.0, 100.0):
        waits.append(idleness.wait_s())

    assert waits == [LEAST_S, LEAST_S, 0.1, 0.25, MOST_S]


def test_what_came_has_it_looked_often_again():
    now_s, arrived = [0.0], [1]
    idleness = Idleness(lambda: arrived[0], MOST_S, lambda: now_s[0])
    idleness.wait_s()
    now_s[0], arrived[0] = 100.0, 2

    assert idleness.wait_s() == LEAST_S


def test_it_never_waits_long_while_something_is_under_way():
    now_s = [0.0]
    idleness = Idleness(lambda: None, MOST_S, lambda: now_s[0])
    idleness.wait_s()
    now_s[0] = 100.0

    assert idleness.wait_s() == LEAST_S
