"""For tests of shared tasks: a real package whose networks cost what a test says, a listener that can be waited for."""

import threading
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from models.stems import Package
from server.sharing.control.limits import ShareLimits
from server.sharing.control.share import Share
from server.sharing.planner.plan import Plan
from server.sharing.runtime.frames import Frame, FrameDone, Listener, StreamId
from server.sharing.runtime.meter import Meter
from server.sharing.runtime.networks import Activation, Cut, Folder, Networks
from server.sharing.runtime.views import ReplanReason
from tests.support.sharing.packages import flat_frames

TASKS = ("a", "b", "c", "d")
FPS = 10.0
ROOMY_S, SHARED_S = 10.0, 0.03
"""Budgets at which tasks share nothing, and at which four of them (62 ms a second alone) must share."""
PATIENCE_S = 20.0
"""For what another thread is to do; on a loaded machine as well."""
LAYERS = 3
LAYER_S = 0.001
"""A frame's time in one layer."""

Fault = Callable[[str], None]
"""Called before each run with what is about to run ("stem 0-2", "a@1"); may raise or block."""


class Clock:
    """Time that passes when a network runs, or a test says so."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._now_s = 1000.0

    def __call__(self) -> float:
        """Now."""
        with self._lock:
            return self._now_s

    def pass_(self, seconds: float) -> None:
        """So much later."""
        with self._lock:
            self._now_s += seconds


class PricedNetworks:
    """Real networks; on the test's clock each layer takes LAYER_S a frame, and runs may fail as the test says."""

    def __init__(self, networks: Networks, source: "PricedFolder") -> None:
        self._networks = networks
        self._source = source

    def stem(self, x: Activation, start: int, ends: Sequence[int]) -> Mapping[int, Activation]:
        self._source.ran(f"stem {start}-{max(ends)}", len(x) * (max(ends) - start))
        return self._networks.stem(x, start, ends)

    def head(self, task: str, frozen: int, activation: Activation) -> Activation:
        self._source.ran(f"{task}@{frozen}", len(activation) * (LAYERS - frozen + 0.1))
        return self._networks.head(task, frozen, activation)

    def together(self, frozen: int, tasks: Sequence[str], activation: Activation) -> Activation:
        layers = (LAYERS - frozen + 0.1) * len(tasks) * self._source.fused
        self._source.ran(f"{'+'.join(tasks)}@{frozen}", len(activation) * layers)
        return self._networks.together(frozen, tasks, activation)

    def warm(self, points: Collection[int]) -> None:
        self._networks.warm(points)

    def cut(self, points: Collection[int]) -> None:
        self._networks.cut(points)

    def fuses(self, frozen: int, tasks: Sequence[str]) -> bool:
        return self._networks.fuses(frozen, tasks)

    def ready(self, cuts: Collection[Cut]) -> None:
        self._networks.ready(cuts)

    def drop(self, task: str) -> None:
        self._networks.drop(task)

    def close(self) -> None:
        self._networks.close()


class PricedFolder:
    """A package's folder, its networks priced. `calls`: what has run, in order."""

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._folder = Folder(folder)
        self._clock = clock
        self.fault: Fault = lambda _what: None
        self.calls: list[str] = []
        self.times = 1.0
        """How many times as slow as at first."""
        self.fused = 2.0
        """How many times as long heads take together as apart."""

    def read(self) -> Package:
        return self._folder.read()

    def open(self, package: Package) -> PricedNetworks:
        return PricedNetworks(self._folder.open(package), self)

    def ran(self, what: str, layers: float) -> None:
        self.calls.append(what)
        self.fault(what)
        self._clock.pass_(layers * LAYER_S * self.times)


class Replans(Meter):
    """Tells when a plan has been swapped in."""

    def __init__(self) -> None:
        self.swapped = threading.Event()

    def replanned(self, reason: ReplanReason, plan: Plan, seconds: float) -> None:  # noqa: ARG002 - the meter's words
        self.swapped.set()


class Heard:
    """A stream's answers, in the order they came."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self.done: list[FrameDone] = []
        self.room = threading.Event()
        self.listener = Listener(self._hear, self.room.set)

    def wait(self, count: int) -> list[FrameDone]:
        """The answers once there are `count`."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.done) >= count, PATIENCE_S), (
                f"{len(self.done)} answers of {count} after {PATIENCE_S:g} s"
            )
            return list(self.done)

    def _hear(self, done: FrameDone) -> None:
        with self._changed:
            self.done.append(done)
            self._changed.notify_all()


@contextmanager
def a_share(
    source: PricedFolder, clock: Clock, meter: Meter | None = None, **setup: object
) -> Generator[Share]:
    """A started share, by default with plenty of budget and one rate, 5 frames a second."""
    chosen: dict[str, object] = {"budget_s": 10.0, "rates_fps": (5.0,), "late_s": 1e9}
    share = Share(source, ShareLimits(**(chosen | setup)), meter, clock)  # type: ignore[arg-type]
    share.start()
    try:
        yield share
    finally:
        source.fault = lambda _what: None
        share.stop()


def pixels(index: int) -> Activation:
    """A frame that tells from its brightness which one it is (of 64)."""
    return flat_frames(4.0 * (index % 64))[0]


def offer(share: Share, stream: StreamId, heard: Heard, ids: range) -> None:
    """Each frame, waiting for room where there is none."""
    for i in ids:
        while not share.offer(stream, Frame(i, pixels(i), 0.0)):
            assert heard.room.wait(PATIENCE_S)
            heard.room.clear()


@contextmanager
def hanging(source: PricedFolder, what: str = "") -> Generator[threading.Event]:
    """Runs of what begins so do not return meanwhile; the event says that one has begun."""
    reached, free = threading.Event(), threading.Event()

    def hang(running: str) -> None:
        if running.startswith(what):
            reached.set()
            assert free.wait(
                2 * PATIENCE_S
            )  # longer than anybody waits for what must go on without it

    source.fault = hang
    try:
        yield reached
    finally:
        source.fault = lambda _what: None
        free.set()


def scores_of(done: list[FrameDone], task: str) -> dict[int, float]:
    return {
        one.frame_id: result.score
        for one in done
        for result in one.results
        if result.task == task and result.score is not None
    }


def run_alone(folder: Path, task: str, frozen: int, frame: int) -> float:
    """What the stem's first layers and the task's head say of one frame, nobody else there."""
    source = Folder(folder)
    networks = source.open(source.read())
    x = pixels(frame)[None]
    activation = networks.stem(x, 0, (frozen,))[frozen] if frozen else x
    return float(networks.head(task, frozen, activation)[0])
