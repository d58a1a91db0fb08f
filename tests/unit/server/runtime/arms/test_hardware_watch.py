"""The lookout tells what the readings show, and nothing while they show nothing."""

import threading
from collections.abc import Callable

from profiler.hardware.changes import Change, CoresChanged
from profiler.hardware.readings import Reading
from server.runtime.arms.hardware_watch import HardwareWatch
from tests.support.builders import a_reading

PATIENCE_S = 30.0


def looking(readings: list[Reading]) -> Callable[[], Reading]:
    """The readings one after the other, the last for ever."""
    left = list(readings)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_a_core_less_is_told_once():
    told: list[Change] = []
    heard = threading.Event()

    def react(changes: tuple[Change, ...]) -> None:
        told.extend(changes)
        heard.set()

    readings = [a_reading(0.0, cores=2), a_reading(0.25, cores=2), a_reading(0.5, cores=1)]
    hardware_watch = HardwareWatch(1e-4, react, looking(readings))
    hardware_watch.start()
    assert heard.wait(PATIENCE_S)
    hardware_watch.stop()

    assert told == [CoresChanged(2, 1)]


def test_it_may_be_stopped_before_it_began():
    HardwareWatch(1.0, lambda _: None, looking([a_reading()])).stop()
