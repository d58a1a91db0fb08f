"""One family's view of the metrics: events in; series, statistics and the last seconds' results out."""

import threading
import time
from collections import Counter as Counts
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from models.catalog import Slo
from profiler.hardware.fingerprint import Hardware
from server.metrics.lately import Lately, Region
from server.metrics.quick import Distribution, Total
from server.metrics.recent import Recent, Results
from server.metrics.records import ModelCounts, RanBatch, Served
from server.metrics.series import Series
from server.policy.decision import Arm

VERDICTS = ("promoted", "postponed", "rejected", "rolled_back")
"""What can become of a candidate."""
MOST_UNCOUNTED = 63
"""Answers that wait to be counted, until somebody reads: together they cost a fraction of what each alone does."""
_NOT_OURS = frozenset({"invalid", "cancelled"})
"""Ends that say nothing of how well this server does."""


class Metrics(Series):
    """All series, and a view of them for each family."""

    def runs_on(self, hardware: Hardware) -> None:
        """The hardware that the profiles hold for now."""
        self.hardware.clear()
        self.cores.set(hardware.cores)
        self.hardware.labels(hardware.fingerprint(), hardware.cpu, str(hardware.cores)).set(1)

    def may_change(self, what: Iterable[str]) -> None:
        """Begin the counts of these kinds of change at 0, so that the first one is an increase."""
        for kind in what:
            self.changes.labels(kind)

    def changed(self, what: str) -> None:
        """The hardware is not what it was."""
        self.changes.labels(what).inc()

    def connected(self, count: int, most: int, ended: int) -> None:
        """So many gRPC connections are there, of so many that may be; so many were ended just now to make room."""
        self.connections.set(count)
        self.connections_limit.set(most)
        self.connections_ended.inc(ended)

    def watch_ready(self, family: str, ready: Callable[[], bool]) -> None:
        """Read from this callable at every scrape whether the family serves."""
        self.family_ready.labels(family).set_function(lambda: float(ready()))

    def gone(self, family: str) -> None:
        """It is served no more: nothing waits, nothing is ready, and nothing of it is held."""
        self.depth.labels(family).set_function(lambda: 0.0)
        self.slo_caution.labels(family).set_function(lambda: 0.0)
        self.arms.labels(family).set(0)
        self.busy_workers.labels(family).set_function(lambda: 0.0)
        self.workers.labels(family).set_function(lambda: 0.0)
        for promised in (self.slo_s, self.slo_min_accuracy):
            promised.remove_by_labels({"family": family})

    def family(self, name: str) -> "FamilyMetrics":
        """The series of one family, its labels bound."""
        view, before = FamilyMetrics(self, name), self.views.get(name)
        self.views[name] = view
        if before is not None:  # it is forgotten here, and may still be answering
            before.most_uncounted = 0
            before.count()
        return view


class FamilyMetrics:
    """One family's view: the runtime reports events, this turns them into series and statistics."""

    def __init__(self, metrics: Series, name: str) -> None:  # noqa: PLR0915 - one statement for each series
        self._all = metrics
        self._name = name
        self._lock = threading.Lock()
        self._tally = ModelCounts()
        self._served: deque[Served] = deque()
        self.most_uncounted = MOST_UNCOUNTED
        """Answers that may wait to be counted."""
        self._speeds: dict[Arm, float] = {}
        self._recent, self._lately = Recent(), Lately()
        self._ended: Counts[str] = Counts()
        self._queue = metrics.queue_s.labels(name)
        self._accuracy = metrics.accuracy.labels(name)
        self._in_time = metrics.in_time.labels(name)
        self._decision = metrics.decision_s.labels(name)
        self._policy_failures = metrics.policy_failures.labels(name)
        self._error = metrics.error_ratio.labels(name)
        self._shadows = metrics.shadows.labels(name)
        self._switches = metrics.switches.labels(name)
        self._retried = metrics.retried.labels(name)
        self._quarantined = metrics.quarantined.labels(name)
        self._request: dict[str, Distribution] = {}
        self._outcomes: dict[tuple[str, str], Total] = {}
        self._reasons: dict[str, Total] = {}
        self._ran: dict[tuple[str, str], tuple[Distribution, Distribution, Total]] = {}
        self._arm_s: dict[tuple[str, str], tuple[Total, Total, Total]] = {}
        self._attainment: Callable[[str], float] | None = None
        self._promised: set[str] = set()

    def watch_depth(self, depth: Callable[[], float]) -> None:
        """Read the queue's depth from this callable at every scrape."""
        self._all.depth.labels(self._name).set_function(depth)

    def watch_workers(self, busy: Callable[[], float], most: Callable[[], float]) -> None:
        """Read from these at every scrape how many batches run, and how many may."""
        self._all.busy_workers.labels(self._name).set_function(busy)
        self._all.workers.labels(self._name).set_function(most)

    def watch_promises(
        self, slo: Slo, attainment: Callable[[str], float], caution: Callable[[], float]
    ) -> None:
        """The SLO; read at every scrape how it is kept, by class, and how careful the policy is for it."""
        self._attainment = attainment
        self._all.slo_percentile.labels(self._name).set(slo.percentile)
        self._all.slo_s.labels(self._name).set(slo.latency_s)
        self._all.slo_min_accuracy.labels(self._name).set(slo.min_accuracy)
        self._all.slo_caution.labels(self._name).set_function(caution)

    def decided(self, reason: str, took_s: float) -> None:
        """The policy ran a batch, or chose to wait, for `reason`."""
        counter = self._reasons.get(reason)
        if counter is None:
            counter = self._reasons[reason] = self._all.decisions.labels(self._name, reason)
        counter.inc()
        self._decision.observe(took_s)

    def policy_failed(self) -> None:
        """The policy in force failed to make a decision."""
        self._policy_failures.inc()

    def unrun(self, slo_class: str, outcome: str, slo_s: float = 0.0) -> None:
        """A request ended without running: `shed`, `expired`, `cancelled`, `not_ready`, or `failed` in its batch.

        `slo_s`: what it had been given in all, for the outcomes that say how well this server does.
        """
        with self._lock:
            self._count()
            self._outcome(slo_class, outcome)
            self._tally.fail += 1
            if outcome not in _NOT_OURS:
                now_s = time.monotonic()
                self._recent.ended(1, 0, 0.0, now_s)
                self._lately.ended(slo_s, None, now_s)

    def ran(self, batch: RanBatch) -> None:
        """A batch finished in its backend."""
        compute_s, batch_rows, rows = self._series_of(batch.variant, batch.precision)
        compute_s.observe(batch.compute_s)
        batch_rows.observe(batch.rows)
        rows.inc(batch.rows)
        self._error.observe(batch.compute_s / batch.predicted_s)
        predicted_s, profiled_s, measured_s = self._arm_seconds(batch.variant, batch.backend)
        predicted_s.inc(batch.predicted_s)
        profiled_s.inc(batch.profiled_s)
        measured_s.inc(batch.compute_s)
        if batch.switched:
            self._switches.inc()
        gather_ns, compute_ns = int(batch.gather_s * 1e9), int(batch.compute_s * 1e9)
        with self._lock:
            tally = self._tally
            tally.batches += 1
            tally.rows += batch.rows
            counts = tally.by_batch.setdefault(batch.rows, [0, 0, 0])
            counts[0] += 1
            counts[1] += gather_ns
            counts[2] += compute_ns
            self._lately.ran(batch.variant, batch.rows, time.monotonic())

    def answered(self, served: Iterable[Served]) -> None:
        """Answers went out. Any thread. They are counted together with others, before anybody reads."""
        self._served.extend(served)
        if len(self._served) > self.most_uncounted:
            self.count()

    def count(self) -> None:
        """Count what was answered and is not counted yet. Any thread."""
        with self._lock:
            self._count()

    def _count(self) -> None:
        """Called under the lock, and before anything else that ends is noted: clocks must not step back."""
        served = [self._served.popleft() for _ in range(len(self._served))]
        for slo_class in {one.slo_class for one in served}:
            self._count_class(slo_class, [one for one in served if one.slo_class == slo_class])
        if served:
            self._tally.last_ms = int((time.time() + served[-1].at_s - time.monotonic()) * 1e3)
        for _, group in groupby(served, lambda one: int(one.at_s)):
            some = list(group)
            accuracies = [one.accuracy for one in some if one.in_time]
            self._recent.ended(len(some), len(accuracies), sum(accuracies), some[-1].at_s)
            self._lately.answered(some)

    def _count_class(self, slo_class: str, served: Sequence[Served]) -> None:
        accuracies = [one.accuracy for one in served if one.in_time]
        ended, in_time, tally = len(served), len(accuracies), self._tally
        if in_time:
            self._outcome(slo_class, "ok", in_time)
        if in_time < ended:
            self._outcome(slo_class, "late", ended - in_time)
        self._queue.observe_all([one.queue_s for one in served])
        self._seconds(slo_class).observe_all([one.total_s for one in served])
        tally.success += ended
        tally.success_ns += sum([int(one.total_s * 1e9) for one in served])
        tally.queue_ns += sum([int(one.queue_s * 1e9) for one in served])
        tally.gather_ns += sum([int(one.gather_s * 1e9) for one in served])
        tally.compute_ns += sum([int(one.compute_s * 1e9) for one in served])
        self._in_time.inc(in_time)
        self._accuracy.inc(sum(accuracies))

    def arms_ready(self, count: int) -> None:
        """So many arms may be chosen now."""
        self._all.arms.labels(self._name).set(count)

    def quarantined(self, count: int) -> None:
        """So many arms are out of use now."""
        self._quarantined.set(count)

    def may_be_quarantined(self, variant: str, backend: str, reasons: Iterable[str]) -> None:
        """Begin the arm's counts at 0: a counter that first shows as 1 is no increase to Prometheus."""
        for reason in reasons:
            self._all.quarantines.labels(self._name, variant, backend, reason)

    def quarantine(self, variant: str, backend: str, reason: str) -> None:
        """An arm was taken out of use."""
        self._all.quarantines.labels(self._name, variant, backend, reason).inc()

    def retried(self, requests: int) -> None:
        """So many requests go to another arm."""
        self._retried.inc(requests)

    def shadow_ran(self) -> None:
        """A run that answered nobody told of an arm's speed."""
        self._shadows.inc()

    def switch_costs(self, cost_s: float) -> None:
        """A worker's first batch on another arm is believed to take so much longer (s)."""
        self._all.switch_cost_s.labels(self._name).set(cost_s)

    def stalls(self, share: float, factor: float) -> None:
        """This share of the batches is believed to take `factor` times as long as foreseen, each for itself."""
        self._all.stall_share.labels(self._name).set(share)
        self._all.stall_factor.labels(self._name).set(factor)

    def speed(self, arm: Arm, scale: float) -> None:
        """Latency of `arm` now over its stored profile."""
        self._speeds[arm] = scale
        self._arm_seconds(arm.variant, arm.backend)  # its sums begin at 0
        self._all.speed.labels(self._name, arm.variant, arm.backend).set(scale)

    def compared(self, arm: Arm, difference: float) -> None:
        """How far the answers of `arm` are from the reference's; infinite where they cannot be compared."""
        labels = (self._name, arm.variant, arm.backend, arm.device)
        self._all.difference.labels(*labels).set(difference)

    def forget(self, arm: Arm) -> None:
        """The arm is not held any more."""
        if self._speeds.pop(arm, None) is not None:
            self._all.speed.remove(self._name, arm.variant, arm.backend)

    def speed_of(self, arm: Arm) -> float:
        """What `speed` was told last; 1 before."""
        return self._speeds.get(arm, 1.0)

    @property
    def tally(self) -> ModelCounts:
        """What the protocol's statistics tell, as of now. To be read only."""
        self.count()
        return self._tally

    def recent(self) -> Results:
        """How the requests of the last WINDOW_S fared, but for invalid and cancelled ones."""
        with self._lock:
            self._count()
            return self._recent.results(time.monotonic())

    def regions(self) -> tuple[list[Region], float]:
        """How the requests of the last minute fared, by latency bound; and how far back (s) that goes just now."""
        with self._lock:
            self._count()
            now_s = time.monotonic()
            return self._lately.regions(now_s), self._lately.span_s(now_s)

    def shares(self) -> dict[str, float]:
        """Variant -> its share of the rows answered in the last minute."""
        with self._lock:
            return self._lately.shares(time.monotonic())

    def may_be_tried(self, states: Iterable[str]) -> None:
        """Begin the counts of verdicts on candidates at 0."""
        for state in states:
            if state in VERDICTS:
                self._all.promotions.labels(self._name, state)

    def candidates(self, counts: Mapping[str, int]) -> None:
        """State -> how many candidates are there now."""
        for state, count in counts.items():
            self._all.candidates.labels(self._name, state).set(count)

    def judged(self, verdict: str) -> None:
        """A candidate was promoted, rejected or rolled back."""
        self._all.promotions.labels(self._name, verdict).inc()

    def outcomes(self) -> dict[str, int]:
        """Requests since the start by outcome, over all SLO classes."""
        with self._lock:
            self._count()
            return dict(self._ended)

    def _series_of(self, variant: str, precision: str) -> tuple[Distribution, Distribution, Total]:
        """What a variant's batches are counted in: their time inside the backend (s), their rows, all rows."""
        found = self._ran.get((variant, precision))
        if found is None:
            found = self._ran[variant, precision] = (
                self._all.compute_s.labels(self._name, variant),
                self._all.batch_rows.labels(self._name, variant),
                self._all.rows.labels(self._name, variant, precision),
            )
        return found

    def _arm_seconds(self, variant: str, backend: str) -> tuple[Total, Total, Total]:
        """What an arm's batches were predicted to take, take by the profile, and took (s)."""
        found = self._arm_s.get((variant, backend))
        if found is None:
            labels = (self._name, variant, backend)
            found = self._arm_s[variant, backend] = (
                self._all.predicted_s.labels(*labels),
                self._all.profiled_s.labels(*labels),
                self._all.measured_s.labels(*labels),
            )
        return found

    def _outcome(self, slo_class: str, outcome: str, count: int = 1) -> None:
        """Count so many ends. Called under the lock."""
        key = (slo_class, outcome)
        counter = self._outcomes.get(key)
        if counter is None:
            counter = self._outcomes[key] = self._all.requests.labels(self._name, *key)
            self._promise(slo_class)
        counter.inc(count)
        self._ended[outcome] += count

    def _promise(self, slo_class: str) -> None:
        """A class that asks for the first time."""
        if (attainment := self._attainment) is not None and slo_class not in self._promised:
            self._promised.add(slo_class)
            shown = self._all.slo_attainment.labels(self._name, slo_class)
            shown.set_function(lambda: attainment(slo_class))

    def _seconds(self, slo_class: str) -> Distribution:
        histogram = self._request.get(slo_class)
        if histogram is None:
            histogram = self._request[slo_class] = self._all.request_s.labels(self._name, slo_class)
        return histogram
