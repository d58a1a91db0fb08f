"""When measured runs may have the machine: none beside a live batch, none where a request could wait for it."""

import threading
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from models.catalog import Family
from profiler.hardware.cpu_waits import waited_s
from profiler.measuring.measure import BOUND_SLOS, Effort, Instruments
from profiler.measuring.terms import Terms
from server.runtime.dispatch.dispatcher import Dispatcher

BUSY_RPS = 1.0
BUSY_SLOS = 0.4
"""Where more requests come than BUSY_RPS, no run is foreseen to take more than so many SLOs: who comes in its midst is
still answered in time. What is left out is measured when it is quiet."""
PATIENCE_S = 0.2
"""A measured run waits so long (s) for an idle moment, then takes the next turn: a start under load must come to an
end, and an operator waits for it, whatever the SLO."""


class Slots:
    """Hands out turns between the batches of one family's workers."""

    def __init__(self, family: Family, dispatcher: Dispatcher) -> None:
        self._family = family
        self._dispatcher = dispatcher
        self._gates: list[threading.Lock] = []

    def gate(self) -> threading.Lock:
        """A lock for one worker to hold while it runs a batch: no measurement runs meanwhile."""
        gate = threading.Lock()
        self._gates.append(gate)
        return gate

    @property
    def are_disputed(self) -> bool:
        """Whether requests come too."""
        return self._dispatcher.load().rate_rps > BUSY_RPS

    def bound_s(self) -> float:
        """The latency up to which to measure now: less where requests come, which wait for a run's end."""
        slos = BUSY_SLOS if self.are_disputed else BOUND_SLOS
        return slos * self._family.slo.latency_s

    def effort(self, budget_s: float) -> Effort:
        """How long to measure, and up to which latency."""
        return Effort(budget_s, Terms(bound_s=self.bound_s()))

    def instruments(self) -> Instruments:
        """The real clock, a gate that holds every worker, and what the measuring thread waits for a CPU."""
        return Instruments(gate=self._alone, waited_s=waited_s)

    @contextmanager
    def _alone(self) -> Generator[None]:
        self._dispatcher.await_idle(PATIENCE_S)
        with ExitStack() as stack:
            for gate in self._gates:
                stack.enter_context(gate)
            yield
