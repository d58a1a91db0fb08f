"""A process that replays recorded requests for the server: a pipe, pickles over it, and low priority.

A plain subprocess: it imports what the replay needs and nothing of the server's, and ends when the pipe does.
"""

import os
import struct
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from signal import SIG_IGN, SIGINT, signal
from time import process_time

from server.policy.decision import ArmProfile, Ticket

Replay = Callable[[Sequence[ArmProfile], Sequence[Ticket]], Mapping[str, float]]
"""(arms as they are now, requests by arrival from 0 s) -> accuracy-weighted goodput by candidate. It must pickle."""

MOST = 1 << 15
"""Requests remembered: 20 s of 1,600 a second in a mebibyte; beyond that rate the window is shorter."""
NICE = 10
"""A tenth of a core where the server wants them all: at 19, half a second of replay took over half a minute there."""

_ENTRY = struct.Struct("=dddd")
_CHILD = "from server.runtime.rehearsal.replay_process import perform; perform()"


class Recorder:
    """A ring of the last requests: when each came, its time bound, rows and least accuracy; neither pin nor class."""

    def __init__(self, most: int = MOST) -> None:
        self.count = 0
        """Requests ever recorded."""
        self._ring = bytearray(most * _ENTRY.size)

    def record(self, ticket: Ticket) -> None:
        """Remember a request in place of the oldest."""
        came_s = ticket.arrival_s
        at = self.count * _ENTRY.size % len(self._ring)
        _ENTRY.pack_into(
            self._ring, at, came_s, ticket.deadline_s - came_s, ticket.rows, ticket.min_accuracy
        )
        self.count += 1

    def recorded(self) -> bytes:
        """What `tickets` reads: one entry after the other, in no order."""
        return bytes(memoryview(self._ring)[: self.count * _ENTRY.size])


def tickets(recorded: bytes, window_s: float) -> list[Ticket]:
    """The requests of the last `window_s` before the latest, by arrival; the first came at 0 s."""
    entries = sorted(_ENTRY.iter_unpack(recorded))
    since_s = entries[-1][0] - window_s if entries else 0.0
    kept = [entry for entry in entries if entry[0] >= since_s]
    return [
        Ticket(i, came_s - kept[0][0], came_s - kept[0][0] + slo_s, int(rows), min_accuracy)
        for i, (came_s, slo_s, rows, min_accuracy) in enumerate(kept)
    ]


class ReplayProcess:
    """The process as its owner sees it. Every method raises OSError or EOFError once the process is gone."""

    def __init__(self, replay: Replay) -> None:
        self.answers, theirs = Pipe()
        """Ready to be read when scores are there, or when the process died."""
        try:
            self._process = _start(theirs.fileno())
        finally:
            theirs.close()
        self.answers.send(replay)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def ask(self, arms: Sequence[ArmProfile], recorded: bytes, window_s: float) -> None:
        """Have the last `window_s` replayed."""
        self.answers.send((tuple(arms), recorded, window_s))

    def answer(self) -> tuple[dict[str, float], float]:
        """The scores, and the processor time (s) they took; blocks until they are there."""
        try:
            return self.answers.recv()
        except EOFError as error:
            raise EOFError("the replaying process died; stderr has its last words") from error

    def kill(self) -> None:
        """Make the process end, whatever it is doing; any thread may. `end` is still to be called."""
        self._process.kill()

    def end(self) -> None:
        """End the process and forget it."""
        self._process.kill()
        self._process.wait()
        self.answers.close()


def perform() -> None:
    """The process's side: answer windows with scores until the owner closes the pipe, or is gone."""
    signal(SIGINT, SIG_IGN)  # Ctrl-C reaches the whole process group; the owner says when to end
    os.nice(NICE)
    with Connection(int(sys.argv[1])) as pipe:
        try:
            replay: Replay = pipe.recv()
            while True:
                arms, recorded, window_s = pipe.recv()
                begun_s = process_time()
                scores = dict(replay(arms, tickets(recorded, window_s)))
                pipe.send((scores, process_time() - begun_s))
        except (EOFError, ConnectionError):
            return


def _start(pipe: int) -> subprocess.Popen[bytes]:
    paths = os.pathsep.join(path or str(Path.cwd()) for path in sys.path)
    environment = os.environ | {"PYTHONPATH": paths, "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", "-c", _CHILD, str(pipe)], pass_fds=[pipe], env=environment
    )
