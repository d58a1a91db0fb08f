"""How long a thread waited for a CPU while others had them, as Linux counts it; nothing where nobody counts.

A run that took long because its thread did not get a CPU says nothing of its arm.
"""

import os
import threading
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ThreadTimes:
    """Seconds since the thread began: on a CPU; able to run, but waiting for one."""

    ran_s: float = 0.0
    waited_s: float = 0.0


class CpuWaits:
    """One thread's, made on it. Any thread may read while it lives; afterwards nothing changes any more."""

    def __init__(self) -> None:
        self._last = ThreadTimes()
        self._files: list[int] = []
        folder = f"/proc/self/task/{threading.get_native_id()}"
        for name in ("schedstat", "stat"):
            try:
                self._files.append(os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                return

    def times(self) -> ThreadTimes:
        """Until now; a wait that goes on is not in it."""
        words = self._read(0)
        if len(words) >= 2:
            self._last = ThreadTimes(int(words[0]) * 1e-9, int(words[1]) * 1e-9)
        return self._last

    def is_able(self) -> bool:
        """Whether it runs, or waits for nothing but a CPU."""
        words = self._read(1)
        return b"R" in words[2:3]

    def __del__(self) -> None:
        for file in self._files:
            os.close(file)

    def _read(self, which: int) -> list[bytes]:
        """The words of a file; none where it is not there, or not any more. What is in brackets is one word."""
        try:
            content = os.pread(self._files[which], 512, 0)
        except (OSError, IndexError):
            return []
        number, _, rest = content.rpartition(b") ")
        return [number, b"", *rest.split()] if number else rest.split()


class RunWaits:
    """What a thread waits in a run that begins now."""

    def __init__(self, thread: CpuWaits) -> None:
        self._thread = thread
        self._began = thread.times()

    def so_far_s(self, elapsed_s: float) -> float:
        """Of a run that goes on for `elapsed_s`: what it waited, as far as it is known.

        A thread that is able to run now has been waiting, where it did not run: how long for a CPU is only counted once
        it gets one.
        """
        now = self._thread.times()
        counted_s = now.waited_s - self._began.waited_s
        if self._thread.is_able():
            return max(counted_s, elapsed_s - (now.ran_s - self._began.ran_s))
        return counted_s

    def in_all_s(self) -> float:
        """Of a run that has ended, asked on its thread."""
        return self._thread.times().waited_s - self._began.waited_s
