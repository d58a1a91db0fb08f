"""Runs a comparison's cells as processes of their own, a few at a time, and keeps what each one ends with."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, TextIO

from tqdm import tqdm

from trainer.compare.outcomes import Cell, Finished, Outcome, outcome_of
from trainer.compare.runs import Runs

Command = Callable[[Cell], list[str]]
"""The argument list of a run, the program first."""

_QUOTED_LINES = 5  # so many of the last lines that a failed run wrote to stderr are quoted

_PATIENCE_S = 5.0  # what a run gets to end by itself when it is interrupted, before it is killed


@dataclass(frozen=True, slots=True)
class Lanes:
    """How many runs go at a time, on how many threads each. `settings`: what else outcomes hang on, in any words."""

    at_once: int
    threads: int
    settings: str = ""

    def fingerprint(self, argv: Sequence[str]) -> str:
        """Of all that a run's outcome hangs on: its arguments, its threads and `settings`; not the program's path."""
        text = json.dumps([self.settings, self.threads, list(argv[1:])])
        return sha256(text.encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that did not end well, and why."""

    cell: Cell
    reason: str


def order(cells: Sequence[Cell]) -> list[Cell]:
    """Seed by seed, then budget by budget, all selectors side by side, so that the machine's drift falls on all alike.

    Who begins moves on by one from each (seed, budget) to the next: no selector is always first, or beside the same.
    """
    blocks: dict[tuple[int, float], list[Cell]] = {}
    for cell in sorted(cells, key=lambda p: (p.seed, p.budget)):
        blocks.setdefault((cell.seed, cell.budget), []).append(cell)
    turned = list[Cell]()
    for turn, block in enumerate(blocks.values()):
        first = turn % len(block)
        turned += block[first:] + block[:first]
    return turned


def run_all(
    cells: Sequence[Cell], command: Command, lanes: Lanes, results: Runs, show: TextIO
) -> tuple[Failure, ...]:
    """Run what `results` does not have yet; outcomes go there one by one, progress and failures to `show`.

    A failed run does not stop the others. On an interrupt (Ctrl-C or SIGTERM), or where `results` cannot be written,
    the running ones are killed and the finished ones stay. Raises KeyboardInterrupt and TrainError.
    """
    missing = [p for p in order(cells) if not results.find(p, lanes.fingerprint(command(p)))]
    children = _Children(lanes.threads)
    failures = list[Failure]()
    with (
        _on([signal.SIGTERM], signal.default_int_handler),
        ThreadPoolExecutor(max(1, lanes.at_once)) as pool,
        children.ended(pool),
    ):
        waiting = {pool.submit(children.run, command(cell)): cell for cell in missing}
        with tqdm(
            total=len(cells), initial=len(cells) - len(missing), unit="run", file=show
        ) as bar:
            for ended in as_completed(waiting):
                cell = waiting[ended]
                found = _outcome(ended)
                if isinstance(found, Outcome):
                    results.add(Finished(cell, lanes.fingerprint(command(cell)), found))
                    bar.set_postfix_str(f"{_named(cell)}: error {found.test_error:.4f}")
                else:
                    failures.append(Failure(cell, found))
                    bar.write(f"{_named(cell)} failed: {found}", file=show)
                bar.update()
    return tuple(failures)


def _named(cell: Cell) -> str:
    return f"{cell.selector}, budget {cell.budget:g}, seed {cell.seed}"


def _outcome(ended: "Future[_Ended]") -> Outcome | str:
    """What the run printed, or why there is nothing to be had of it."""
    try:
        found = ended.result()
    except OSError as error:
        return f"could not be started: {error}"
    if found.code != 0:
        cause = f"exit {found.code}" if found.code > 0 else f"killed by signal {-found.code}"
        return f"{cause}: {_end_of(found.stderr)}"
    lines = found.stdout.split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "nothing")
    try:
        return outcome_of(json.loads(last))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        return f"its last line on stdout is no result ({error}): {last[:200]}"


def _end_of(text: str) -> str:
    """The last lines, of a progress bar its last state only."""
    lines = [line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n")]
    return (
        "\n  ".join([line for line in lines if line.strip()][-_QUOTED_LINES:])
        or "nothing on stderr"
    )


@dataclass(frozen=True, slots=True)
class _Ended:
    code: int
    stdout: str
    stderr: str


@dataclass(slots=True)
class _Children:
    """The processes that run now. After `stop` none is left and none starts."""

    threads: int
    _running: "set[subprocess.Popen[str]]" = field(default_factory=set["subprocess.Popen[str]"])
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _stopped: bool = False

    def run(self, argv: Sequence[str]) -> _Ended:
        """One process from start to end. Raises OSError where it cannot be started."""
        child = self._start(argv)
        try:
            stdout, stderr = child.communicate()
        finally:
            with self._lock:
                self._running.discard(child)
        return _Ended(child.returncode, stdout, stderr)

    def _start(self, argv: Sequence[str]) -> "subprocess.Popen[str]":
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
        with self._lock:
            if self._stopped:
                raise InterruptedError("the comparison was stopped")
            # A process group of its own: a terminal's Ctrl-C is ours to pass on, and reaches its own children too.
            child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **dict.fromkeys(names, str(self.threads))},
                text=True,
                errors="replace",
                process_group=0,
            )
            self._running.add(child)
            return child

    @contextmanager
    def ended(self, pool: ThreadPoolExecutor) -> Generator[None]:
        """None runs or waits in `pool` after this, however it ends; further interrupts do not hinder that."""
        try:
            yield
        finally:
            with _on([signal.SIGINT, signal.SIGTERM], signal.SIG_IGN):
                pool.shutdown(wait=False, cancel_futures=True)
                self.stop()

    def stop(self) -> None:
        """End what runs: first asked to (SIGTERM), then killed."""
        with self._lock:
            self._stopped = True
            running = list(self._running)
        for child in running:
            _signal(child, signal.SIGTERM)
        for child in running:
            with suppress(subprocess.TimeoutExpired):
                child.wait(_PATIENCE_S)
            _signal(child, signal.SIGKILL)


def _signal(child: "subprocess.Popen[str]", number: signal.Signals) -> None:
    """To the process and all that it started: a group, which is gone with its last process."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, number)


@contextmanager
def _on(
    numbers: Sequence[signal.Signals], handler: Callable[..., Any] | signal.Handlers
) -> Generator[None]:
    """Handle signals so inside. Python sets handlers in the main thread only: elsewhere nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, former in before.items():
            signal.signal(number, former)
