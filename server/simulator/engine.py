"""The live dispatcher's decisions without its clock: its queue, admission, forecast and policy on an event heap."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from time import perf_counter

from server.policy.admission import Admit, admission
from server.policy.decision import (
    ArmProfile,
    Idle,
    Outlook,
    PolicyFactory,
    Run,
    Ticket,
    WaitUntil,
)
from server.policy.forecast import Arrivals, observe, rate_rps
from server.policy.tickets import Queue
from server.simulator.noise import Noise, Spell, stretch
from server.simulator.outcomes import Outcomes

FOREVER_S = float("inf")


@dataclass(frozen=True, slots=True)
class Setup:
    """What is simulated besides the arms and the arrivals."""

    slo_s: float
    workers: int = 1
    capacity_rows: int = 4096
    noise: Noise = field(default_factory=Noise)
    spell: Spell = field(default_factory=Spell)
    seed: int = 0


def simulate(
    arms: Sequence[ArmProfile], factory: PolicyFactory, tickets: Sequence[Ticket], setup: Setup
) -> Outcomes:
    """Serve `tickets` (sorted by arrival) with the policy and tell what became of them. Same seed, same outcome.

    Only the decision times differ between runs. Raises ValueError if the policy cannot be built for `arms`.
    """
    return _Simulation(arms, factory, setup).run(tickets)


def tickets_at(times_s: Sequence[float], slo_s: float) -> list[Ticket]:
    """One plain ticket of one row per arrival time."""
    return [Ticket(i, t, t + slo_s) for i, t in enumerate(times_s)]


class _Simulation:
    """The shell's state: who waits, who works, what has been seen."""

    def __init__(self, arms: Sequence[ArmProfile], factory: PolicyFactory, setup: Setup) -> None:
        self._policy = factory(arms)
        self._admit = admission(arms, setup.capacity_rows)
        self._latency = stretch(setup.noise, setup.spell, setup.seed)
        self._workers = setup.workers
        self._idle = setup.workers
        self._queue = Queue()
        self._seen = Arrivals()
        self._running: list[tuple[float, int, Run]] = []
        self._wake_s = FOREVER_S
        self._outcomes = Outcomes()

    def run(self, tickets: Sequence[Ticket]) -> Outcomes:
        coming = iter(tickets)
        arrival = next(coming, None)
        while arrival or self._running or self._queue:
            arrival_s = arrival.arrival_s if arrival else FOREVER_S
            finish_s = self._running[0][0] if self._running else FOREVER_S
            now_s = min(arrival_s, finish_s, self._wake_s)
            if now_s == finish_s:
                self._finish()
            elif now_s == arrival_s and arrival:
                self._arrive(arrival)
                arrival = next(coming, None)
            elif now_s == FOREVER_S:
                raise ValueError("the policy is idle while tickets wait: it must run, wait or drop")
            self._dispatch(now_s)
        return self._outcomes

    def _arrive(self, ticket: Ticket) -> None:
        self._outcomes.offered(ticket)
        self._seen = observe(self._seen, ticket.rows, ticket.arrival_s)
        verdict = self._admit(ticket, self._queue.rows, ticket.arrival_s)
        if isinstance(verdict, Admit):
            self._queue.push(ticket)
        else:
            self._outcomes.refused(ticket, verdict.reason)

    def _finish(self) -> None:
        now_s, _, run = heappop(self._running)
        self._idle += 1
        self._outcomes.answered(run, now_s)

    def _dispatch(self, now_s: float) -> None:
        self._wake_s = FOREVER_S
        while self._idle and self._queue:
            outlook = Outlook(rate_rps(self._seen, now_s), self._workers)
            started = perf_counter()
            decision = self._policy(self._queue, outlook, now_s)
            self._outcomes.decided(perf_counter() - started)
            for drop in decision.dropped:
                self._outcomes.refused(drop.ticket, drop.reason)
            self._queue.pop(drop.ticket for drop in decision.dropped)
            match decision:
                case Run():
                    self._start(decision, now_s)
                case WaitUntil(at_s):
                    self._wake_s = at_s
                    return
                case Idle():
                    return

    def _start(self, run: Run, now_s: float) -> None:
        self._queue.pop(run.tickets)
        self._idle -= 1
        finish_s = now_s + self._latency(run.arm.mean_s[run.rows], now_s)
        heappush(self._running, (finish_s, run.tickets[0].id, run))
