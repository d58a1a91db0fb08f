"""How long a thread waited for a CPU while others had them, as Linux counts it; nothing where nobody counts.

A run that took long because its thread did not get a CPU says nothing of its arm.
"""

import os
import threading
import time
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class ThreadTimes:
    """Seconds since the thread began: on a CPU; able to run, but waiting for one."""

    ran_s: float = 0.0
    waited_s: float = 0.0


class CpuWaits:
    """One thread's, made on it. Any thread may read while it lives; afterwards nothing changes any more.

    To be closed when the thread ends: whoever is to free its owner may come late.
    """

    def __init__(self) -> None:
        self._last = ThreadTimes()
        self._noted, self._noted_s = b"", -inf
        self._lock = (
            threading.Lock()
        )  # a file that is closed must not be read: its number may be another's
        self._files: list[int] = []
        folder = f"/proc/self/task/{threading.get_native_id()}"
        for name in ("schedstat", "stat"):
            try:
                self._files.append(os.open(f"{folder}/{name}", os.O_RDONLY | os.O_CLOEXEC))
            except OSError:
                return

    def times(self) -> ThreadTimes:
        """Until now; a wait that goes on is not in it."""
        return self.read(self.note())

    def note(self, within_s: float = 0.0) -> bytes:
        """What Linux says now, or said in the last `within_s` (s), to be read later: most runs are quick, and nobody
        asks."""
        now_s = time.monotonic()
        if now_s - self._noted_s >= within_s:
            self._noted, self._noted_s = self._content(0), now_s
        return self._noted

    def read(self, noted: bytes) -> ThreadTimes:
        """The times that were noted; the last that were read where nothing was."""
        words = noted.split()
        if len(words) >= 2:
            self._last = ThreadTimes(int(words[0]) * 1e-9, int(words[1]) * 1e-9)
        return self._last

    def is_able(self) -> bool:
        """Whether it runs, or waits for nothing but a CPU."""
        _, _, rest = self._content(1).rpartition(b") ")  # the name before it may have spaces
        return rest.startswith(b"R")

    def close(self) -> None:
        """Nothing is read any more."""
        with self._lock:
            files, self._files = self._files, []
            for file in files:
                os.close(file)

    def __del__(self) -> None:
        self.close()

    def _content(self, which: int) -> bytes:
        """Of a file; nothing where it is not there, or not any more."""
        with self._lock:
            try:
                return os.pread(self._files[which], 512, 0)
            except (OSError, IndexError):
                return b""


class RunWaits:
    """What a thread waits in a run that begins now. `within_s`: by so much (s) it may be off."""

    def __init__(self, thread: CpuWaits, within_s: float = 0.0) -> None:
        self._thread = thread
        self._noted = thread.note(within_s)

    def so_far_s(self, elapsed_s: float) -> float:
        """Of a run that goes on for `elapsed_s`: what it waited, as far as it is known.

        A thread that is able to run now has been waiting, where it did not run: how long for a CPU is only counted once
        it gets one.
        """
        began, now = self._thread.read(self._noted), self._thread.times()
        counted_s = now.waited_s - began.waited_s
        if self._thread.is_able():
            return max(counted_s, elapsed_s - (now.ran_s - began.ran_s))
        return counted_s

    def in_all_s(self) -> float:
        """Of a run that has ended, asked on its thread."""
        began = self._thread.read(self._noted)
        return self._thread.times().waited_s - began.waited_s
