"""Large requests under attack: arms that fail, hang, crawl, come and go, clients that leave, a server that stops.

Every request ends once, its memory comes back once and is not read after that, and rows are in their places.
"""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from prometheus_client import CollectorRegistry

from models.backends.base import BackendError, Tensors
from models.catalog import Accuracy, Variant
from profiler.measuring.rows import SampleRows
from server.engine.checking.checks import Checks
from server.engine.contents import Buffer
from server.engine.delivery import deliver
from server.engine.intake import Intake
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.engine.values import Answer, Request, Tensor
from server.errors import NotReady, RequestError
from server.metrics import Metrics
from server.policy.decision import (
    Arm,
    ArmProfile,
    Decision,
    Drop,
    Idle,
    Outlook,
    Policy,
    Run,
    Ticket,
)
from server.runtime.dispatch.dispatcher import Dispatcher, Limits
from server.runtime.dispatch.jobs import Job, Listeners
from server.runtime.workers.executor import WorkerContext
from server.runtime.workers.pool import WorkerPool
from server.runtime.workers.samples import Samples
from tests.support.builders import a_profile
from tests.support.serving.families import ECHO, WIDTH

ACCURACIES = {"small": 0.6, "middle": 0.7, "large": 0.8}
VARIANTS = [Variant(v, "fp32", "", "", Accuracy(a, "made up")) for v, a in ACCURACIES.items()]
FAMILY = replace(ECHO, max_batch=64, variants=tuple(VARIANTS))
PROFILES = [
    a_profile("small", 0.6, 0.002, 0.0001, max_batch=8),
    a_profile("middle", 0.7, 0.002, 0.0002, max_batch=8),
    a_profile("large", 0.8, 0.003, 0.0004, max_batch=4),
]
WORKERS = 3
ATTACKED_S, ASKED_S = 2.5, 3.2
"""So long arms are in trouble, and then the server stops; so long clients ask."""
PATIENCE_S = 20.0
POISON = b"\xff"
"""Bytes that are no number: what memory holds that was given back."""


class Moody:
    """A backend that does as its `mood` says. It answers with its rows and its accuracy, and tells of poison."""

    name = "moody"

    def __init__(self, accuracy: float, poisoned: list[str]) -> None:
        self.mood = "well"
        self.freed = threading.Event()
        self._accuracy = accuracy
        self._poisoned = poisoned

    def run(self, inputs: Tensors) -> dict[str, NDArray[np.generic]]:
        """Read once at the end, as late as can be."""
        mood, x = self.mood, inputs["x"]
        time.sleep(0.03 if mood == "crawls" else 0.001)
        if mood == "hangs":
            self.freed.wait(PATIENCE_S)
        if np.isnan(x.astype(np.float64)).any():
            self._poisoned.append(f"{mood}: {len(x)} rows")
        if mood == "fails":
            raise BackendError("as told")
        y = np.empty((len(x), 4), np.float32)
        y[:, 0], y[:, 1:] = x[:, 0], self._accuracy
        return {"y": y}

    def close(self) -> None:
        """Nothing is held."""


@dataclass(eq=False)
class Asked:
    """A request of `rows` from `first` on, and what became of it."""

    first: float
    rows: int
    least: float
    pin: str
    job: Job | None = None
    answers: list[Answer] = field(default_factory=list[Answer])
    cancelled: bool = False
    released: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    def request(self) -> Request:
        """With memory that is poison once it was given back."""
        x = np.repeat(self.first + np.arange(self.rows, dtype=np.float32)[:, None], WIDTH, axis=1)
        memory = bytearray(x.tobytes())

        def release() -> None:
            self.released += 1
            memory[:] = POISON * len(memory)

        tensor = Tensor("x", "FP32", x.shape, Buffer(memoryview(memory).toreadonly()))
        asks = {"slo_ms": 4000.0, "min_accuracy": self.least}
        more: Any = {"version": self.pin} if self.pin else {}
        return Request("echo", [tensor], parameters=asks, release=release, origin=self, **more)


class Target:
    """A family at work: its dispatcher, workers and backends; who asked."""

    def __init__(self) -> None:
        self.poisoned: list[str] = []
        self.asked: list[Asked] = []
        self.events: list[threading.Event] = []
        metrics = Metrics(CollectorRegistry(), []).family("echo")
        limits = Limits(WORKERS, capacity_rows=4096)
        self.dispatcher = Dispatcher("echo", erratic, limits, metrics, Listeners(deliver))
        self.dispatcher.apply(PROFILES)
        self.arms = {p.arm: Moody(p.accuracy, self.poisoned) for p in PROFILES}
        self.loaded: dict[Arm, Any] = dict(self.arms)
        checks = Checks(FAMILY, {"default": 1.0}, finite=True)
        served = ServedFamily(FAMILY, FAMILY, checks, self.dispatcher, metrics, cast("Any", None))
        self.intake = Intake({"echo": served}, Unserved(), _hear)
        samples = Samples(1.0, None)
        samples.want(wanted=True)
        context = WorkerContext(
            FAMILY,
            self.dispatcher,
            self.loaded,
            dict.fromkeys(ACCURACIES, "fp32"),
            samples,
            lambda *_: None,
            SampleRows(FAMILY),
        )
        self.pool = WorkerPool(context, threading.Lock)
        self.pool.start(WORKERS)

    def ask(self, asked: Asked) -> None:
        """Send it."""
        self.asked.append(asked)
        asked.job = self.intake.check(asked.request())
        self.intake.submit(asked.job)

    def cancel(self, asked: Asked) -> None:
        """Leave, if that is possible."""
        assert asked.job is not None
        asked.cancelled = self.intake.withdraw(asked.job)
        if asked.cancelled:
            asked.ended.set()

    def free(self) -> None:
        """Let everything that hangs return, and wait until nobody reads anybody's rows."""
        for event in [*self.events, *(backend.freed for backend in self.arms.values())]:
            event.set()
        for thread in threading.enumerate():
            if thread.name == "worker-echo":
                thread.join(PATIENCE_S)

    def stop(self) -> None:
        """As an engine does, with little patience."""
        self.dispatcher.close()
        self.dispatcher.await_idle(0.2)
        self.dispatcher.abandon()
        self.pool.join()
        self.dispatcher.abandon()


def erratic(arms: Sequence[ArmProfile]) -> Policy:
    """Any arm for the first who is not late, and some of those behind, whatever that is worth: pieces go everywhere."""
    if not arms:
        raise ValueError("no arms")
    rng = random.Random(len(arms))

    def decide(tickets: Sequence[Ticket], _outlook: Outlook, now_s: float) -> Decision:
        late = tuple(Drop(one, "late") for one in tickets if one.deadline_s < now_s)
        left = tickets[len(late) :]
        if not left:
            return Idle(late)
        first = left[0]
        able = [a for a in arms if first.accepts(a) and first.rows <= a.max_batch]
        arm, batch = rng.choice(able), [first]
        for one in left[1 : rng.randint(1, 6)]:
            if one.accepts(arm) and sum(t.rows for t in batch) + one.rows <= arm.max_batch:
                batch.append(one)
        return Run(arm, tuple(batch), "some", late)

    return decide


def _hear(answers: Sequence[Answer]) -> None:
    for answer in answers:
        asked = answer.request.origin
        assert isinstance(asked, Asked)
        asked.answers.append(answer)
        asked.ended.set()


def client(target: Target, which: int, until_s: float) -> None:
    """Asks for all sorts, some at a time, and leaves some of them early."""
    rng, first = random.Random(which), which * 1_000_000.0
    while time.monotonic() < until_s:
        some: list[Asked] = []
        for _ in range(rng.randint(1, 5)):
            rows = rng.choice([1, 2, 7, 9, 17, 40, 64])
            pin = rng.choice(["", "", "", *ACCURACIES])
            least = 0.0 if pin else rng.choice([0.0, 0.0, 0.65, 0.75])
            some.append(Asked(first, rows, least, pin))
            first += rows
            target.ask(some[-1])
        time.sleep(rng.choice([0.0, 0.0, 0.002]))
        for one in some:
            if rng.random() < 0.3:
                target.cancel(one)
        for one in some:
            one.ended.wait(PATIENCE_S)
        if all(one.answers and isinstance(one.answers[0].error, NotReady) for one in some):
            time.sleep(0.02)


def enemy(target: Target, seed: int, until_s: float) -> None:
    """Changes moods, takes arms away and brings them back, and lets more or fewer workers serve."""
    rng = random.Random(seed)
    while time.monotonic() < until_s:
        profile = rng.choice(PROFILES)
        arm = target.arms[profile.arm]
        match rng.randrange(4):
            case 0 | 1:
                if rng.random() < 0.7:
                    arm.freed.set()
                arm.freed = threading.Event()
                target.events.append(arm.freed)
                arm.mood = rng.choice(["well"] * 5 + ["fails", "hangs", "crawls"])
            case 2:
                left = rng.sample(PROFILES, rng.randint(1, 3))
                target.dispatcher.apply(left)
                for one, backend in target.arms.items():
                    target.loaded.pop(one, None)
                    if one in {p.arm for p in left}:
                        target.loaded[one] = backend
            case _:
                target.dispatcher.resize(rng.randint(1, WORKERS))
        time.sleep(rng.uniform(0.0, 0.05))


def check(asked: Asked) -> None:
    """What holds of every request, however it ended."""
    assert len(asked.answers) + asked.cancelled == 1, asked
    assert asked.released == 1, asked
    for answer in asked.answers:
        if answer.error is not None:
            assert isinstance(answer.error, RequestError)
            continue
        y, execution = answer.outputs["y"], answer.execution
        assert execution is not None
        np.testing.assert_array_equal(y[:, 0], asked.first + np.arange(asked.rows))
        by = {name for name, accuracy in ACCURACIES.items() if np.float32(accuracy) in y[:, 1]}
        assert execution.variant == min(by, key=lambda name: ACCURACIES[name])
        assert execution.variants in {(), tuple(sorted(by, key=lambda name: ACCURACIES[name]))}
        assert execution.variants or len(by) == 1
        assert execution.accuracy >= asked.least
        assert by == {asked.pin} or not asked.pin


def test_every_large_request_ends_once_with_its_rows_in_place():
    target, begun_s = Target(), time.monotonic()
    clients = [_thread(client, target, n, begun_s + ASKED_S) for n in range(1, 5)]
    trouble = _thread(enemy, target, 7, begun_s + ATTACKED_S)

    trouble.join(PATIENCE_S)
    for profile in target.dispatcher.arms[:1]:
        target.arms[profile.arm].mood = "hangs"
        target.ask(Asked(9_000_000.0, 20, 0.0, profile.arm.variant))
        time.sleep(0.05)  # some get into it
    target.stop()
    for thread in clients:
        thread.join(PATIENCE_S)
    unended = [asked for asked in target.asked if not asked.ended.is_set()]
    target.free()

    assert not unended
    assert not target.poisoned
    for asked in target.asked:
        check(asked)
    executions = [answer.execution for one in target.asked for answer in one.answers]
    assert any(execution and len(execution.variants) > 1 for execution in executions)


def _thread(work: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread
