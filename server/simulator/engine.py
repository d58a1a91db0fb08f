"""The live dispatcher's decisions without its clock: its queue, admission, forecast and policy on an event heap."""

from collections.abc import Callable, Sequence
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
from server.policy.queueing.admission import HOPELESS, Admit
from server.policy.queueing.forecast import (
    Arrivals,
    burst_rows,
    clump_rows,
    observe,
    rate_rps,
)
from server.policy.queueing.late_queue import REASON, LateQueue
from server.policy.queueing.standing import Standing
from server.policy.queueing.tickets import Queue
from server.simulator.noise import stretch
from server.simulator.outcomes import Outcomes
from server.simulator.policy_in_force import PolicyInForce
from server.simulator.setup import Setup, Switching

FOREVER_S = float("inf")
TICK_S = 1e-9
"""A batch that starts this instant has run for so long (s): to have a logarithm; so short, it tells nothing."""


class SimulatedBatch(NamedTuple):
    """A batch on a worker that ran `after` before: from `started_s`, `took_s` in the backend, `busy_s` of its time."""

    run: Run
    rows: int
    worker: int
    started_s: float
    took_s: float
    busy_s: float
    after: Arm | None


class _Seat(NamedTuple):
    """An idle worker, what it ran before, what the change costs in the backend (s), and loading besides it."""

    worker: int
    after: Arm | None
    change_s: float
    load_s: float


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
    return Simulation(arms, factory, setup, truth or arms).run(tickets)


def tickets_at(times_s: Sequence[float], slo_s: float) -> list[Ticket]:
    """One plain ticket of one row per arrival time."""
    return [Ticket(i, t, t + slo_s) for i, t in enumerate(times_s)]


def _check_truth(arms: Sequence[ArmProfile], truth: Sequence[ArmProfile]) -> None:
    reach = {arm.arm: arm.max_batch for arm in truth or arms}
    short = [a.arm.variant for a in arms if reach.get(a.arm, 0) < a.max_batch]
    if short:
        raise ValueError(f"the truth lacks batch sizes of {', '.join(short)} that the policy knows")


class Simulation:
    """The shell's state: who waits, who works, what has been seen.

    `begin` it, and `step` until it `is_over`. `noted` sees every batch that ended, and when (s).
    """

    def __init__(
        self,
        arms: Sequence[ArmProfile],
        factory: PolicyFactory,
        setup: Setup,
        truth: Sequence[ArmProfile],
        noted: Callable[[SimulatedBatch, float], object] | None = None,
    ) -> None:
        self._noted = noted
        self._in_force = PolicyInForce(arms, factory, setup)
        self._mean_s = {arm.arm: arm.mean_s for arm in truth}
        self._latency = stretch(setup.noise, setup.spell, setup.seed)
        self._added_s = setup.noise.overhead_s
        self._workers = setup.workers
        self._bench = _Bench(setup.workers, setup.switching)
        self._queue = Queue()
        self._late = LateQueue()
        self._slo_s, self._capacity_rows = setup.slo_s, setup.capacity_rows
        self._seen = Arrivals(setup.slo_s)
        self._arrived = 0
        self._running: list[tuple[float, int, SimulatedBatch]] = []
        self._finished: list[Finished] = []
        self._wake_s = FOREVER_S
        self._standing = Standing(setup.weights, setup.percentile, setup.slo_s)
        self._tickets: Sequence[Ticket] = ()
        self._at = 0
        self._outcomes = Outcomes(())

    def run(self, tickets: Sequence[Ticket]) -> Outcomes:
        """Serve them all (sorted by arrival)."""
        self.begin(tickets)
        while not self.is_over:
            self.step()
        return self.outcomes

    def begin(self, tickets: Sequence[Ticket]) -> None:
        """These (sorted by arrival) will come."""
        self._tickets, self._at, self._outcomes = tickets, 0, Outcomes(tickets)

    @property
    def is_over(self) -> bool:
        """Whether nobody comes, waits or runs any more."""
        left = self._running or self._queue or self._late
        return not (self._at < len(self._tickets) or left)

    @property
    def outcomes(self) -> Outcomes:
        """What has become of the tickets."""
        self._outcomes.rebuilt = self._in_force.rebuilt
        return self._outcomes

    @property
    def running(self) -> int:
        """Workers that are at a batch."""
        return len(self._running)

    @property
    def next_s(self) -> float:
        """When (s) the next step is due."""
        event_s = self._event_s()
        if self._bench.idle and self._at < len(self._tickets):
            return min(event_s, self._tickets[self._at].arrival_s)
        return event_s

    def step(self) -> None:
        """Go on to the next event. Raises ValueError where there will be none, though tickets wait."""
        finish_s = self._running[0][0] if self._running else FOREVER_S
        now_s = self._arrivals(self._event_s())
        if now_s == FOREVER_S:
            raise ValueError(
                "the policy is idle while tickets wait: it must run, drop or wait until later"
            )
        if now_s == finish_s:
            self._finish()
        elif now_s == self._in_force.turn_s:
            self._in_force.turn(now_s)
        self._dispatch(now_s)

    def stretch(self, factor: float, now_s: float) -> None:
        """From `now_s` (s) on the batches that run take `factor` times as long as they would have."""
        for i, (finish_s, order, job) in enumerate(self._running):
            more_s = (factor - 1.0) * (finish_s - now_s)
            share = job.took_s / job.busy_s
            longer = job._replace(took_s=job.took_s + share * more_s, busy_s=job.busy_s + more_s)
            self._running[i] = (finish_s + more_s, order, longer)

    def _event_s(self) -> float:
        finish_s = self._running[0][0] if self._running else FOREVER_S
        return min(finish_s, self._wake_s, self._in_force.turn_s)

    def _arrivals(self, event_s: float) -> float:
        """Let arrivals in until the next event, or the first of them that an idle worker could take; the time then (s).

        The busy loop of a simulation: what it needs lies in local names.
        """
        tickets, queue, seen, now_s = self._tickets, self._queue, self._seen, event_s
        push, admit, idle = queue.push, self._in_force.admit, bool(self._bench.idle)
        deadlines, arrived, at, count = queue.deadlines, self._arrived, self._at, len(tickets)
        while at < count:
            ticket = tickets[at]
            arrival_s = ticket.arrival_s
            if arrival_s >= event_s:
                break
            at += 1
            arrived += ticket.rows
            if self._late:
                self._make_room(ticket)
            verdict = admit(ticket, queue.rows + self._late.rows, arrival_s, deadlines)
            if isinstance(verdict, Admit) or self._refused(ticket, verdict.reason):
                seen = observe(seen, ticket.rows, arrival_s)
                self._asked(ticket)
            if isinstance(verdict, Admit):
                push(ticket)
            else:
                admit = self._in_force.admit
            if idle:
                now_s = arrival_s
                break
        self._seen, self._arrived, self._at = seen, arrived, at
        return now_s

    def _asked(self, ticket: Ticket) -> None:
        rows, at_s = ticket.rows, ticket.arrival_s
        if self._is_promised(ticket):
            self._standing.offered(rows, at_s, self._in_force.pace_s)
        else:
            self._standing.asked(rows, ticket.deadline_s - at_s, ticket.slo_class, at_s)

    def _refused(self, ticket: Ticket, reason: str) -> bool:
        """Whether it counts: what nobody could serve says nothing, but for what the SLO promises."""
        room = self._queue.rows + self._late.rows + ticket.rows <= self._capacity_rows
        if ticket.soft and room and reason in {"late", "overloaded"}:
            self._late.push(ticket)
        else:
            self._outcomes.dropped[reason] += 1
        promised = ticket.rows == 1 and self._is_promised(ticket)
        counts = promised or reason not in HOPELESS
        if counts and reason not in {"too_large", "unservable"}:
            self._standing.ended(ticket.slo_class, in_time=False, promised=promised)
        self._in_force.revive(ticket.arrival_s)
        return counts

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
        if self._noted is not None:
            self._noted(job, now_s)
        if run.reason != REASON:  # else that was told when they were missed
            for ticket in run.tickets:
                self._ended(ticket, in_time=now_s <= ticket.deadline_s)
        if self._in_force.measures:
            took = (job.took_s, job.busy_s, now_s)
            ran = LatencySample(run.profile.arm, job.rows, *took, after=job.after)
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
                    break
        self._dispatch_late(now_s)

    def _dispatch_late(self, now_s: float) -> None:
        while self._bench.idle and self._late and not self._queue:
            run = self._late.batch(self._in_force.arms, self._slo_s)
            if run is None:
                return
            for ticket in run.tickets:
                self._late.remove(ticket)
            self._begin(run, now_s)

    def _make_room(self, ticket: Ticket) -> None:
        """Those whose time is up give way to a new one."""
        over = self._queue.rows + self._late.rows + ticket.rows - self._capacity_rows
        if over > 0:
            self._outcomes.dropped["gave_way"] += len(self._late.give_way(over))

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
            self._standing.boldness,
            self._bench.last,
            self._standing.haste(now_s),
            self._busy_s(now_s),
        )

    def _busy_s(self, now_s: float) -> float:
        """How long (s) the batches that run are expected to go on, added up."""
        jobs = [job for _, _, job in self._running]
        return sum([job.run.profile.left_s(job.rows, now_s - job.started_s) for job in jobs])

    def _drop(self, drops: Sequence[Drop]) -> None:
        gone = [drop.ticket for drop in drops]
        self._outcomes.dropped.update([drop.reason for drop in drops if not drop.ticket.soft])
        for ticket in gone:
            self._ended(ticket, in_time=False)
            if ticket.soft:
                self._late.push(ticket)
        self._queue.pop(gone)

    def _start(self, run: Run, now_s: float) -> None:
        self._queue.pop(run.tickets)
        self._begin(run, now_s)

    def _begin(self, run: Run, now_s: float) -> None:
        rows = run.rows
        arm = run.profile.arm
        seat = self._bench.take(arm)
        took_s = self._latency(self._mean_s[arm][rows], now_s, arm.variant) + seat.change_s
        self._outcomes.switches += seat.after not in {None, arm}
        busy_s = took_s + self._added_s + seat.load_s
        job = SimulatedBatch(run, rows, seat.worker, now_s, took_s, busy_s, seat.after)
        heappush(self._running, (now_s + busy_s, run.tickets[0].id, job))


class _Bench:
    """The idle workers, and which arm each ran last."""

    def __init__(self, workers: int, switching: Switching) -> None:
        self.idle = list(range(workers))
        self._last: list[Arm | None] = [None] * workers
        self._loaded: set[Arm] = set()
        self._switching = switching
        self._free = switching == Switching()

    @property
    def last(self) -> Arm | None:
        """What the idle worker ran last that is next."""
        return self._last[self.idle[-1]]

    def take(self, arm: Arm) -> _Seat:
        """An idle worker for a batch on `arm`: the one that ran it last if it can be."""
        worker, switching = self.idle[-1], self._switching
        if not self._free and self._last[worker] != arm:
            worker = next((w for w in reversed(self.idle) if self._last[w] == arm), worker)
        self.idle.remove(worker)
        after, self._last[worker] = self._last[worker], arm
        change_s = 0.0 if after in {None, arm} else switching.change_s
        load_s = 0.0 if arm in self._loaded else switching.load_s
        self._loaded.add(arm)
        return _Seat(worker, after, change_s, load_s)
