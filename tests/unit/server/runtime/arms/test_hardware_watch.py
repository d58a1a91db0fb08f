"""The lookout tells what the readings show, and nothing while they show nothing."""

import threading
from collections.abc import Callable

from profiler.hardware.changes import Change, CoresChanged
from profiler.hardware.readings import Reading
from server.runtime.arms.hardware_watch import IDLE_PERIODS, HardwareWatch
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


def test_while_the_process_does_nothing_it_is_looked_seldom():
    looks: list[float] = []
    seen = threading.Event()

    def look() -> Reading:
        looks.append(used_s[0])
        if len(looks) == 3:
            seen.set()
        return a_reading()

    used_s, asked = [0.0], []
    watch = HardwareWatch(1e-3, lambda _: None, look, lambda: asked.append(1) or used_s[0])
    watch.start()
    assert seen.wait(PATIENCE_S)
    watch.stop()

    assert len(asked) >= 2 * 2 * IDLE_PERIODS


def test_once_the_process_works_it_is_looked_after_a_period():
    looks: list[int] = []
    seen = threading.Event()
    asked: list[int] = []

    def used_s() -> float:
        asked.append(1)
        return float(len(asked))

    def look() -> Reading:
        looks.append(len(asked))
        if len(looks) == 3:
            seen.set()
        return a_reading()

    watch = HardwareWatch(1e-3, lambda _: None, look, used_s)
    watch.start()
    assert seen.wait(PATIENCE_S)
    watch.stop()

    assert looks[:3] == [0, 2, 4]
