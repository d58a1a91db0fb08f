"""What the kernel counts of a thread that waits for a CPU, and what it does not."""

import os
import subprocess
import sys
import threading
import time

import pytest

from server.runtime.workers.cpu_waits import CpuWaits, RunWaits
from tests.support.serving.server import eventually

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/schedstat"),  # noqa: PTH110 - a kernel's file, no path of ours
    reason="needs a kernel that counts what threads wait",
)


def test_a_thread_that_sleeps_waits_for_no_cpu():
    waits = RunWaits(CpuWaits())
    time.sleep(0.05)

    assert 0.0 <= waits.in_all_s() < 0.05


def test_a_thread_that_is_asleep_is_not_held_to_wait_by_others():
    made, done = threading.Event(), threading.Event()
    found: list[RunWaits] = []

    def sleep() -> None:
        found.append(RunWaits(CpuWaits()))
        made.set()
        done.wait()

    thread = threading.Thread(target=sleep)
    thread.start()
    made.wait()
    time.sleep(0.05)
    waited_s = found[0].so_far_s(10.0)
    done.set()
    thread.join()

    assert waited_s < 10.0


def test_a_thread_that_shares_one_cpu_with_another_waits():
    core = {min(os.sched_getaffinity(0))}
    code = f"import os\nos.sched_setaffinity(0, {core})\nprint(flush=True)\nwhile True: pass"
    burner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert burner.stdout is not None
    burner.stdout.readline()
    found: list[float] = []

    def burn() -> None:
        os.sched_setaffinity(0, core)
        waits, end_s = RunWaits(CpuWaits()), time.monotonic() + 0.3
        while time.monotonic() < end_s:
            pass
        found.append(waits.in_all_s())

    try:
        thread = threading.Thread(target=burn)
        thread.start()
        thread.join()
    finally:
        burner.kill()
        burner.communicate()

    assert 0.05 < found[0] < 0.3


def test_after_its_thread_nothing_changes():
    made: list[CpuWaits] = []
    thread = threading.Thread(target=lambda: made.append(CpuWaits()))
    thread.start()
    thread.join()

    def ended() -> None:  # the kernel lets go of it a moment after Python does
        assert not made[0].is_able()

    eventually(ended)
    assert made[0].times() == made[0].times()
