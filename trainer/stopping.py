"""Ctrl-C and SIGTERM as something to be asked about between two steps: an exception could tear anything apart."""

import signal
import socket
from contextlib import AbstractContextManager
from select import select
from types import TracebackType
from typing import Any, Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Signals(AbstractContextManager["Signals"]):
    """While entered, by the main thread, both signals are only noted. A second Ctrl-C ends the process as usual."""

    def __init__(self) -> None:
        self.number = 0
        """Of the signal that came; 0: none yet."""
        self._came, self._wake = socket.socketpair()
        self._wake.setblocking(False)
        self._before: dict[int, Any] = {}
        self._fd = -1

    def __enter__(self) -> Self:
        self._fd = signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._before = {number: signal.signal(number, self._note) for number in _SIGNALS}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        signal.set_wakeup_fd(self._fd)
        self._came.close()
        self._wake.close()

    def asked(self) -> bool:
        """Whether one has come."""
        return self.number != 0

    def wait(self, seconds: float) -> bool:
        """Until one comes, at most so long; whether one has come."""
        if not self.asked():
            select([self._came], [], [], seconds)
        return self.asked()

    def _note(self, number: int, _frame: object) -> None:
        if self.number == signal.SIGINT == number:
            raise KeyboardInterrupt
        self.number = number
