"""The data plane under every front: requests in, answers out. It binds no port and knows no protocol."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from itertools import islice
from types import TracebackType
from typing import Self

from prometheus_client import CollectorRegistry

from models.backends.base import BackendError
from models.catalog import Family
from profiler.hardware.changes import DeviceBack, DeviceLost
from profiler.hardware.fingerprint import Hardware
from server.config import Config
from server.engine.delivery import deliver
from server.engine.description import Description, described
from server.engine.families.families import Families, configured, found_for
from server.engine.families.lifecycle import Lifecycle
from server.engine.families.marks import marks
from server.engine.intake import Intake
from server.engine.machine import Kinds, Machine
from server.engine.parts import Neighbours
from server.engine.pending import Pending
from server.engine.places import root_of
from server.engine.served import ServedFamily
from server.engine.unserved import Unserved
from server.engine.values import Answer, Deliver, Request
from server.errors import BadConfiguration, BadInput, RequestError
from server.metrics import Metrics
from server.metrics.memory import watch_arms_memory
from server.metrics.process import watch_process
from server.runtime.arms.idleness import LEAST_S, Idleness
from server.runtime.arms.work_queue import WorkQueue
from server.runtime.dispatch.explained import DecisionLog
from server.runtime.dispatch.journal import Journal

_log = logging.getLogger(__name__)

TICK_MOST_S = 0.5
"""The tuner looks so often (s) at least whether an idle moment is of use, however long nobody has asked."""
REVIVE_MOST_S = 0.25
"""What keeps everybody out is doubted so often (s) at least, however long nobody has asked."""


class Engine:
    """The families of a repository, served in this process. Raises BadConfiguration for what cannot be started.

    `changed` is called, from any thread, whenever readiness may be another; `carried_rows`: how many rows of a family
    have outputs that the answers of its fronts can carry; `last`: what else is to be loaded, after the families, on the
    same thread. It raises BadConfiguration where the engine is to end.
    """

    def __init__(
        self,
        config: Config,
        *,
        changed: Callable[[], None] = lambda: None,
        carried_rows: Callable[[Family], int] = lambda _family: sys.maxsize,
        last: Callable[[], None] = lambda: None,
    ) -> None:
        self._config = config
        self._changed = changed
        self._last = last
        self._leaving = threading.Event()
        self._stopping = threading.Event()
        seen = marks(root_of(config))
        found = found_for(config)
        slos_s = [configured(one, config).slo.latency_s for one in found.families.values()]
        self.metrics = Metrics(CollectorRegistry(), slos_s)
        self._machine = Machine(config.machine.watch_every_s, self.metrics, self._moved)
        neighbours = Neighbours(
            deliver,
            changed,
            carried_rows,
            self._machine.shared,
            renewed=self._renew,
        )
        self._families = Families(found, config, self._machine, self.metrics, neighbours)
        self.families: Mapping[str, ServedFamily] = self._families.serving
        """By name, as they are at the moment; those that could not be loaded too."""
        watch_arms_memory(self.registry, self._families.memory)
        self._tasks = WorkQueue()
        self.lifecycle = Lifecycle(self._families, config, self._tasks, changed, seen)
        """Loads and unloads families."""
        watch_process(self.registry)
        self._look_at_s = 0.0
        self._tuning = threading.Thread(target=self._tune, name="tuner", daemon=True)
        self._reviving = threading.Thread(target=self._revive, name="reviver", daemon=True)
        self._log = _decision_log(self.families, config)
        self._intake = self.intake(_nowhere)
        self._on_failure: Callable[[str], None] = _log.error

    @property
    def unserved(self) -> Unserved:
        """Families of the repository that are not served, and why."""
        return self._families.unserved

    @property
    def registry(self) -> CollectorRegistry:
        """Where the metrics are."""
        return self.metrics.registry

    @property
    def is_ready(self) -> bool:
        """Whether every family that can be served has an arm, and the engine is not leaving."""
        return not self.is_leaving and self._families.is_ready

    @property
    def is_leaving(self) -> bool:
        """Whether `leave`, `stop` or `refuse` has been called."""
        return self._leaving.is_set() or self.is_stopping

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` or `refuse` has been called."""
        return self._stopping.is_set()

    def serves(self, name: str) -> bool:
        """Whether the family of this name has an arm, and the engine is not leaving."""
        return not self.is_leaving and self._families.is_up(name)

    def describe(self) -> Description:
        """What there is, and in which state. Any thread."""
        return Description(self.is_ready, described(self.families, self.unserved))

    def start(self, on_failure: Callable[[str], None] | None = None) -> None:
        """Take requests at once; families become ready one after the other, smallest variant first.

        `on_failure` is called from another thread, with the reason, once no family turns out to have an arm that loads,
        or, if strict, one has none.
        """
        self._on_failure = on_failure or self._on_failure
        for unit in self._families.units.copy().values():
            unit.start()
        if self._log is not None:
            self._log.start()
        self._tuning.start()
        self._reviving.start()
        self._machine.start()

    def infer(self, request: Request) -> "Future[Answer]":
        """Answer a request. The future has an Answer, or raises RequestError; cancelled, it need not be run any more.

        Any thread. For fronts that collect requests there is `intake`.
        """
        pending = Pending(self._intake.withdraw)
        try:
            pending.job = job = self._intake.check(request, pending.settle)
        except RequestError as error:
            pending.set_exception(error)
        except (TypeError, ValueError, AttributeError) as error:
            pending.set_exception(BadInput(f"no request: {type(error).__name__}: {error}"))
        else:
            self._intake.submit(job)
        return pending

    def intake(self, to: Deliver) -> Intake:
        """A way in for a front that collects requests, and is given answers in batches by `to`."""
        return Intake(self.families, self.unserved, to)

    def await_ready(self, patience_s: float) -> bool:
        """Return when every family that can be served is, or when `patience_s` are over; whether it is so."""
        until_s = time.monotonic() + patience_s
        while not self.is_ready and time.monotonic() < until_s:
            time.sleep(LEAST_S)
        return self.is_ready

    def leave(self) -> None:
        """Be ready no more, so that nobody new is sent here; whoever comes is still served."""
        self._leaving.set()
        self._changed()

    def refuse(self) -> None:
        """Take no more requests; what waits is still served."""
        self._stopping.set()
        self._changed()
        self._machine.stop()
        self.lifecycle.refuse()
        for unit in self._families.units.copy().values():
            unit.stop()
        self._tasks.end()

    def abandon(self) -> None:
        """Answer what still waits with an error."""
        for one in dict(self.families).values():
            one.dispatcher.abandon()

    def stop(self) -> None:
        """Refuse new requests, answer what waits within `drain_s`, abandon what is left then, unload."""
        self.refuse()
        until_s = time.monotonic() + self._config.server.drain_s
        for one in dict(self.families).values():
            one.dispatcher.await_idle(max(0.0, until_s - time.monotonic()))
        self.abandon()
        self.join()

    def join(self) -> None:
        """Return when all threads have ended, after `refuse`; unload."""
        if self._log is not None:
            self._log.stop()
        if self._tuning.ident is None:  # it was never started
            return
        self._tuning.join(self._config.server.drain_s)
        self._reviving.join()
        self.lifecycle.join()
        for unit in self._families.units.copy().values():
            unit.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    def _tune(self) -> None:
        """The tuner's thread: first make every family ready, and what else there is; then whatever comes up.

        Each family has one arm before any has its second: that may take long to measure.
        """
        coming = {name: unit.preparing() for name, unit in self._families.units.copy().items()}
        for arms in (1, sys.maxsize):
            for name, preparing in coming.items():
                if end := self._prepare(name, islice(preparing, arms)):
                    self._on_failure(end)
                    return
                self._changed()
        try:
            self._last()
        except BadConfiguration as error:
            self._on_failure(str(error))
            return
        self._changed()
        idleness = Idleness(self._families.activity, TICK_MOST_S)
        self._tasks.work(idleness.wait_s, self._tick)

    def _revive(self) -> None:
        """Until stopped: a family is not to be kept out for as long as others, or its own new arms, are measured."""
        idleness = Idleness(self._families.activity, REVIVE_MOST_S)
        while not self._stopping.wait(idleness.wait_s()):
            for unit in self._families.served():
                try:
                    unit.revive()
                except Exception:  # noqa: BLE001 - the other families, and the next time
                    _log.exception("what was learnt could not be doubted; serving goes on with it")

    def _prepare(self, name: str, preparing: Iterator[None]) -> str:
        """Go through these steps to a family that serves; why the engine is to end where it cannot be loaded, empty
        where it goes on."""
        try:
            for _ in preparing:
                pass
        except (BackendError, BadConfiguration) as error:
            return self._families.failed(name, str(error))
        except Exception as error:  # noqa: BLE001 - whatever a runtime makes of one family, the others serve
            _log.debug("family %s cannot be loaded", name, exc_info=error)
            return self._families.failed(
                name, f"family {name} cannot be loaded: {type(error).__name__}: {error}"
            )
        return ""

    def _tick(self) -> None:
        for unit in self._families.served():
            unit.tick()
        every_s = self._config.models.watch_every_s
        if every_s and time.monotonic() >= self._look_at_s:
            self.lifecycle.look()
            self._look_at_s = time.monotonic() + every_s

    def _renew(self, name: str) -> None:
        self.lifecycle.renewed(name)

    def _moved(self, hardware: Hardware, kinds: Kinds) -> None:
        """The hardware is not what it was; called from the watch's thread."""
        for unit in self._families.served():
            if DeviceLost in kinds:
                unit.forget_devices()
            unit.moved_to(hardware, self._tasks)
            if DeviceBack in kinds:
                unit.retake_devices(self._tasks)


def _nowhere(_answers: Sequence[Answer]) -> None:
    raise RuntimeError("a request of no front has a receiver of its own")


def _decision_log(families: Mapping[str, ServedFamily], config: Config) -> DecisionLog | None:
    if not config.policy.log_decisions_every_s:
        return None

    def journals() -> dict[str, Journal]:
        return {name: one.dispatcher.journal for name, one in dict(families).items()}

    return DecisionLog(journals, config.policy.log_decisions_every_s)
