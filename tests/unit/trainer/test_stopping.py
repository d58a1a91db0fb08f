"""Signals are noted and wake a wait; a second Ctrl-C is one as usual."""

import os
import signal

import pytest

from trainer.stopping import Signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_noted_and_ends_a_wait_at_once(number: int):
    with Signals() as signals:
        before = signals.asked()
        os.kill(os.getpid(), number)

        assert not before
        assert signals.wait(3600.0)
        assert signals.number == number


def test_without_a_signal_a_wait_comes_to_its_end():
    with Signals() as signals:
        assert not signals.wait(0.001)


def test_a_second_interrupt_is_not_only_noted():
    with Signals() as signals:
        os.kill(os.getpid(), signal.SIGINT)
        signals.wait(0.0)

        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_afterwards_all_is_as_it_was():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    with Signals():
        pass

    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
