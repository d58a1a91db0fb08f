"""The live dispatcher's decisions without its clock: its queue, admission, forecast and policy on an event heap."""

from collections.abc import Sequence
from heapq import heappop, heappush
from time import perf_counter
from typing import NamedTuple

from server.policy.arms.retune import LatencySample, RunningBatch
from server.policy.decision import (
    Arm,
    ArmProfile,
    Drop,
    Finished,
    Idle,
    Outlook,
    PolicyFactory,
    Run,
    Ticket,
    WaitUntil,
)
from server.policy.queueing.admission import Admit
from server.policy.queueing.forecast import (
    Arrivals,
    burst_rows,
    clump_rows,
    observe,
    rate_rps,
)
from server.policy.queueing.standing import Standing
from server.policy.queueing.tickets import Queue
from server.simulator.noise import stretch
from server.simulator.outcomes import Outcomes
from server.simulator.policy_in_force import PolicyInForce
from server.simulator.setup import Setup, Switching

FOREVER_S = float("inf")
TICK_S = 1e-9
"""A batch that starts this instant has run for so long."""


class _Job(NamedTuple):
    """A batch on a worker: from `started_s`, `took_s` in the backend, `busy_s` of the worker's time."""

    run: Run
    rows: int
    worker: int
    started_s: float
    took_s: float
    busy_s: float


def simulate(
    arms: Sequence[ArmProfile],
    factory: PolicyFactory,
    tickets: Sequence[Ticket],
    setup: Setup,
    truth: Sequence[ArmProfile] = (),
) -> Outcomes:
    """Serve `tickets` (sorted by arrival) with the policy and tell what became of them. Same seed, same outcome.

    Only the decision times differ between runs. The policy knows `arms`; batches cost what `truth` says of the same
    arms, where it is given. Raises ValueError if the policy cannot be built for `arms`, or `truth` lacks one of them.
    """
    _check_truth(arms, truth)
    return _Simulation(arms, factory, setup, truth or arms).run(tickets)


def tickets_at(times_s: Sequence[float], slo_s: float) -> list[Ticket]:
    """One plain ticket of one row per arrival time."""
    return [Ticket(i, t, t + slo_s) for i, t in enumerate(times_s)]


def _check_truth(arms: Sequence[ArmProfile], truth: Sequence[ArmProfile]) -> None:
    reach = {arm.arm: arm.max_batch for arm in truth or arms}
    short = [a.arm.variant for a in arms if reach.get(a.arm, 0) < a.max_batch]
    if short:
        raise ValueError(f"the truth lacks batch sizes of {', '.join(short)} that the policy knows")


class _Simulation:
    """The shell's state: who waits, who works, what has been seen."""

    def __init__(
        self,
        arms: Sequence[ArmProfile],
        factory: PolicyFactory,
        setup: Setup,
        truth: Sequence[ArmProfile],
    ) -> None:
        self._in_force = PolicyInForce(arms, factory, setup)
        self._mean_s = {arm.arm: arm.mean_s for arm in truth}
        self._latency = stretch(setup.noise, setup.spell, setup.seed)
        self._added_s = setup.noise.overhead_s
        self._workers = setup.workers
        self._bench = _Bench(setup.workers, setup.switching)
        self._queue = Queue()
        self._seen = Arrivals(setup.slo_s)
        self._arrived = 0
        self._running: list[tuple[float, int, _Job]] = []
        self._finished: list[Finished] = []
        self._wake_s = FOREVER_S
        self._standing = Standing(setup.weights, setup.percentile, setup.slo_s)
        self._outcomes = Outcomes(())

    def run(self, tickets: Sequence[Ticket]) -> Outcomes:
        self._outcomes = Outcomes(tickets)
        at, count = 0, len(tickets)
        while at < count or self._running or self._queue:
            finish_s = self._running[0][0] if self._running else FOREVER_S
            event_s = min(finish_s, self._wake_s, self._in_force.turn_s)
            at, now_s = self._arrivals(tickets, at, event_s)
            if now_s == FOREVER_S:
                raise ValueError(
                    "the policy is idle while tickets wait: it must run, drop or wait until later"
                )
            if now_s == finish_s:
                self._finish()
            elif now_s == self._in_force.turn_s:
                self._in_force.turn(now_s)
            self._dispatch(now_s)
        self._outcomes.rebuilt = self._in_force.rebuilt
        return self._outcomes

    def _arrivals(self, tickets: Sequence[Ticket], at: int, event_s: float) -> tuple[int, float]:
        """Let arrivals in until the next event, or the first of them that an idle worker could take: (next, now_s).

        The busy loop of a simulation: what it needs lies in local names.
        """
        queue, admit, seen = self._queue, self._in_force.admit, self._seen
        push, idle, count, now_s = queue.push, bool(self._bench.idle), len(tickets), event_s
        deadlines, arrived = queue.deadlines, self._arrived
        while at < count:
            ticket = tickets[at]
            arrival_s = ticket.arrival_s
            if arrival_s >= event_s:
                break
            at += 1
            rows = ticket.rows
            arrived += rows
            seen = observe(seen, rows, arrival_s)
            self._asked(ticket)
            verdict = admit(ticket, queue.rows, arrival_s, deadlines)
            if isinstance(verdict, Admit):
                push(ticket)
            else:
                self._refused(ticket, verdict.reason)
                admit = self._in_force.admit
            if idle:
                now_s = arrival_s
                break
        self._seen, self._arrived = seen, arrived
        return at, now_s

    def _asked(self, ticket: Ticket) -> None:
        rows, at_s = ticket.rows, ticket.arrival_s
        if self._is_promised(ticket):
            self._standing.offered(rows, at_s, self._in_force.pace_s)
        else:
            self._standing.asked(rows, ticket.deadline_s - at_s, ticket.slo_class, at_s)

    def _refused(self, ticket: Ticket, reason: str) -> None:
        self._outcomes.dropped[reason] += 1
        promised = ticket.rows == 1 and self._is_promised(ticket)
        if reason not in {"too_large", "unservable"}:  # what no decision could have changed
            self._standing.ended(ticket.slo_class, in_time=False, promised=promised)
        self._in_force.revive(ticket.arrival_s)

    def _ended(self, ticket: Ticket, *, in_time: bool) -> None:
        promised = self._is_promised(ticket)
        self._standing.ended(ticket.slo_class, in_time=in_time, promised=promised)

    def _is_promised(self, ticket: Ticket) -> bool:
        bound_s = ticket.deadline_s - ticket.arrival_s
        return self._standing.is_promised(bound_s, ticket.min_accuracy, ticket.variant)

    def _finish(self) -> None:
        now_s, _, job = heappop(self._running)
        run = job.run
        self._bench.idle.append(job.worker)
        self._finished.append(Finished(run.profile.arm, job.rows, job.busy_s))
        self._outcomes.answered(run, job.rows, now_s)
        for ticket in run.tickets:
            self._ended(ticket, in_time=now_s <= ticket.deadline_s)
        if self._in_force.measures:
            ran = LatencySample(run.profile.arm, job.rows, job.took_s, job.busy_s, now_s)
            self._in_force.ran(ran, self._still_running(now_s))

    def _still_running(self, now_s: float) -> tuple[RunningBatch, ...]:
        return tuple(
            [
                RunningBatch(job.run.profile.arm, job.rows, max(now_s - job.started_s, TICK_S))
                for _, _, job in self._running
            ]
        )

    def _dispatch(self, now_s: float) -> None:
        self._wake_s = FOREVER_S
        while self._bench.idle and self._queue:
            outlook = self._outlook(now_s)
            started = perf_counter()
            decision = self._in_force.policy(self._queue, outlook, now_s)
            self._outcomes.decisions_s.append(perf_counter() - started)
            if decision.dropped:
                self._drop(decision.dropped)
            match decision:
                case Run():
                    self._start(decision, now_s)
                case WaitUntil(at_s):
                    self._wake_s = at_s if at_s > now_s else FOREVER_S
                    return
                case Idle():
                    return

    def _outlook(self, now_s: float) -> Outlook:
        finished = tuple(self._finished)
        self._finished.clear()
        return Outlook(
            rate_rps(self._seen, now_s),
            self._workers,
            self._arrived,
            finished,
            self._standing.values(now_s),
            clump_rows(self._seen),
            burst_rows(self._seen),
            self._standing.caution,
            self._standing.haste(now_s),
        )

    def _drop(self, drops: Sequence[Drop]) -> None:
        gone = [drop.ticket for drop in drops]
        self._outcomes.dropped.update([drop.reason for drop in drops])
        for ticket in gone:
            self._ended(ticket, in_time=False)
        self._queue.pop(gone)

    def _start(self, run: Run, now_s: float) -> None:
        self._queue.pop(run.tickets)
        rows = run.rows
        arm = run.profile.arm
        worker, change_s = self._bench.take(arm)
        took_s = self._latency(self._mean_s[arm][rows], now_s, arm.variant)
        busy_s = took_s + self._added_s + change_s
        job = _Job(run, rows, worker, now_s, took_s, busy_s)
        heappush(self._running, (now_s + busy_s, run.tickets[0].id, job))


class _Bench:
    """The idle workers, and which arm each ran last."""

    def __init__(self, workers: int, switching: Switching) -> None:
        self.idle = list(range(workers))
        self._last: list[Arm | None] = [None] * workers
        self._loaded: set[Arm] = set()
        self._switching = switching
        self._free = switching == Switching()

    def take(self, arm: Arm) -> tuple[int, float]:
        """(an idle worker, the one that ran `arm` last if it can be; what changing costs it in s)."""
        if self._free:
            return self.idle.pop(), 0.0
        worker = next((w for w in reversed(self.idle) if self._last[w] == arm), self.idle[-1])
        self.idle.remove(worker)
        cost_s = 0.0 if self._last[worker] in {None, arm} else self._switching.change_s
        cost_s += 0.0 if arm in self._loaded else self._switching.load_s
        self._last[worker] = arm
        self._loaded.add(arm)
        return worker, cost_s
