"""Orders reach the tuner's thread, and what becomes of them whoever gave them; a call that hangs is given up."""

import threading

import pytest

from models.backends.base import BackendError
from server.errors import BadInput, NotReady
from server.policy.candidates.candidacy import Ordered
from server.runtime.candidates.orders import Orders
from server.runtime.workers.guarded import within

PROMOTE = Ordered(promote=True)


def test_orders_are_carried_out_in_turn_and_said_to_be_done():
    orders, done = Orders(), []
    futures = [orders.add(name, PROMOTE) for name in "ab"]

    orders.obey(lambda name, _: done.append(name))

    assert done == ["a", "b"]
    assert [f.result(0) for f in futures] == [None, None]


def test_what_one_order_raises_goes_to_who_gave_it_alone():
    orders = Orders()
    bad, good = orders.add("bad", PROMOTE), orders.add("good", PROMOTE)

    def carry_out(name: str, _: Ordered) -> None:
        if name == "bad":
            raise BadInput("no")

    orders.obey(carry_out)

    assert isinstance(bad.exception(0), BadInput)
    assert good.exception(0) is None


def test_a_stop_refuses_who_waits_and_who_comes():
    orders = Orders()
    waiting = orders.add("a", PROMOTE)

    orders.stop()

    assert isinstance(waiting.exception(0), NotReady)
    with pytest.raises(NotReady, match="stopping"):
        orders.add("b", PROMOTE)


def test_a_call_that_comes_back_gives_what_it_gives():
    assert within(10.0, lambda: 7, "a call") == 7
    with pytest.raises(BackendError, match="broken"):
        within(10.0, lambda: _fail(BackendError("broken")), "a call")
    with pytest.raises(TimeoutError, match="its own"):
        within(10.0, lambda: _fail(TimeoutError("its own")), "a call")


def test_a_call_that_does_not_come_back_is_given_up():
    end = threading.Event()

    with pytest.raises(BackendError, match=r"a run did not come back within 0\.0 s"):
        within(0.01, end.wait, "a run")
    end.set()


def _fail(error: Exception) -> None:
    raise error
