"""Items come in order, each opened once; the next one meanwhile, where it may be."""

import threading

import pytest

from server.runtime.arms.ahead import opened_ahead


@pytest.mark.parametrize("may", [True, False])
def test_each_is_opened_once_and_comes_in_order(may: bool):
    opened: list[int] = []

    def open_one(item: int) -> int:
        opened.append(item)
        return 10 * item

    assert list(opened_ahead([1, 2, 3], open_one, lambda: may)) == [(1, 10), (2, 20), (3, 30)]
    assert opened == [1, 2, 3]


def test_of_nothing_nothing_comes():
    assert list(opened_ahead([], lambda item: item, lambda: True)) == []


def test_the_next_is_begun_before_it_is_asked_for():
    begun = threading.Event()
    coming = opened_ahead([1, 2], lambda item: begun.set() if item == 2 else None, lambda: True)

    next(coming)

    assert begun.wait(10.0)
    coming.close()


def test_where_it_may_not_the_next_is_opened_when_it_is_asked_for():
    opened: list[int] = []
    coming = opened_ahead([1, 2, 3], opened.append, lambda: False)

    next(coming)
    coming.close()

    assert opened == [1]


def test_what_opening_raises_is_raised():
    def fail(item: int) -> int:
        return 1 // (item - 2)

    coming = opened_ahead([1, 2], fail, lambda: True)

    assert next(coming) == (1, -1)
    with pytest.raises(ZeroDivisionError):
        next(coming)
